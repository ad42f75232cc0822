"""Training: what is learnt, what is repeatable, what is refused."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from agf.errors import UserError
from agf.files import write_parquet
from agf.networks import training
from agf.networks.crops import fit_scaler
from agf.networks.data import read_training_data
from agf.networks.mels import pack_mels
from agf.networks.model import load_weights
from agf.networks.training import draw_task, train_network
from agf.tasks import network_by_name

SETTINGS = {
    "epochs": 4,
    "batch_size": 6,
    "learning_rate": 1e-3,
    "weight_decay": 2e-5,
    "crop_frames": 43,
    "precision": "bf16",
    "bn_momentum": 0.1,
    "bn_reestimate": True,
    "top_db": 80.0,
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Fourteen tracks of seven artists: Folk pulses every 8 frames in noise, Rock every 16.

    Twelve tracks train. Artist 6 has no topics for task s; all other artists have the same ones.
    """
    folder = tmp_path_factory.mktemp("corpus")
    rng = np.random.default_rng(0)
    ids = np.arange(100, 114)
    genres = np.array(["Rock", "Folk"] * 7)
    artists = np.arange(14) // 2
    spectrograms = []
    for genre, n_frames in zip(genres, rng.integers(43, 90, 14), strict=True):
        period = 8 if genre == "Folk" else 16
        pulse = (np.arange(n_frames) + rng.integers(16)) % period < period // 2
        levels = rng.integers(0, 160, (n_frames, 128)) + 90 * pulse[:, None]
        spectrograms.append(levels.astype(np.uint8))
    paths = {name: folder / f"{name}.parquet" for name in ("mel", "tracks", "split", "scaler", "s")}
    paths["mels"] = folder / "mels.safetensors"
    write_parquet(
        {
            "track_id": ids,
            "digest": [f"{i:064x}" for i in ids],
            "n_frames": np.array([len(s) for s in spectrograms], np.int32),
            "max_db": np.zeros(14, np.float32),
            "mel": [s.tobytes() for s in spectrograms],
        },
        paths["mel"],
    )
    write_parquet({"track_id": ids, "artist_id": artists, "genre_top": genres}, paths["tracks"])
    pack_mels([paths["mel"]], paths["tracks"], paths["mels"])
    part = ["train"] * 10 + ["evaluation"] * 2 + ["train"] * 2
    write_parquet({"track_id": ids, "part": part}, paths["split"])
    fit_scaler(paths["mels"], paths["split"], paths["scaler"], {"top_db": 80.0})
    topics = np.array([[0.2, 0.5, 0.3]] * 7)
    topics[6] = np.nan
    table = {"artist_id": np.arange(7), "n_tracks": np.full(7, 2)}
    write_parquet({**table, **{f"topic_{i:02d}": topics[:, i] for i in range(3)}}, paths["s"])
    return paths


def train(corpus, folder, name="stn-g", code="code", checkpoint_seconds=60.0, **changes):
    out = {"weights": folder / "w.safetensors", "history": folder / "h.parquet"}
    out["summary"] = folder / "summary.json"
    train_network(
        network_by_name(name),
        corpus["mels"],
        corpus["tracks"],
        corpus["split"],
        corpus["scaler"],
        {"s": corpus["s"]},
        out,
        SETTINGS | changes,
        seed=3,
        resume_dir=folder / "resume",
        code=code,
        checkpoint_seconds=checkpoint_seconds,
    )
    history = pd.read_parquet(out["history"])
    return load_file(out["weights"]), history, json.loads(out["summary"].read_text())


