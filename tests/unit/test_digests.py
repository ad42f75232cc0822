"""Every digest changes with what it is named after, and with nothing else."""

import json

import pyarrow as pa
import pytest

from agf.corpus.digests import COLUMNS, FEATURES, write_digests
from agf.files import write_parquet

ROW = {"artist_id": 1, "artist": "A", "title": "Song", "genre_top": "Folk", "genres": [17, 103]}
GENRES = {"genre_id": [17, 103], "title": ["Folk", "Singer-Songwriter"]}
TRACKS = (0, 1, 2, 4)
DIGESTS = (*COLUMNS, *FEATURES, "split-random")


def rows(edited=None, **values):
    return [ROW | {"track_id": i} | (values if i == edited else {}) for i in TRACKS]


def digests(out, tracks=None, genres=GENRES, features=None, parts=None):
    write_parquet(pa.Table.from_pylist(tracks or rows()), out / "tracks.parquet")
    write_parquet(genres, out / "genres.parquet")
    parts = parts or {0: "train", 1: "train", 2: "evaluation", 4: "train"}
    split = {"track_id": list(parts), "part": list(parts.values())}
    write_parquet(split, out / "split.parquet")
    shards = {}
    for name in FEATURES:
        values = (features or {}).get(name, {track: f"{name} {track}" for track in TRACKS})
        ids = list(values)
        shards[name] = []
        for half in (ids[::2], ids[1::2]):  # two shards
            path = out / f"{name}{half[0]}.parquet"
            write_parquet({"track_id": half, "digest": [values[i] for i in half]}, path)
            shards[name].append(path)
    paths = {name: out / f"{name}.json" for name in DIGESTS}
    splits = {"random": out / "split.parquet"}
    write_digests(out / "tracks.parquet", out / "genres.parquet", splits, shards, paths)
    return {name: json.loads(path.read_text())["sha256"] for name, path in paths.items()}


def changed(tmp_path, **changes):
    before, after = digests(tmp_path), digests(tmp_path, **changes)
    return {name for name in DIGESTS if before[name] != after[name]}


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ({"title": "Another", "artist": "B"}, set()),
        ({"artist_id": 2}, {"artist"}),
        ({"genre_top": "Rock"}, {"genre_top"}),
        ({"genres": [17]}, {"genres"}),
    ],
)
def test_a_metadata_edit_changes_its_own_digest_alone(tmp_path, values, names):
    assert changed(tmp_path, tracks=rows(1, **values)) == names


def test_another_tree_of_genres_changes_the_genres(tmp_path):
    assert changed(tmp_path, genres=GENRES | {"title": ["Folk", "Songs"]}) == {"genres"}


def test_another_part_of_one_track_changes_the_split(tmp_path):
    parts = {0: "train", 1: "evaluation", 2: "evaluation", 4: "train"}
    assert changed(tmp_path, parts=parts) == {"split-random"}


@pytest.mark.parametrize("name", FEATURES)
def test_one_changed_row_changes_its_feature_alone(tmp_path, name):
    values = {track: f"{name} {track}" for track in TRACKS} | {2: "another"}
    assert changed(tmp_path, features={name: values}) == {name}


def test_shards_and_tracks_beside_these_are_no_change(tmp_path):
    values = {track: f"mel {track}" for track in (9, 4, 2, 0, 1)}
    assert changed(tmp_path, features={"mel": values}) == set()


def test_a_lost_track_changes_what_has_a_row_for_every_track(tmp_path):
    assert changed(tmp_path, tracks=rows()[:-1]) == {*COLUMNS, *FEATURES, "split-random"}


def test_a_track_without_a_feature_is_a_fault(tmp_path):
    values = {track: "x" for track in (0, 1, 2)}
    with pytest.raises(RuntimeError, match="track 4 has no mfcc"):
        digests(tmp_path, features={"mfcc": values})
