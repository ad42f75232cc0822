"""Windows and their embeddings."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from agf.files import write_parquet
from agf.networks.crops import Scaler, gather
from agf.networks.mels import pack_mels, read_mels
from agf.networks.model import build_network, load_weights, save_weights
from agf.tasks import network_by_name
from agf.transfer.embedding import embed_tracks, window_starts

LENGTHS = {7: 43, 3: 63, 5: 64, 9: 150}


def test_windows_by_hand():
    assert window_starts(42).tolist() == []
    assert window_starts(43).tolist() == [0]
    assert window_starts(63).tolist() == [0]
    assert window_starts(64).tolist() == [0, 21]
    # 30 s at 44.1 kHz with hop 1024 are 1292 frames: 60 windows, 1249 the last start possible.
    starts = window_starts(1292)
    assert len(starts) == 60
    assert starts[-1] + 43 <= 1292 < starts[-1] + 21 + 43


@pytest.fixture(scope="module")
def embedded(tmp_path_factory):
    """An untrained network of tasks g and s, and its embeddings of four tracks."""
    folder = tmp_path_factory.mktemp("embedded")
    rng = np.random.default_rng(0)
    write_parquet(
        {
            "track_id": np.array(list(LENGTHS)),
            "digest": [f"{i:064x}" for i in LENGTHS],
            "n_frames": np.array(list(LENGTHS.values()), np.int32),
            "max_db": np.array([0, 3, 6, 9], np.float32),
            "mel": [
                rng.integers(0, 256, (n, 128), dtype=np.uint8).tobytes() for n in LENGTHS.values()
            ],
        },
        folder / "mel.parquet",
    )
    ids = sorted(LENGTHS)
    write_parquet(
        {"track_id": np.array(ids), "artist_id": np.arange(4), "genre_top": list("ABAB")},
        folder / "tracks.parquet",
    )
    pack_mels([folder / "mel.parquet"], folder / "tracks.parquet", folder / "mels.safetensors")
    for precision in ("fp32", "bf16"):
        write_weights(folder, precision)
    return folder


def write_weights(folder, precision):
    torch.manual_seed(0)
    network = network_by_name("mtn-gs")
    model = build_network(network, {"g": 2, "s": 3}, 0.1)
    metadata = {
        "network": network.name,
        "tasks": network.tasks,
        "n_outputs": {"g": 2, "s": 3},
        "genres": ["A", "B"],
        "scaler": {"mean": [-30.0] * 128, "std": [25.0] * 128},
        "settings": {"crop_frames": 43, "top_db": 80.0, "precision": precision},
    }
    save_weights(model, folder / f"{precision}.safetensors", metadata)


def embed(folder, out, precision="fp32"):
    mels, tracks = folder / "mels.safetensors", folder / "tracks.parquet"
    embed_tracks(folder / f"{precision}.safetensors", mels, tracks, out, {"hop_frames": 21})
    return load_file(out)


def test_embeddings_are_those_of_each_window_alone(embedded, tmp_path):
    result = embed(embedded, tmp_path / "e.safetensors")
    ids = sorted(LENGTHS)
    assert result["track_id"].tolist() == ids
    windows = [(row, start) for row, i in enumerate(ids) for start in window_starts(LENGTHS[i])]
    assert result["track"].tolist() == [row for row, _ in windows]
    assert result["track"].dtype == torch.int32
    mels = read_mels(embedded / "mels.safetensors", ids, 43)
    model, _ = load_weights(embedded / "fp32.safetensors")
    scaler = Scaler(torch.full((128,), -30.0), torch.full((128,), 25.0))
    with torch.inference_mode():
        for i, (row, start) in enumerate(windows):
            x = gather(mels, np.array([row]), np.array([start]), 43, scaler, 80.0)
            for task in "gs":
                feature = result[f"embedding_{task}"][i]
                assert feature.dtype == torch.float16
                expected = model.embed(x, task)[0]
                torch.testing.assert_close(feature.float(), expected, rtol=2e-3, atol=2e-3)
            expected = torch.softmax(model(x, "g")[0], 0)
            torch.testing.assert_close(result["probability_g"][i], expected, rtol=1e-4, atol=1e-5)


def test_embeddings_are_repeatable_and_hardly_depend_on_precision(embedded, tmp_path):
    first = embed(embedded, tmp_path / "a.safetensors", precision="bf16")
    embed(embedded, tmp_path / "b.safetensors", precision="bf16")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    exact = embed(embedded, tmp_path / "c.safetensors")
    error = (first["embedding_g"].float() - exact["embedding_g"].float()).square().mean()
    assert error < 1e-3 * exact["embedding_g"].float().square().mean()
