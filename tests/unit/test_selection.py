"""The selection loses no track."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from agf.corpus.manifest import SCAN_SCHEMA, shard_name
from agf.corpus.selection import (
    describe_corpus,
    describe_selection,
    list_rejected,
    select_tracks,
)
from agf.errors import UserError
from agf.files import write_parquet

FEATURES = ("mel", "mfcc", "essentia")


def select(out, rejected=(), features=None):
    """Six tracks: 3 has no file, 5 is another copy of 0; every feature has the others."""
    reasons = {3: "missing: no such file", 5: "duplicate of 0"}
    rows = [
        {"track_id": i, "path": f"{i}.mp3", "reason": reasons.get(i), "artist_id": i // 4}
        | {"genre_top": "Rock" if i == 4 else "Folk"}
        for i in range(6)
    ]
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
        "Scan: 6 in, 4 candidates, 2 rejected (1 missing, 1 duplicate)\n"
        "Candidates: 3 Folk, 1 Rock; 2 artists, 1 with two tracks or more"
    )


def test_rejected_tracks_are_listed_at_any_stage(tmp_path):
    with pytest.raises(UserError, match="run the target corpus first"):
        list_rejected(tmp_path)
    (tmp_path / "corpus").mkdir()
    select(tmp_path / "corpus")
    scanned = [(3, "3.mp3", "missing: no such file"), (5, "5.mp3", "duplicate of 0")]
    assert list_rejected(tmp_path) == scanned
    for shard, track in (("000-of-002", 1), ("000-of-001", 2)):
        table = {"track_id": [track], "reason": ["silent: peak 0"]}
        write_parquet(table, tmp_path / f"features/mel/{shard}.rejected.parquet")
        write_parquet({}, tmp_path / f"corpus/shards/{shard}.parquet")
    # The shards of the scan before are not asked.
    assert list_rejected(tmp_path) == [(2, "2.mp3", "silent: peak 0"), *scanned]


def test_a_track_without_a_feature_or_a_reason_is_a_fault(tmp_path):
    with pytest.raises(RuntimeError, match="track 4 has no mfcc and no reason why"):
        select(tmp_path, features={"mfcc": [0, 1, 2]})


def test_not_one_track_left_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match="Not one track"):
        select(tmp_path, rejected=[(track, "silent: peak 0") for track in (0, 1, 2, 4)])
