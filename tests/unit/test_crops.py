"""Crops of spectrograms and their scaler."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.preprocessing import StandardScaler

from agf.files import write_parquet
from agf.networks.crops import draw_crops, fit_scaler, gather, load_scaler
from agf.networks.mels import pack_mels, read_mels

TOP_DB = 80.0


def write_shard(path, spectrograms, max_db):
    """Write a mel shard from {track_id: uint8 array (frames, bands)}."""
    ids = list(spectrograms)
    write_parquet(
        {
            "track_id": np.array(ids, np.int64),
            "digest": [f"{track_id:064x}" for track_id in ids],
            "n_frames": np.array([len(spectrograms[i]) for i in ids], np.int32),
            "max_db": np.array([max_db[i] for i in ids], np.float32),
            "mel": [spectrograms[i].tobytes() for i in ids],
        },
        path,
    )


def pack(folder, paths, track_ids):
    """Pack shards; return the file."""
    write_parquet({"track_id": np.array(track_ids, np.int64)}, folder / "tracks.parquet")
    pack_mels(paths, folder / "tracks.parquet", folder / "mels.safetensors")
    return folder / "mels.safetensors"


@pytest.fixture
def corpus(tmp_path):
    """Five tracks of unequal length and loudness in two shards; 14 is not in training."""
    rng = np.random.default_rng(0)
    lengths = {10: 60, 11: 45, 12: 100, 13: 43, 14: 80}
    spectrograms = {i: rng.integers(0, 256, (n, 128), dtype=np.uint8) for i, n in lengths.items()}
    max_db = {10: 5.0, 11: -3.5, 12: 20.25, 13: 0.0, 14: 11.0}
    paths = [tmp_path / "000-of-002.parquet", tmp_path / "001-of-002.parquet"]
    write_shard(paths[0], {i: spectrograms[i] for i in (12, 10)}, max_db)
    write_shard(paths[1], {i: spectrograms[i] for i in (11, 13, 14)}, max_db)
    decibels = {
        i: max_db[i] - TOP_DB + levels.astype(float) * TOP_DB / 255
        for i, levels in spectrograms.items()
    }
    packed = pack(tmp_path, paths, list(spectrograms))
    split = tmp_path / "split.parquet"
    part = ["train"] * 4 + ["evaluation"]
    write_parquet({"track_id": np.arange(10, 15), "part": part}, split)
    return packed, decibels, split


def test_scaler_is_that_of_scikit_learn_on_training_frames(corpus, tmp_path):
    packed, decibels, split = corpus
    fit_scaler(packed, split, tmp_path / "scaler.parquet", {"top_db": TOP_DB})
    expected = StandardScaler().fit(np.concatenate([decibels[i] for i in (10, 11, 12, 13)]))
    table = pd.read_parquet(tmp_path / "scaler.parquet")
    assert table.band.tolist() == list(range(128))
    np.testing.assert_allclose(table["mean"], expected.mean_, rtol=1e-12)
    np.testing.assert_allclose(table["std"], expected.scale_, rtol=1e-12)


def test_a_constant_band_gets_standard_deviation_one(tmp_path):
    levels = np.random.default_rng(1).integers(0, 256, (50, 128), dtype=np.uint8)
    levels[:, 127] = 0
    write_shard(tmp_path / "mel.parquet", {1: levels, 2: levels}, {1: 3.1, 2: 3.1})
    split = tmp_path / "split.parquet"
    write_parquet({"track_id": np.array([1, 2]), "part": ["train", "train"]}, split)
    packed = pack(tmp_path, [tmp_path / "mel.parquet"], [1, 2])
    fit_scaler(packed, split, tmp_path / "s.parquet", {"top_db": TOP_DB})
    table = pd.read_parquet(tmp_path / "s.parquet")
    assert table["std"][127] == 1
    assert table["mean"][127] == pytest.approx(3.1 - TOP_DB)


def test_gathered_crops_are_the_standardised_decibels(corpus, tmp_path):
    packed, decibels, split = corpus
    fit_scaler(packed, split, tmp_path / "scaler.parquet", {"top_db": TOP_DB})
    scaler = load_scaler(tmp_path / "scaler.parquet")
    mels = read_mels(packed, [10, 11, 12], 43)
    x = gather(mels, np.array([2, 0]), np.array([57, 3]), 43, scaler, TOP_DB)
    assert x.shape == (2, 1, 128, 43)
    assert x.dtype == torch.float32
    table = pd.read_parquet(tmp_path / "scaler.parquet")
    for crop, track, start in ((x[0], 12, 57), (x[1], 10, 3)):
        cut = decibels[track][start : start + 43]
        expected = (cut - table["mean"].to_numpy()) / table["std"].to_numpy()
        np.testing.assert_allclose(crop[0].numpy().T, expected, atol=1e-4)


def test_crops_lie_inside_tracks_and_reach_both_ends():
    lengths = np.array([43, 44, 60, 1292])
    starts = np.array([draw_crops(1, "stn-g", epoch, lengths, 43)[1] for epoch in range(600)])
    assert (starts >= 0).all()
    assert (starts + 43 <= lengths).all()
    assert (starts[:, 0] == 0).all()
    assert set(starts[:, 1]) == {0, 1}
    assert set(starts[:, 2]) == set(range(18))
    # Uniform: the mean of 600 draws lies within four standard errors of the middle.
    n = 1292 - 43 + 1
    standard_error = n / 12**0.5 / 600**0.5
    assert abs(starts[:, 3].mean() - (n - 1) / 2) < 4 * standard_error


def test_an_epoch_visits_every_track_once_and_depends_on_its_key_only():
    lengths = np.full(200, 500)
    order, starts = draw_crops(1, "stn-g", 7, lengths, 43)
    again = draw_crops(1, "stn-g", 7, lengths, 43)
    assert sorted(order) == list(range(200))
    np.testing.assert_array_equal(order, again[0])
    np.testing.assert_array_equal(starts, again[1])
    for other in ((2, "stn-g", 7), (1, "stn-s", 7), (1, "stn-g", 8)):
        assert (draw_crops(*other, lengths, 43)[0] != order).any()
