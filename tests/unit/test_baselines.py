"""Baselines against closed forms and against scikit-learn fitted on the same rows."""

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import make_blobs
from sklearn.linear_model import LogisticRegression

from agf.errors import UserError
from agf.evaluation import baselines, metrics
from agf.files import write_parquet

GENRES = ["Rock", "Folk", "Jazz"]


def write_shard(path, track_ids, frames):
    write_parquet(
        {
            "track_id": np.array(track_ids, np.int64),
            "key": ["-"] * len(track_ids),
            "n_frames": np.array([len(f) for f in frames], np.int32),
            "mfcc": [f.astype(np.float16).tobytes() for f in frames],
        },
        path,
    )


def test_prior_scores_the_entropy_of_the_training_genres():
    labels = np.array([0] * 6 + [1] * 3 + [2])
    probabilities = baselines.class_prior(labels, 10, 3)
    p = np.array([0.6, 0.3, 0.1])
    np.testing.assert_allclose(probabilities, np.tile(p, (10, 1)), atol=1e-12)
    assert metrics.log_loss(probabilities, labels) == pytest.approx(-(p * np.log(p)).sum())


def test_majority_scores_its_share_in_accuracy():
    labels = np.array([0] * 3 + [1] * 6 + [2])
    probabilities = baselines.majority_class(labels, 10, 4)
    assert probabilities.shape == (10, 4)
    assert metrics.accuracy(probabilities, labels) == 0.6
    assert metrics.log_loss(probabilities, labels) == pytest.approx(0.4 * 8 * np.log(10))


def test_logistic_regression_standardises_by_the_training_tracks_and_keeps_genre_order():
    x, y = make_blobs(n_samples=120, centers=3, cluster_std=4, random_state=1)
    x = x * [1, 1000] + [0, 5e4]
    labels = np.array([0, 2, 3])[y]  # genre 1 has no training track
    probabilities = baselines.mfcc_logistic_regression(x[:90], labels[:90], x[90:], 4)
    scaled = (x - x[:90].mean(axis=0)) / x[:90].std(axis=0)
    expected = LogisticRegression(max_iter=2000).fit(scaled[:90], y[:90]).predict_proba(scaled[90:])
    np.testing.assert_allclose(probabilities[:, [0, 2, 3]], expected, atol=1e-6)
    assert (probabilities[:, 1] == 0).all()


def test_mfcc_statistics_over_frames_of_all_shards(tmp_path):
    rng = np.random.default_rng(0)
    frames = [rng.normal(size=(n, 25)).astype(np.float16) for n in (7, 1290, 1)]
    write_shard(tmp_path / "000-of-002.parquet", [9, 3], frames[:2])
    write_shard(tmp_path / "001-of-002.parquet", [5], frames[2:])
    track_id, mean, std = baselines.track_mfcc_statistics(sorted(tmp_path.glob("*.parquet")))
    assert track_id.tolist() == [3, 5, 9]
    for row, f in enumerate([frames[1], frames[2], frames[0]]):
        np.testing.assert_allclose(mean[row], np.mean(f.astype(float), axis=0), atol=1e-12)
        np.testing.assert_allclose(std[row], np.std(f.astype(float), axis=0), atol=1e-12)


def test_mfcc_statistics_refuse_shards_of_different_width(tmp_path):
    write_shard(tmp_path / "a.parquet", [1], [np.zeros((4, 25))])
    write_shard(tmp_path / "b.parquet", [2], [np.zeros((4, 13))])
    with pytest.raises(UserError, match="tracks of 13 and of 25 coefficients"):
        baselines.track_mfcc_statistics([tmp_path / "a.parquet", tmp_path / "b.parquet"])


def corpus_with_genres_in_the_spread(folder):
    """Return 60 tracks whose genres differ in the MFCC's spread but not in their mean."""
    rng = np.random.default_rng(2)
    track_ids = np.arange(100, 160)
    genre = np.arange(60) % 3
    frames = []
    for g in genre:
        f = rng.normal(size=(200, 5))
        frames.append((f - f.mean(axis=0)) * (1 + g) + rng.normal(size=5))
    write_shard(folder / "000-of-001.parquet", track_ids, frames)
    tracks = pd.DataFrame({"track_id": track_ids, "genre_top": np.array(GENRES)[genre]})
    part = ["train"] * 42 + ["evaluation"] * 15 + ["unused"] * 3
    return tracks, pd.DataFrame({"track_id": track_ids, "part": part})


def test_baseline_metrics(tmp_path):
    tracks, parts = corpus_with_genres_in_the_spread(tmp_path)
    paths = list(tmp_path.glob("*.parquet"))
    # The order of the rows of either table must not matter.
    frame = baselines.baseline_metrics(tracks[::-1], parts.sample(frac=1), paths, GENRES)
    assert frame["baseline"].tolist() == ["majority", "prior", "mfcc_mean", "mfcc_mean_std"]
    assert (frame["n_tracks"] == 15).all()
    rows = frame.set_index("baseline")
    assert rows.loc["prior", "log_loss"] == pytest.approx(np.log(3))
    assert rows.loc["majority", "accuracy"] == pytest.approx(1 / 3)
    assert rows.loc["mfcc_mean_std", "accuracy"] == 1
    assert rows.loc["mfcc_mean", "accuracy"] < 0.8


def test_baseline_metrics_name_a_track_without_mfcc(tmp_path):
    tracks, parts = corpus_with_genres_in_the_spread(tmp_path)
    tracks.loc[60] = [999, "Rock"]
    parts.loc[60] = [999, "train"]
    with pytest.raises(UserError, match=r"Track 999 .* missing in the MFCC files"):
        baselines.baseline_metrics(tracks, parts, list(tmp_path.glob("*.parquet")), GENRES)


def test_baseline_metrics_name_an_unknown_genre(tmp_path):
    tracks, parts = corpus_with_genres_in_the_spread(tmp_path)
    with pytest.raises(UserError, match="'Jazz' of the train tracks"):
        baselines.baseline_metrics(tracks, parts, list(tmp_path.glob("*.parquet")), GENRES[:2])
