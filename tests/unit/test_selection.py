"""The selection loses no track."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from agf.corpus.manifest import SCAN_SCHEMA, shard_name
from agf.corpus.selection import describe_corpus, describe_selection, select_tracks
from agf.errors import UserError
from agf.files import write_parquet

FEATURES = ("mel", "mfcc", "essentia")


def select(out, rejected=(), features=None):
    """Six tracks: 3 has no file, 5 is another copy of 0; every feature has the others."""
    reasons = {3: "missing: no such file", 5: "duplicate of 0"}
    rows = [{"track_id": i, "path": f"{i}.mp3", "reason": reasons.get(i)} for i in range(6)]
    write_parquet(pa.Table.from_pylist(rows, schema=SCAN_SCHEMA), out / "scan.parquet")
    for name in FEATURES:
        ids = (features or {}).get(name, [0, 1, 2, 4])
        write_parquet({"track_id": ids}, out / f"{name}.parquet")
    bad = pa.Table.from_pylist(
        [{"track_id": track, "reason": reason} for track, reason in rejected],
        schema=pa.schema([("track_id", pa.int64()), ("reason", pa.string())]),
    )
    write_parquet(bad, out / "bad.parquet")
    shards = {name: [out / f"{name}.parquet"] for name in FEATURES}
    results = (out / "tracks.parquet", out / "rejected.parquet")
    select_tracks(out / "scan.parquet", shards, [out / "bad.parquet"], 3, *results)
    return results


def test_counts_in_equal_counts_out(tmp_path):
    results = select(tmp_path, rejected=[(2, "unreadable: no mp3")])
    tracks = pq.read_table(results[0]).to_pandas()
    assert list(tracks.track_id) == [0, 1, 4]
    assert list(tracks.shard) == [shard_name(track, 3) for track in (0, 1, 4)]
    rejected = pq.read_table(results[1]).to_pylist()
    assert [(row["track_id"], row["reason"]) for row in rejected] == [
        (2, "unreadable: no mp3"),
        (3, "missing: no such file"),
        (5, "duplicate of 0"),
    ]
    assert describe_selection(*results) == (
        "Tracks: 6 in, 3 kept, 3 rejected (1 unreadable, 1 missing, 1 duplicate)"
    )
    assert describe_corpus(tmp_path) == describe_selection(*results)
    pq.write_table(pq.read_table(results[0]).slice(1), results[0])  # not of this scan any more
    assert describe_corpus(tmp_path) == (
        "Scan: 6 in, 4 candidates, 2 rejected (1 missing, 1 duplicate)"
    )


def test_a_track_without_a_feature_or_a_reason_is_a_fault(tmp_path):
    with pytest.raises(RuntimeError, match="track 4 has no mfcc and no reason why"):
        select(tmp_path, features={"mfcc": [0, 1, 2]})


def test_not_one_track_left_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match="Not one track"):
        select(tmp_path, rejected=[(track, "silent: peak 0") for track in (0, 1, 2, 4)])
