"""Splits keep what they promise."""

import numpy as np
import pandas as pd
import pytest

from agf.corpus.split import split_tracks
from agf.errors import UserError


def corpus(n=400, artists=60, seed=3):
    """Tracks of artists with a long tail; an artist has mostly one genre."""
    rng = np.random.default_rng(seed)
    artist = np.minimum(rng.geometric(0.05, n), artists)
    home = rng.choice(["Folk", "Jazz", "Rock"], artists + 1, p=[0.2, 0.2, 0.6])
    genre = np.where(rng.random(n) < 0.1, "Rock", home[artist])
    return pd.DataFrame(
        {
            "track_id": np.arange(n) * 3,
            "artist_id": artist,
            "album_id": pd.array(artist * 10 + rng.integers(0, 3, n), dtype="Int64"),
            "genre_top": genre,
            "official_split": rng.choice(["training", "validation", "test"], n),
        }
    )


def parts(tracks, kind, fraction=0.15, seed=0):
    split = split_tracks(tracks, kind, fraction, seed)
    assert list(split.track_id) == list(tracks.track_id)
    return split.part.to_numpy()


def test_random_is_stratified():
    tracks = corpus()
    part = parts(tracks, "random")
    assert np.sum(part == "evaluation") == 60
    for genre in ("Folk", "Jazz", "Rock"):
        share = np.mean(part[tracks.genre_top == genre] == "evaluation")
        assert share == pytest.approx(0.15, abs=0.02)


@pytest.mark.parametrize("kind", ["artist", "album"])
def test_groups_are_disjoint(kind):
    tracks = corpus()
    part = parts(tracks, kind)
    group = tracks[f"{kind}_id"]
    assert not set(group[part == "train"]) & set(group[part == "evaluation"])
    assert np.mean(part == "evaluation") == pytest.approx(0.15, abs=0.05)
    assert set(tracks.genre_top[part == "evaluation"]) == {"Folk", "Jazz", "Rock"}


def test_tracks_without_album_are_albums_of_their_own():
    tracks = corpus()
    tracks["album_id"] = pd.array([pd.NA] * len(tracks), dtype="Int64")
    part = parts(tracks, "album")
    assert np.mean(part == "evaluation") == pytest.approx(0.15, abs=0.02)


def test_official_split_is_taken_as_it_is():
    tracks = corpus()
    part = parts(tracks, "fma")
    wanted = {"training": "train", "test": "evaluation", "validation": "unused"}
    assert list(part) == [wanted[name] for name in tracks.official_split]


def test_the_seed_alone_decides():
    tracks = corpus()
    assert np.array_equal(parts(tracks, "artist"), parts(tracks, "artist"))
    assert not np.array_equal(parts(tracks, "random", seed=0), parts(tracks, "random", seed=1))


def test_missing_official_split_is_named():
    tracks = corpus()
    tracks.loc[5, "official_split"] = None
    with pytest.raises(UserError, match="Track 15 has no official split"):
        parts(tracks, "fma")


def test_a_genre_without_training_tracks_is_refused():
    tracks = corpus()
    tracks.loc[tracks.genre_top == "Jazz", "official_split"] = "test"
    with pytest.raises(UserError, match="'Jazz' has no training track"):
        parts(tracks, "fma")


def test_a_genre_with_one_track_is_refused():
    tracks = corpus()
    tracks.loc[0, "genre_top"] = "Blues"
    with pytest.raises(UserError, match="'Blues' has a single track"):
        parts(tracks, "random")


def test_the_authors_split_is_taken_as_it_is():
    tracks = corpus(6)  # ids 0, 3, 6, 9, 12, 15
    tracks["genre_top"] = "Folk"
    listed = {"train": np.array([0, 6, 9, 999]), "evaluation": np.array([3, 15])}
    split = split_tracks(tracks, "paper", 0.15, 0, listed)
    assert list(split.part) == ["train", "evaluation", "train", "train", "unused", "evaluation"]


def test_the_authors_split_of_another_corpus_is_refused():
    listed = {"train": np.array([1]), "evaluation": np.array([2])}
    with pytest.raises(UserError, match="which is of fma_medium"):
        split_tracks(corpus(), "paper", 0.15, 0, listed)