def same_bits(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_a_separable_problem_is_learnt_and_batch_norm_is_sound(corpus, tmp_path, precision):
    _, history, summary = train(corpus, tmp_path, epochs=20, precision=precision)
    assert history.loss[0] > 0.4  # two genres by chance: ln 2 = 0.69
    assert history.loss[-4:].mean() < 0.1
    task = summary["tasks"]["g"]
    assert task["evaluation_mode_loss"] < 0.05
    assert not task["gap_warning"]
    assert task["updates"] == history.updates.iloc[-1] == 20 * (12 // 6)
    assert task["training_loss"] == pytest.approx(history.loss[-2:].mean())
    assert history.columns.tolist() == ["epoch", "task", "loss", "updates", "seconds"]
    model, metadata = load_weights(tmp_path / "w.safetensors")
    assert metadata["genres"] == ["Folk", "Rock"]
    beta = model.features["g"][-4].bias
    assert beta.abs().max() == 0
    assert not (tmp_path / "resume").exists() or not list((tmp_path / "resume").iterdir())


def test_statistics_that_never_left_their_start_are_reported(corpus, tmp_path, caplog):
    """Inputs far from zero mean, and a momentum so small that batch norm never learns of it."""
    scaler = pd.read_parquet(corpus["scaler"])
    write_parquet(scaler.assign(mean=scaler["mean"] - 200), tmp_path / "scaler.parquet")
    shifted = corpus | {"scaler": tmp_path / "scaler.parquet"}
    stale = {"epochs": 20, "bn_momentum": 0.001}
    _, _, summary = train(shifted, tmp_path, bn_reestimate=False, **stale)
    task = summary["tasks"]["g"]
    assert task["evaluation_mode_loss"] > task["training_loss"] + 0.5
    assert task["gap_warning"]
    assert "evaluation mode" in caplog.text
    caplog.clear()
    _, _, summary = train(shifted, tmp_path, bn_reestimate=True, **stale)
    assert not summary["tasks"]["g"]["gap_warning"]
    assert caplog.text == ""


def test_a_multi_task_network_is_repeatable_and_resumes_with_the_same_bits(
    corpus, tmp_path, monkeypatch
):
    whole, history, _ = train(corpus, tmp_path / "whole", "mtn-gs")
    assert len(history) == 4 * 2
    assert set(history.task) == {"g", "s"}

    draw = training.draw_crops

    def killed(seed, network, epoch, *rest):
        if epoch == 5:
            raise KeyboardInterrupt
        return draw(seed, network, epoch, *rest)

    resumed = tmp_path / "resumed"
    monkeypatch.setattr(training, "draw_crops", killed)
    with pytest.raises(KeyboardInterrupt):
        train(corpus, resumed, "mtn-gs", checkpoint_seconds=0.0)
    states = list((resumed / "resume").glob("*/state.safetensors"))
    assert len(states) == 1

    epochs = []
    monkeypatch.setattr(training, "draw_crops", lambda *a: (epochs.append(a[2]), draw(*a))[1])
    again, resumed_history, _ = train(corpus, resumed, "mtn-gs")
    assert [epoch for epoch in epochs if isinstance(epoch, int)] == [5, 6, 7]
    assert same_bits(whole, again)
    compared = ["epoch", "task", "loss", "updates"]
    pd.testing.assert_frame_equal(history[compared], resumed_history[compared])
    assert not states[0].parent.exists()


def test_other_code_or_settings_and_a_torn_state_start_anew(corpus, tmp_path, monkeypatch):
    whole, _, _ = train(corpus, tmp_path / "whole", epochs=2)
    draw = training.draw_crops

    def killed(seed, network, epoch, *rest):
        if epoch == 1:
            raise KeyboardInterrupt
        return draw(seed, network, epoch, *rest)

    folder = tmp_path / "torn"
    for changes in ({}, {"code": "changed"}, {"learning_rate": 1e-2}):
        monkeypatch.setattr(training, "draw_crops", killed)
        with pytest.raises(KeyboardInterrupt):
            train(corpus, folder, checkpoint_seconds=0.0, epochs=2, **changes)
    states = list((folder / "resume").glob("*/state.safetensors"))
    assert len(states) == 3
    for state in states:
        state.write_bytes(state.read_bytes()[:1000])
    monkeypatch.setattr(training, "draw_crops", draw)
    again, _, _ = train(corpus, folder, epochs=2)
    assert same_bits(whole, again)


def test_tracks_of_artists_without_topics_are_left_out_of_their_task(corpus):
    network = network_by_name("mtn-gs")
    data = read_training_data(
        network,
        corpus["mels"],
        corpus["tracks"],
        corpus["split"],
        corpus["scaler"],
        {"s": corpus["s"]},
        43,
    )
    assert data.rows["g"].tolist() == list(range(12))
    assert data.rows["s"].tolist() == list(range(10))
    torch.testing.assert_close(data.targets["s"][0], torch.tensor([0.2, 0.5, 0.3]))
    # Tracks alternate between Rock and Folk; the outputs are in alphabetical order.
    assert data.targets["g"][:2].tolist() == [[0.0, 1.0], [1.0, 0.0]]


def test_loss_of_uninformative_soft_targets_is_their_entropy(corpus, tmp_path):
    """Every artist has the same topics: the best possible loss is the entropy of the target."""
    _, history, summary = train(corpus, tmp_path, "stn-s", epochs=150, precision="fp32")
    target = np.array([0.2, 0.5, 0.3])
    entropy = -(target * np.log(target)).sum()
    assert (history.loss > entropy - 1e-3).all()
    task = summary["tasks"]["s"]
    assert task["evaluation_mode_loss"] == pytest.approx(entropy, abs=0.05)
    assert (task["tracks"], task["tracks_without_target"]) == (10, 2)


def test_every_task_is_drawn_with_the_same_chance():
    network = network_by_name("mtn-gsedm")
    drawn = pd.Series([draw_task(0, network, epoch) for epoch in range(5000)]).value_counts()
    assert set(drawn.index) == set("gsedm")
    assert (abs(drawn - 1000) < 4 * np.sqrt(5000 * 0.2 * 0.8)).all()


def test_a_loss_that_is_not_finite_stops_the_training(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "standardise", lambda *a: torch.full((6, 1, 128, 43), torch.nan))
    with pytest.raises(UserError, match=r"loss of stn-g in epoch 0 \(task g\) is nan in update 0"):
        train(corpus, tmp_path, checkpoint_seconds=0.0)
    assert not list(tmp_path.rglob("state.safetensors"))


def test_a_genre_without_training_track_is_refused(corpus, tmp_path):
    split = pd.read_parquet(corpus["split"])
    genres = pd.read_parquet(corpus["tracks"]).genre_top
    split.loc[genres == "Folk", "part"] = "evaluation"
    write_parquet(split, tmp_path / "split.parquet")
    with pytest.raises(UserError, match="no training track of genre Folk"):
        train(corpus | {"split": tmp_path / "split.parquet"}, tmp_path)


def test_topics_that_are_no_distribution_are_refused(corpus, tmp_path):
    table = pd.read_parquet(corpus["s"])
    table.loc[2, "topic_00"] = 0.9
    write_parquet(table, tmp_path / "s.parquet")
    with pytest.raises(UserError, match="topics of artist 2"):
        train(corpus | {"s": tmp_path / "s.parquet"}, tmp_path, "stn-s")
