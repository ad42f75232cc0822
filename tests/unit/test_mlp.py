"""The transfer MLP and the predictions made from it."""

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file
from sklearn.linear_model import LogisticRegression

from agf.errors import UserError
from agf.files import write_parquet
from agf.networks.model import count_parameters
from agf.tasks import case_by_name
from agf.transfer.mlp import (
    build_mlp,
    draw_windows,
    fit_mlp,
    load_mlp,
    mean_over_tracks,
    own_softmax_predictions,
    predict_windows,
    train_transfer,
)

SETTINGS = {"epochs": 60, "batch_size": 16, "learning_rate": 1e-3, "hidden_units": 64}
SETTINGS |= {"windows_per_track_per_epoch": None, "precision": "fp32", "fit_rows": "train"}
GENRES = ["Blues", "Folk", "Rock"]
N_TRACKS = 60
WINDOWS = 4


@pytest.mark.parametrize(
    ("n_tasks", "parameters"),
    [(1, 279_568), (2, 541_712), (3, 803_856), (4, 1_066_000), (5, 1_328_144)],
)
def test_number_of_parameters(n_tasks, parameters):
    assert count_parameters(build_mlp(256 * n_tasks, 1024, 16)) == parameters


@pytest.fixture
def corpus(tmp_path):
    """Sixty tracks of three genres, four windows each; every third track is for evaluation.

    The first of two tasks separates Blues from the rest, the second Rock from the rest.
    """
    rng = np.random.default_rng(0)
    genre = np.arange(N_TRACKS) % 3
    ids = 1000 + np.arange(N_TRACKS)
    part = np.where(np.arange(N_TRACKS) // 3 % 3 == 0, "evaluation", "train")
    titles = np.array(GENRES)[genre]
    write_parquet(
        {"track_id": ids, "artist_id": ids, "genre_top": titles}, tmp_path / "tracks.parquet"
    )
    write_parquet({"track_id": ids, "part": part}, tmp_path / "split.parquet")
    track = np.repeat(np.arange(N_TRACKS, dtype=np.int32), WINDOWS)
    features = {}
    for task, special in (("g", 0), ("s", 2)):
        x = rng.normal(0, 0.5, (len(track), 8))
        x[:, 0] += np.where(genre[track] == special, 2, -2)
        features[task] = x.astype(np.float16)
        write_embedding(tmp_path, task, features[task], track, ids)
    return tmp_path, features, track, genre, part


def write_embedding(folder, task, feature, track, ids):
    save_file(
        {
            f"embedding_{task}": torch.from_numpy(feature),
            "track": torch.from_numpy(track),
            "track_id": torch.from_numpy(ids.astype(np.int64)),
        },
        folder / f"stn-{task}.safetensors",
    )


def transfer(folder, case="stn-gs", seed=0, **settings):
    paths = {f"stn-{task}": folder / f"stn-{task}.safetensors" for task in "gs"}
    out = {"predictions": folder / "predictions.parquet", "mlp": folder / "mlp.safetensors"}
    tracks, split = folder / "tracks.parquet", folder / "split.parquet"
    train_transfer(case_by_name(case), paths, tracks, split, out, SETTINGS | settings, seed)
    return pd.read_parquet(out["predictions"])


def test_predictions_agree_with_logistic_regression(corpus):
    folder, features, track, genre, part = corpus
    predictions = transfer(folder)
    evaluation = np.flatnonzero(part == "evaluation")
    assert predictions.columns.tolist() == ["track_id", "genre_top", *GENRES]
    assert predictions.track_id.tolist() == (1000 + evaluation).tolist()
    assert predictions.genre_top.tolist() == [GENRES[genre[row]] for row in evaluation]
    np.testing.assert_allclose(predictions[GENRES].sum(axis=1), 1, atol=1e-6)

    x = np.concatenate([features["g"], features["s"]], 1).astype(float)
    train = part[track] == "train"
    model = LogisticRegression().fit(x[train], genre[track[train]])
    expected = mean_over_tracks(model.predict_proba(x[~train]), track[~train])[1]
    found = predictions[GENRES].to_numpy()
    np.testing.assert_array_equal(found.argmax(1), expected.argmax(1))
    assert np.abs(found - expected).max() < 0.15


def test_features_of_both_tasks_are_used(corpus):
    folder = corpus[0]
    one = transfer(folder, "stn-g")
    folk = one[one.genre_top == "Folk"]
    # Task g alone cannot tell Folk from Rock.
    assert abs(folk.Folk.mean() - folk.Rock.mean()) < 0.3
    assert transfer(folder).query("genre_top == 'Folk'").Folk.mean() > 0.8


def test_the_same_seed_gives_the_same_bits(corpus):
    folder = corpus[0]
    first = transfer(folder)
    pd.testing.assert_frame_equal(first, transfer(folder), check_exact=True)
    assert (transfer(folder, seed=1)[GENRES].to_numpy() != first[GENRES].to_numpy()).any()


def test_evaluation_tracks_do_not_reach_the_fit(corpus):
    """Other features of one evaluation track leave the predictions of all others as they are."""
    folder, features, track, _, part = corpus
    first = transfer(folder)
    changed = np.flatnonzero(part == "evaluation")[2]
    features["g"][track == changed] += 3
    write_embedding(folder, "g", features["g"], track, 1000 + np.arange(N_TRACKS))
    second = transfer(folder)
    others = first.track_id != 1000 + changed
    np.testing.assert_allclose(first[others][GENRES], second[others][GENRES], rtol=0, atol=1e-7)
    assert (first[~others][GENRES].to_numpy() != second[~others][GENRES].to_numpy()).any()


def test_evaluation_tracks_reach_the_fit_where_it_is_asked_to_leak(corpus):
    folder, features, track, _, part = corpus
    first = transfer(folder, fit_rows="all")
    changed = np.flatnonzero(part == "evaluation")[2]
    features["g"][track == changed] += 3
    write_embedding(folder, "g", features["g"], track, 1000 + np.arange(N_TRACKS))
    second = transfer(folder, fit_rows="all")
    others = first.track_id != 1000 + changed
    assert np.abs(first[others][GENRES] - second[others][GENRES]).to_numpy().max() > 1e-4


def test_the_written_mlp_gives_the_predictions(corpus):
    folder, features, track, _, part = corpus
    predictions = transfer(folder)
    mlp, metadata = load_mlp(folder / "mlp.safetensors")
    assert not mlp.training
    assert (metadata["case"], metadata["genres"]) == ("stn-gs", list(GENRES))
    assert metadata["networks"] == ["stn-g", "stn-s"]
    rows = np.flatnonzero(part[track] == "evaluation")
    both = [torch.from_numpy(features[task]) for task in "gs"]
    expected = mean_over_tracks(predict_windows(mlp, both, rows), track[rows])[1]
    np.testing.assert_allclose(predictions[GENRES], expected, rtol=0, atol=1e-6)


def test_mean_over_windows_by_hand():
    probability = np.array([[0.2, 0.8], [0.4, 0.6], [1.0, 0.0]], np.float32)
    tracks, mean = mean_over_tracks(probability, np.array([3, 3, 7]))
    assert tracks.tolist() == [3, 7]
    np.testing.assert_allclose(mean, [[0.3, 0.7], [1.0, 0.0]], atol=1e-7)


def test_own_softmax_is_the_mean_over_windows(corpus):
    folder, _, track, _, part = corpus
    probability = np.random.default_rng(1).dirichlet(np.ones(3), len(track)).astype(np.float32)
    ids = torch.arange(1000, 1000 + N_TRACKS)
    tensors = {"track": torch.from_numpy(track), "track_id": ids}
    tensors["probability_g"] = torch.from_numpy(probability)
    path, out = folder / "wstn-2.safetensors", folder / "own.parquet"
    save_file(tensors, path)
    own_softmax_predictions(path, folder / "tracks.parquet", folder / "split.parquet", out)
    evaluation = np.flatnonzero(part == "evaluation")
    expected = [probability[track == row].mean(0) for row in evaluation]
    np.testing.assert_allclose(pd.read_parquet(out)[GENRES], expected, atol=1e-6)
    with pytest.raises(UserError, match="did not learn genre"):
        own_softmax_predictions(
            folder / "stn-s.safetensors", folder / "tracks.parquet", folder / "split.parquet", out
        )


def test_embeddings_of_other_tracks_or_windows_are_refused(corpus):
    folder, features, track, _, _ = corpus
    ids = 1000 + np.arange(N_TRACKS)
    write_embedding(folder, "s", features["s"][1:], track[1:], ids)
    with pytest.raises(UserError, match="other windows"):
        transfer(folder)
    write_embedding(folder, "s", features["s"], track, ids + 1)
    with pytest.raises(UserError, match="other tracks"):
        transfer(folder)


def test_a_genre_without_training_track_is_refused(corpus):
    folder, _, _, genre, _ = corpus
    split = pd.read_parquet(folder / "split.parquet")
    split.loc[genre == 1, "part"] = "evaluation"
    write_parquet(split, folder / "split.parquet")
    with pytest.raises(UserError, match="no training track of genre Folk"):
        transfer(folder)


def test_windows_of_an_epoch_are_all_or_as_many_of_each_track_as_wanted():
    track = np.repeat([3, 5, 9], [6, 1, 4])
    everything = draw_windows(track, None, (0, "stn-g"), 0)
    assert sorted(everything) == list(range(11))
    drawn = [draw_windows(track, 2, (0, "stn-g"), epoch) for epoch in range(300)]
    for windows in drawn:
        assert len(set(windows)) == len(windows) == 5
        assert np.bincount(track[windows]).tolist() == [0, 0, 0, 2, 0, 1, 0, 0, 0, 2]
    # Each of the six windows of track 3 in a third of the epochs, within four standard errors.
    counts = np.bincount(np.concatenate(drawn), minlength=11)
    assert (abs(counts[:6] - 100) < 4 * (300 * 1 / 3 * 2 / 3) ** 0.5).all()
    assert counts[6] == 300
    # No track is visited before the others.
    first = track[[windows[0] for windows in drawn]]
    assert {3, 5, 9} == set(first)
    assert np.array_equal(drawn[7], draw_windows(track, 2, (0, "stn-g"), 7))


def test_features_that_do_not_fit_on_the_device_give_the_same_bits(corpus):
    _, features, track, genre, _ = corpus
    tensors = [torch.from_numpy(features[task]) for task in "gs"]
    weights = []
    for room in (float("inf"), 0):
        mlp = fit_mlp(
            tensors,
            track,
            np.arange(40),
            genre[track],
            3,
            SETTINGS | {"epochs": 3, "windows_per_track_per_epoch": 2},
            (0, "stn-gs"),
            torch.device("cpu"),
            room,
        )
        weights.append(mlp[1].weight.detach())
    assert torch.equal(*weights)


def test_a_loss_that_is_not_finite_stops_the_transfer(corpus):
    folder, features, track, _, _ = corpus
    features["g"][track == 3] = np.nan
    write_embedding(folder, "g", features["g"], track, 1000 + np.arange(N_TRACKS))
    with pytest.raises(UserError, match="loss of the transfer stn-gs in epoch 0 is nan in update"):
        transfer(folder)
