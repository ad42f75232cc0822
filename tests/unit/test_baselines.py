"""Baselines against closed forms and against scikit-learn fitted on the same rows."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.datasets import make_blobs
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC

from agf.errors import UserError
from agf.evaluation import baselines, metrics
from agf.evaluation.run import write_baselines
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
    track_id, moments = baselines.track_mfcc_statistics(sorted(tmp_path.glob("*.parquet")))
    assert track_id.tolist() == [3, 5, 9]
    assert moments.shape == (3, 7, 25)
    for row, f in enumerate([frames[1], frames[2], frames[0]]):
        f = f.astype(float)
        of_track = dict(zip(baselines.MOMENTS, moments[row], strict=True))
        for name in ("mean", "std", "median", "min", "max"):
            np.testing.assert_allclose(of_track[name], getattr(np, name)(f, axis=0), atol=1e-12)
        if len(f) > 1:
            np.testing.assert_allclose(of_track["skew"], stats.skew(f), atol=1e-12)
            np.testing.assert_allclose(of_track["kurtosis"], stats.kurtosis(f), atol=1e-12)
        else:
            assert (of_track["skew"] == 0).all() and (of_track["kurtosis"] == 0).all()


def test_mfcc_statistics_refuse_shards_of_different_width(tmp_path):
    write_shard(tmp_path / "a.parquet", [1], [np.zeros((4, 25))])
    write_shard(tmp_path / "b.parquet", [2], [np.zeros((4, 13))])
    with pytest.raises(UserError, match="tracks of 13 and of 25 coefficients"):
        baselines.track_mfcc_statistics([tmp_path / "a.parquet", tmp_path / "b.parquet"])


def test_support_vector_machine_decides_as_scikit_learns_own_on_standardised_features():
    x, y = make_blobs(n_samples=200, centers=3, cluster_std=5, random_state=1)
    x = x * [1, 1000] + [0, 5e4]
    labels = np.array([0, 2, 3])[y]  # genre 1 has no training track
    arguments = x[:150], labels[:150], x[150:], 5
    probabilities, predicted = baselines.mfcc_support_vector_machine(*arguments, seed=0)
    scaled = (x - x[:150].mean(axis=0)) / x[:150].std(axis=0)
    expected = SVC(kernel="rbf", gamma=1 / 2).fit(scaled[:150], labels[:150]).predict(scaled[150:])
    assert predicted.tolist() == expected.tolist()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-12)
    assert (probabilities[:, [1, 4]] == 0).all()
    assert metrics.log_loss(probabilities, labels[150:]) < np.log(3)
    again, _ = baselines.mfcc_support_vector_machine(*arguments, seed=0)
    other, _ = baselines.mfcc_support_vector_machine(*arguments, seed=1)
    assert (again == probabilities).all() and (other != probabilities).any()


def test_support_vector_machine_gives_a_genre_of_one_training_track_its_share():
    rng = np.random.default_rng(3)
    labels = np.array([0] * 9 + [1] * 2 + [2])
    features = rng.normal(size=(12, 3)) + labels[:, None]
    probabilities, predicted = baselines.mfcc_support_vector_machine(
        features, labels, features, 3, seed=0
    )
    np.testing.assert_allclose(probabilities[:, 2], 1 / 12, atol=1e-12)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-12)
    assert set(predicted) <= {0, 1}


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
    statistics = baselines.track_mfcc_statistics(paths)
    frame = baselines.baseline_metrics(tracks[::-1], parts.sample(frac=1), statistics, GENRES, 0)
    names = ["majority", "prior", "mfcc_mean", "mfcc_mean_std", "mfcc_svm"]
    assert frame["baseline"].tolist() == names
    assert (frame["n_tracks"] == 15).all()
    rows = frame.set_index("baseline")
    assert rows.loc["prior", "log_loss"] == pytest.approx(np.log(3))
    assert rows.loc["majority", "accuracy"] == pytest.approx(1 / 3)
    assert rows.loc["mfcc_mean_std", "accuracy"] == 1
    assert rows.loc["mfcc_mean", "accuracy"] < 0.8
    assert rows.loc["mfcc_svm", "accuracy"] > 0.9
    assert rows.loc["mfcc_svm", "log_loss"] < np.log(3)


def test_the_machines_scores_are_empty_where_one_genre_alone_has_two_training_tracks(tmp_path):
    tracks, parts = corpus_with_genres_in_the_spread(tmp_path)
    genre = tracks["genre_top"]
    train = parts["part"] == "train"
    folk = train & (genre == "Folk")
    kept = (train & (genre == "Rock")) | (folk & (folk.cumsum() == 1)) | (parts["part"] != "train")
    statistics = baselines.track_mfcc_statistics(tmp_path.glob("*.parquet"))
    rows = baselines.baseline_metrics(tracks, parts[kept], statistics, GENRES, 0)
    empty = rows.set_index("baseline")[["log_loss", "macro_f1", "accuracy"]].isna().all(axis=1)
    assert empty[empty].index.tolist() == ["mfcc_svm"]


def test_baselines_of_several_splits_are_written_read_and_averaged(tmp_path):
    tracks, parts = corpus_with_genres_in_the_spread(tmp_path)
    write_parquet(tracks, tmp_path / "tracks" / "tracks.parquet")
    splits = {}
    for name, frame in (("random", parts), ("random-2", parts.assign(part=parts.part[::-1].array))):
        splits[name] = tmp_path / "splits" / f"{name}.parquet"
        write_parquet(frame, splits[name])
    out = tmp_path / "baselines.csv"
    paths = list(tmp_path.glob("*.parquet"))
    write_baselines(tmp_path / "tracks" / "tracks.parquet", splits, paths, out, seed=0)
    frame = baselines.read_baselines(out)
    assert list(frame) == list(baselines.COLUMNS)
    assert frame["split"].tolist() == ["random"] * 5 + ["random-2"] * 5
    means = baselines.average_baselines(frame).set_index("baseline")
    values = frame[frame["baseline"] == "mfcc_mean"]["log_loss"].to_numpy()
    assert means.loc["mfcc_mean", "log_loss"] == pytest.approx(values.mean(), abs=1e-12)
    deviation = abs(values[0] - values[1]) / np.sqrt(2)
    assert means.loc["mfcc_mean", "log_loss_sd"] == pytest.approx(deviation, abs=1e-12)
    alone = baselines.average_baselines(frame[frame["split"] == "random"])
    assert list(alone) == ["baseline", "log_loss", "macro_f1", "accuracy", "n_tracks"]


def test_baselines_of_an_older_run_are_refused_by_name(tmp_path):
    (tmp_path / "baselines.csv").write_text("baseline,log_loss,macro_f1,accuracy,n_tracks\n")
    with pytest.raises(UserError, match=r"baselines\.csv lacks column 'split'"):
        baselines.read_baselines(tmp_path / "baselines.csv")


def test_baseline_metrics_name_a_track_without_mfcc(tmp_path):
    tracks, parts = corpus_with_genres_in_the_spread(tmp_path)
    tracks.loc[60] = [999, "Rock"]
    parts.loc[60] = [999, "train"]
    with pytest.raises(UserError, match=r"Track 999 .* missing in the MFCC files"):
        statistics = baselines.track_mfcc_statistics(tmp_path.glob("*.parquet"))
        baselines.baseline_metrics(tracks, parts, statistics, GENRES, 0)


def test_baseline_metrics_name_an_unknown_genre(tmp_path):
    tracks, parts = corpus_with_genres_in_the_spread(tmp_path)
    with pytest.raises(UserError, match="'Jazz' of the train tracks"):
        statistics = baselines.track_mfcc_statistics(tmp_path.glob("*.parquet"))
        baselines.baseline_metrics(tracks, parts, statistics, GENRES[:2], 0)
