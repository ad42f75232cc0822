"""The stand-in corpus has FMA's layout and shape, whatever its size."""

import importlib.util
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from agf.corpus.fma import audio_path, read_genres, read_tracks
from agf.errors import UserError

ROOT = Path(__file__).parents[2]

spec = importlib.util.spec_from_file_location(
    "stand_in_corpus", ROOT / "benchmarks" / "stand_in_corpus.py"
)
stand_in = importlib.util.module_from_spec(spec)
spec.loader.exec_module(stand_in)


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Three clips of 1, 2 and 3 seconds."""
    folder = tmp_path_factory.mktemp("clips")
    noise = np.random.default_rng(0).normal(0, 0.1, 48000)
    for seconds in (1, 2, 3):
        path = folder / f"{seconds}.mp3"
        soundfile.write(path, noise[: 16000 * seconds], 16000, subtype="MPEG_LAYER_III")
    return stand_in.find_clips(folder)


@pytest.fixture(scope="module")
def corpus(clips, tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    stand_in.write_stand_in(clips, 600, 0, folder)
    return folder


@pytest.fixture(scope="module")
def whole():
    """The tracks of a corpus as large as FMA."""
    return stand_in.plan_stand_in(106_574, 0)


def test_the_workflow_reads_it_and_every_track_has_its_clip(corpus, clips):
    tracks = read_tracks(corpus / "fma_metadata" / "tracks.csv")
    assert len(tracks) == tracks.track_id.nunique() == 600
    assert tracks[["artist_id", "artist", "album_id", "genre_top"]].notna().all(axis=None)
    below = {str(path.relative_to(corpus / "audio")) for path in corpus.glob("audio/*/*")}
    assert below == {audio_path(track) for track in tracks.track_id}
    inode_of = {float(clip.stem): clip.stat().st_ino for clip in clips}
    for track in tracks.itertuples():
        file = corpus / "audio" / audio_path(track.track_id)
        assert file.stat().st_ino == inode_of[round(track.duration)]
    assert set(tracks.duration.round().value_counts()) == {200}


def test_tables_have_fmas_layout(corpus):
    lines = (corpus / "fma_metadata" / "tracks.csv").read_text().split("\n")
    assert lines[0].startswith(",album,album,") and lines[1].startswith(",comments,date_created,")
    assert lines[2] == "track_id" + "," * 52
    table = pd.read_csv(corpus / "fma_metadata" / "tracks.csv", header=[0, 1], index_col=0)
    assert table.shape == (600, 52)
    # Biographies and album notes, most of FMA's file, are there to be read.
    assert 1200 < (corpus / "fma_metadata" / "tracks.csv").stat().st_size / 600 < 2000


def test_genres_are_fmas_in_number(corpus):
    genres = read_genres(corpus / "fma_metadata" / "genres.csv").set_index("genre_id")
    top = genres[genres.parent == 0]
    assert (len(genres), len(top)) == (163, 16)
    assert top.title[21] == "Hip-Hop" and top.title[1235] == "Instrumental"
    assert (genres.top_level[genres.parent != 0] == genres.parent[genres.parent != 0]).all()
    tracks = read_tracks(corpus / "fma_metadata" / "tracks.csv")
    of_track = tracks.genres.str[0]
    assert (genres.top_level[of_track].map(top.title).to_numpy() == tracks.genre_top).all()
    counted = pd.read_csv(corpus / "fma_metadata" / "genres.csv", index_col=0)["#tracks"]
    assert counted[12] == (tracks.genre_top == "Rock").sum()
    assert counted[12] == pytest.approx(600 * 7103 / 25000, abs=1)


def test_genre_proportions_are_those_of_fma_medium(whole):
    share = whole.genre_top.value_counts(normalize=True)
    assert share["Rock"] == pytest.approx(7103 / 25000, abs=1e-5)
    assert share["Electronic"] == pytest.approx(6314 / 25000, abs=1e-5)
    assert share["Easy Listening"] == pytest.approx(21 / 25000, abs=1e-5)
    assert len(share) == 16


def test_few_artists_have_most_tracks(whole):
    tracks_of = whole.groupby("artist_id").size().sort_values()
    assert len(tracks_of) == 16_341 and tracks_of.sum() == 106_574
    assert 2 <= tracks_of.median() <= 5
    assert tracks_of.iloc[-1] > 100 * tracks_of.median()
    assert tracks_of.iloc[-len(tracks_of) // 10 :].sum() > 106_574 / 2
    assert (whole.groupby("album_id").artist_id.nunique() == 1).all()
    assert whole.groupby("album_id").size().max() == 12


def test_artists_grow_like_fmas_albums():
    # 5,152 albums in fma_medium, 14,854 in all of FMA.
    growth = stand_in.count_artists(106_574) / stand_in.count_artists(25_000)
    assert growth == pytest.approx(14_854 / 5_152, rel=0.01)
    assert stand_in.count_artists(1) == 1


def test_ids_have_gaps_as_wide_as_fmas(whole):
    assert whole.index.is_unique and whole.index.is_monotonic_increasing
    assert whole.index[0] < 20 and 155_300 < whole.index[-1] <= 155_320
    # About as many ids are free in the first tenth of the range as everywhere.
    assert (whole.index < 15_532).mean() == pytest.approx(0.1, abs=0.01)


def test_subsets_have_fmas_sizes(whole):
    assert whole.subset.value_counts().to_dict() == {
        "large": 81_574,
        "medium": 17_000,
        "small": 8000,
    }
    small = whole.genre_top[whole.subset == "small"].value_counts()
    assert len(small) == 8 and (small == 1000).all()
    medium = whole.genre_top[whole.subset != "large"].value_counts()
    assert medium["Jazz"] == 384 and medium["Easy Listening"] == 21


def test_the_official_split_takes_whole_artists(whole):
    assert (whole.groupby("artist_id").split.nunique() == 1).all()
    share = whole.split.value_counts(normalize=True)
    assert share["training"] == pytest.approx(0.8, abs=0.03)
    assert share["validation"] == pytest.approx(0.1, abs=0.03)
    assert share["test"] == pytest.approx(0.1, abs=0.03)


def test_a_seed_fixes_the_corpus(corpus, clips, tmp_path):
    stand_in.write_stand_in(clips, 600, 0, tmp_path / "again")
    stand_in.write_stand_in(clips, 600, 1, tmp_path / "other")
    table, genres = "fma_metadata/tracks.csv", "fma_metadata/genres.csv"
    for name in (table, genres):
        assert (tmp_path / "again" / name).read_bytes() == (corpus / name).read_bytes()
    assert (tmp_path / "other" / table).read_bytes() != (corpus / table).read_bytes()
    for path in corpus.glob("audio/*/*"):
        again = tmp_path / "again" / path.relative_to(corpus)
        assert os.path.samefile(path, again)


@pytest.mark.parametrize("n_tracks", [1, 2, 17])
def test_the_smallest_corpora(n_tracks):
    tracks = stand_in.plan_stand_in(n_tracks, 0)
    assert len(tracks) == n_tracks and tracks.index.is_unique and tracks.index[0] >= 2
    assert tracks.notna().all(axis=None)


def test_where_links_fail_the_clip_is_copied_once(clips, tmp_path, monkeypatch):
    link = os.link

    def same_folder_only(source, path):
        if Path(source) in clips:
            raise OSError(18, "Invalid cross-device link")
        link(source, path)

    monkeypatch.setattr(os, "link", same_folder_only)
    stand_in.write_stand_in(clips, 30, 0, tmp_path / "far")
    files = list((tmp_path / "far").glob("audio/*/*"))
    assert len(files) == 30
    inodes = {file.stat().st_ino for file in files}
    assert len(inodes) == 3 and not inodes & {clip.stat().st_ino for clip in clips}
    wanted = {clip.read_bytes() for clip in clips}
    assert {file.read_bytes() for file in files} == wanted


def test_added_tracks_follow_the_last_one(clips, tmp_path):
    stand_in.write_stand_in(clips, 50, 0, tmp_path)
    before = read_tracks(tmp_path / "fma_metadata" / "tracks.csv")
    added = stand_in.add_tracks(clips, 10, 0, tmp_path)
    after = read_tracks(tmp_path / "fma_metadata" / "tracks.csv")
    pd.testing.assert_frame_equal(after[:50], before)
    assert list(after.track_id[50:]) == added
    assert not set(after.artist_id[50:]) & set(before.artist_id)
    for track in added:
        assert (tmp_path / "audio" / audio_path(track)).is_file()


def test_mistakes_are_one_clear_sentence(corpus, clips, tmp_path):
    with pytest.raises(UserError, match="has no mp3 file"):
        stand_in.find_clips(tmp_path)
    with pytest.raises(UserError, match="audio exists already"):
        stand_in.write_stand_in(clips, 10, 0, corpus)
    with pytest.raises(UserError, match="--tracks is 0"):
        stand_in.write_stand_in(clips, 0, 0, tmp_path / "none")
    text = tmp_path / "text.mp3"
    text.write_text("no music")
    with pytest.raises(UserError, match=r"text\.mp3 cannot be read as audio"):
        stand_in.write_stand_in([text], 10, 0, tmp_path / "text")
