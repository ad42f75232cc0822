"""The selection loses no track, and its digests change with what they are named after."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from agf.corpus.scan import SCAN_SCHEMA, shard_name
from agf.corpus.selection import (
    FEATURE_DIGESTS,
    METADATA_DIGESTS,
    describe_selection,
    select_tracks,
)
from agf.errors import UserError
from agf.files import write_parquet

ROW = {
    "artist_id": 1,
    "artist": "A",
    "album_id": 10,
    "album": "First",
    "title": "Song",
    "genre_top": "Folk",
    "genres": [17, 103],
    "duration": 30.0,
    "subset": "small",
    "official_split": "training",
}
GENRES = {"genre_id": [17, 103], "title": ["Folk", "Singer-Songwriter"]}


def scan_rows():
    """Six tracks: 3 has no file, 5 is another copy of 0."""
    rows = [ROW | {"track_id": i, "path": f"a/{i}.mp3", "sha256": str(i)} for i in range(6)]
    reasons = {3: "missing: no such file", 5: "duplicate of 0"}
    return [row | {"reason": reasons.get(row["track_id"])} for row in rows]


def select(out, rows=None, genres=GENRES, features=None, rejected=()):
    """Run the selection on these rows; every feature has the tracks 0, 1, 2, 4 unless said."""
    rows = scan_rows() if rows is None else rows
    write_parquet(pa.Table.from_pylist(rows, schema=SCAN_SCHEMA), out / "scan.parquet")
    write_parquet(genres, out / "genres.parquet")
    for name in FEATURE_DIGESTS:
        digests = (features or {}).get(name, {track: f"{name} {track}" for track in (0, 1, 2, 4)})
        table = {"track_id": list(digests), "digest": list(digests.values())}
        write_parquet(table, out / f"{name}.parquet")
    bad = pa.Table.from_pylist(
        [{"track_id": track, "reason": reason} for track, reason in rejected],
        schema=pa.schema([("track_id", pa.int64()), ("reason", pa.string())]),
    )
    write_parquet(bad, out / "bad.parquet")
    paths = {name: out / f"{name}.json" for name in (*METADATA_DIGESTS, *FEATURE_DIGESTS)}
    paths |= {"tracks": out / "tracks.parquet", "rejected": out / "rejected.parquet"}
    shards = {name: [out / f"{name}.parquet"] for name in FEATURE_DIGESTS}
    select_tracks(
        out / "scan.parquet", out / "genres.parquet", shards, [out / "bad.parquet"], 3, paths
    )
    return {
        name: json.loads(path.read_text())["sha256"]
        for name, path in paths.items()
        if path.suffix == ".json"
    }


def test_counts_in_equal_counts_out(tmp_path):
    select(tmp_path, rejected=[(2, "unreadable: no mp3")])
    tracks = pq.read_table(tmp_path / "tracks.parquet").to_pandas()
    rejected = pq.read_table(tmp_path / "rejected.parquet").to_pylist()
    assert list(tracks.track_id) == [0, 1, 4]
    assert list(tracks.shard) == [shard_name(track, 3) for track in (0, 1, 4)]
    assert [(row["track_id"], row["reason"]) for row in rejected] == [
        (2, "unreadable: no mp3"),
        (3, "missing: no such file"),
        (5, "duplicate of 0"),
    ]
    line = describe_selection(tmp_path / "tracks.parquet", tmp_path / "rejected.parquet")
    assert line == ("Tracks: 6 in, 3 kept, 3 rejected (1 unreadable, 1 missing, 1 duplicate)")


def test_a_track_without_a_feature_or_a_reason_is_a_fault(tmp_path):
    with pytest.raises(RuntimeError, match="track 4 has no mfcc and no reason why"):
        select(tmp_path, features={"mfcc": {0: "a", 1: "b", 2: "c"}})


def test_not_one_track_left_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match="Not one track"):
        select(tmp_path, rejected=[(track, "silent: peak 0") for track in (0, 1, 2, 4)])


def changed(tmp_path, **changes):
    before = select(tmp_path)
    after = select(tmp_path, **changes)
    return {name for name in before if before[name] != after[name]}


def edited(track, **values):
    return [row | (values if row["track_id"] == track else {}) for row in scan_rows()]


@pytest.mark.parametrize(
    ("values", "digests"),
    [
        ({"title": "Another", "album": "Renamed", "artist": "B", "duration": 1.0}, set()),
        ({"path": "moved/1.mp3", "sha256": "f"}, set()),
        ({"artist_id": 2}, {"artist"}),
        ({"album_id": None}, {"album"}),
        ({"genre_top": "Rock"}, {"genre_top"}),
        ({"genres": [17]}, {"genres"}),
        ({"official_split": "test"}, {"official_split"}),
    ],
)
def test_a_metadata_edit_changes_its_own_digest_alone(tmp_path, values, digests):
    assert changed(tmp_path, rows=edited(1, **values)) == digests


def test_an_edit_of_a_rejected_track_changes_nothing(tmp_path):
    assert changed(tmp_path, rows=edited(3, genre_top="Rock", artist_id=9)) == set()


def test_another_tree_of_genres_changes_the_genres(tmp_path):
    assert changed(tmp_path, genres={"genre_id": [17], "title": ["Folk"]}) == {"genres"}


def test_a_changed_feature_changes_its_own_digest_alone(tmp_path):
    features = {"mfcc": {0: "mfcc 0", 1: "another", 2: "mfcc 2", 4: "mfcc 4"}}
    assert changed(tmp_path, features=features) == {"mfcc"}


def test_the_order_of_shards_and_rows_is_no_change(tmp_path):
    features = {"mel": {track: f"mel {track}" for track in (4, 2, 0, 1)}}
    assert changed(tmp_path, features=features, rows=scan_rows()[::-1]) == set()


def test_a_lost_track_changes_every_digest(tmp_path):
    every = {*METADATA_DIGESTS, *FEATURE_DIGESTS}
    assert changed(tmp_path, rejected=[(4, "silent: peak 0")]) == every
