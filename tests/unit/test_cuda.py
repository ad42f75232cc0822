"""What only a GPU can show: graphs, their memory, and data that do not fit."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from test_mlp import SETTINGS as MLP_SETTINGS
from test_training import corpus, same_bits, train

from agf.networks import training, updates
from agf.networks.device import RESERVED_BYTES, training_bytes
from agf.networks.model import build_network
from agf.tasks import network_by_name
from agf.transfer import embedding
from agf.transfer.embedding import embed_tracks
from agf.transfer.mlp import fit_mlp

__all__ = ["corpus"]

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")

DEVICE = torch.device("cuda", 0)


def assert_close(first, second, tolerance):
    assert first.keys() == second.keys()
    for name, value in first.items():
        if value.is_floating_point():
            torch.testing.assert_close(value, second[name], rtol=tolerance, atol=tolerance)
        else:
            assert torch.equal(value, second[name])


def test_a_graph_does_what_the_update_does(corpus, tmp_path, monkeypatch):
    """Weights after 16 updates of two tasks: rounding of another order of sums, no more."""
    graph, history, _ = train(corpus, tmp_path / "graph", "mtn-gs", precision="fp32")
    monkeypatch.setattr(updates, "capture", lambda update, *rest: update)
    eager, eager_history, _ = train(corpus, tmp_path / "eager", "mtn-gs", precision="fp32")
    assert_close(graph, eager, 1e-3)
    np.testing.assert_allclose(history.loss, eager_history.loss, rtol=1e-3)


@pytest.mark.parametrize("precision", ["tf32", "bf16"])
def test_a_rerun_gives_the_same_bits(corpus, tmp_path, precision):
    first, _, _ = train(corpus, tmp_path / "first", "mtn-gs", precision=precision)
    again, _, _ = train(corpus, tmp_path / "again", "mtn-gs", precision=precision)
    assert same_bits(first, again)


def test_a_resumed_training_gives_the_same_bits(corpus, tmp_path, monkeypatch):
    whole, _, _ = train(corpus, tmp_path / "whole", "mtn-gs")
    draw = training.draw_crops

    def killed(seed, network, epoch, *rest):
        if epoch == 5:
            raise KeyboardInterrupt
        return draw(seed, network, epoch, *rest)

    monkeypatch.setattr(training, "draw_crops", killed)
    with pytest.raises(KeyboardInterrupt):
        train(corpus, tmp_path / "resumed", "mtn-gs", checkpoint_seconds=0.0)
    monkeypatch.setattr(training, "draw_crops", draw)
    resumed, _, _ = train(corpus, tmp_path / "resumed", "mtn-gs")
    assert same_bits(whole, resumed)


def test_spectrograms_that_do_not_fit_give_the_same_bits(corpus, tmp_path, monkeypatch):
    resident, _, _ = train(corpus, tmp_path / "resident", "mtn-gs")
    monkeypatch.setattr(training, "bytes_for_data", lambda *a: 0)
    streamed, _, _ = train(corpus, tmp_path / "streamed", "mtn-gs")
    assert same_bits(resident, streamed)


def test_windows_have_the_embedding_that_the_cpu_gives(corpus, tmp_path, monkeypatch):
    train(corpus, tmp_path, "mtn-gs", precision="fp32")
    weights = tmp_path / "w.safetensors"
    found = {}
    for device in ("cuda", "cpu"):
        if device == "cpu":
            monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        out = tmp_path / f"{device}.safetensors"
        embed_tracks(weights, corpus["mels"], corpus["tracks"], out, {"hop_frames": 21})
        found[device] = load_file(out)
    assert_close(found["cuda"], found["cpu"], 5e-3)
    assert embedding.WINDOWS_AT_A_TIME.keys() == {"cpu", "cuda"}


def fit(room=float("inf")):
    rng = np.random.default_rng(0)
    track = np.repeat(np.arange(50), 8)
    labels = (np.arange(50) % 3)[track]
    features = [torch.from_numpy(rng.normal(labels[:, None], 1, (400, 256)).astype(np.float16))]
    settings = MLP_SETTINGS | {"epochs": 3, "hidden_units": 1024}
    rows = np.arange(320)
    mlp = fit_mlp(features * 2, track, rows, labels, 3, settings, (0, "stn-gs"), DEVICE, room)
    return {name: value.cpu() for name, value in mlp.state_dict().items()}


def test_the_mlp_is_the_same_by_graph_again_and_from_the_memory_of_the_cpu(monkeypatch):
    first = fit()
    assert same_bits(first, fit())
    assert same_bits(first, fit(room=0))
    monkeypatch.setattr(updates, "capture", lambda update, *rest: update)
    assert_close(first, fit(), 1e-3)


def test_a_training_takes_no_more_memory_than_it_says(corpus, tmp_path):
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    train(corpus, tmp_path, "mtn-gs", batch_size=12)
    model = build_network(network_by_name("mtn-gs"), {"g": 2, "s": 3}, 0.1)
    batch = torch.empty(12, 1, 128, 43, device="meta")
    needed = training_bytes(model, lambda model, x: [model(x, task) for task in "gs"], batch)
    assert torch.cuda.max_memory_reserved() < needed + RESERVED_BYTES
