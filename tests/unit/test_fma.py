"""FMA's metadata layout, read from files made here and, where present, from FMA's own."""

import os
from pathlib import Path

import pandas as pd
import pytest

from agf.corpus.fma import COLUMNS, audio_path, read_genres, read_tracks
from agf.errors import UserError

FACTS = Path(os.environ.get("AGF_FACTS", Path(__file__).parents[3] / "shared" / "facts"))


def write_tracks(path, rows):
    """Write rows (dicts by our column names, plus track_id) in FMA's three-header layout."""
    columns = pd.MultiIndex.from_tuples([*COLUMNS.values(), ("track", "tags")])
    table = pd.DataFrame(
        [[row.get(name) for name in COLUMNS] + [None] for row in rows],
        index=pd.Index([row["track_id"] for row in rows], name="track_id"),
        columns=columns,
    )
    table.to_csv(path)
    return path


ROW = {
    "track_id": 2,
    "artist_id": 1,
    "artist": "AWOL",
    "album_id": 1,
    "album": "A Way Of Life",
    "title": "Food",
    "genre_top": "Hip-Hop",
    "genres": "[21]",
    "duration": 168,
    "subset": "small",
    "official_split": "training",
}


def test_path_follows_fma():
    assert audio_path(2) == "000/000002.mp3"
    assert audio_path(155320) == "155/155320.mp3"


def test_reads_a_row(tmp_path):
    tracks = read_tracks(write_tracks(tmp_path / "tracks.csv", [ROW]))
    row = tracks.iloc[0]
    assert (row.track_id, row.artist_id, row.album_id) == (2, 1, 1)
    assert (row.artist, row.genre_top, row.genres) == ("AWOL", "Hip-Hop", [21])
    assert row.duration == 168.0


def test_subsets_are_nested(tmp_path):
    rows = [ROW | {"track_id": i, "subset": s} for i, s in enumerate(["large", "small", "medium"])]
    path = write_tracks(tmp_path / "tracks.csv", rows)
    assert list(read_tracks(path, "small").track_id) == [1]
    assert list(read_tracks(path, "medium").track_id) == [1, 2]
    assert list(read_tracks(path, "large").track_id) == [0, 1, 2]


def test_missing_values_stay_missing(tmp_path):
    rows = [ROW | {"artist_id": None, "genre_top": None, "genres": "[]", "album_id": None}]
    row = read_tracks(write_tracks(tmp_path / "tracks.csv", rows)).iloc[0]
    assert pd.isna(row.artist_id) and pd.isna(row.album_id)
    assert row.genre_top is None and row.genres == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"genres": "[21"}, "track 2 has the genres '[21'"),
        ({"genres": "['Rock']"}, "not a list of numbers"),
        ({"artist_id": "x7"}, "track 2 has the artist_id 'x7'"),
        ({"subset": "tiny"}, "track 2 has the subset 'tiny', which is none of small, medium"),
        ({"official_split": "trianing"}, "track 2 has the split 'trianing', which is none of"),
        ({"track_id": "two"}, "'two' is not a track id"),
    ],
)
def test_a_bad_row_is_named(tmp_path, change, words):
    path = write_tracks(tmp_path / "tracks.csv", [ROW | change])
    with pytest.raises(UserError, match=r"tracks\.csv") as error:
        read_tracks(path)
    assert words in str(error.value)


def test_a_line_break_in_a_name_is_warned_of(tmp_path, caplog):
    # That is what a quote that is not closed looks like, with rows swallowed by it.
    read_tracks(write_tracks(tmp_path / "tracks.csv", [ROW | {"album": "A Way\n3,,Of Life"}]))
    assert "the album of track 2 has a line break" in caplog.text
    caplog.clear()
    read_tracks(write_tracks(tmp_path / "tracks.csv", [ROW]))
    assert not caplog.text


def test_a_track_may_have_one_row_only(tmp_path):
    with pytest.raises(UserError, match="track 2 has two rows"):
        read_tracks(write_tracks(tmp_path / "tracks.csv", [ROW, ROW]))


def test_a_missing_column_is_named(tmp_path):
    path = tmp_path / "tracks.csv"
    path.write_text(",artist\n,id\ntrack_id,\n2,1\n")
    with pytest.raises(UserError, match=r"artist\.name"):
        read_tracks(path)


def test_genres(tmp_path):
    path = tmp_path / "genres.csv"
    path.write_text("genre_id,#tracks,parent,title,top_level\n21,9,0,Hip-Hop,21\n2,5,0,World,2\n")
    assert list(read_genres(path).title) == ["World", "Hip-Hop"]
    path.write_text("genre_id,title\n21,Hip-Hop\n")
    with pytest.raises(UserError, match=r"genres\.csv"):
        read_genres(path)


@pytest.mark.skipif(not FACTS.is_dir(), reason="FMA's own metadata is not at hand")
def test_reads_the_real_fma():
    tracks = read_tracks(FACTS / "fma_metadata" / "tracks_first682.csv")
    genres = read_genres(FACTS / "fma_metadata" / "genres.csv")
    assert len(tracks) == 682 and len(genres) == 163
    first = tracks.iloc[0]
    assert (first.track_id, first.artist, first.genre_top) == (2, "AWOL", "Hip-Hop")
    assert set(tracks.genre_top.dropna()) <= set(genres.title[genres.parent == 0])
    known = set(genres.genre_id)
    assert all(set(labels) <= known for labels in tracks.genres)
