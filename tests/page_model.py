"""A model folder for tests of the page: an ONNX file written by hand."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from agf.files import write_json
from agf.predict.model import FORMAT
from agf.provenance import file_digest

RATE = 22050
N_BANDS, N_FRAMES = 128, 43
GENRES = ["Electronic", "Folk", "Hip-Hop", "Jazz", "Old-Time / Historic", "Pop", "Rock", "Spoken"]


def write_page_model(folder):
    """Write a model folder of case mtn-gs whose genres are shades of high and low; return it."""
    folder.mkdir(parents=True)
    _write_onnx(folder / "model.onnx")
    config = {
        "format": FORMAT,
        "case": "mtn-gs",
        "tasks": "gs",
        "genres": GENRES,
        "spectrogram": {
            "sample_rate": RATE,
            "n_fft": 1024,
            "hop_length": 512,
            "n_mels": N_BANDS,
            "top_db": 80.0,
        },
        "window": {"frames": N_FRAMES, "hop_frames": 21},
        "excerpt": {"max_duration": None, "offset": "middle"},
        "onnx": {"file": "model.onnx"},
        "trained_on": {"corpus": "small"},
        "sha256": {"model.onnx": file_digest(folder / "model.onnx")},
    }
    write_json(config, folder / "config.json")
    return folder


def music(seconds, seed=0):
    """Return a tone that leaps between low and high every few seconds, over noise."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(RATE * seconds)) / RATE
    pitch = 110 * 2 ** rng.integers(0, 6, int(seconds / 2) + 1)[(t / 2).astype(int)]
    tone = sum(np.sin(2 * np.pi * k * np.cumsum(pitch) / RATE) / k for k in (1, 2, 3, 4))
    return (0.2 * tone + 0.01 * rng.normal(size=len(t))).astype(np.float32)


def _write_onnx(path):
    """Softmax of weighted means of the bands, whose centres are mixed."""
    bands = np.linspace(0, 1, N_BANDS)
    order = np.random.default_rng(0).permutation(len(GENRES))
    centres = np.linspace(0.05, 0.95, len(GENRES))[order]
    weights = np.exp(-(((bands[:, None] - centres) / 0.1) ** 2))
    weights = (0.25 * weights / weights.sum(0)).astype(np.float32)
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["mel_db", "axes"], ["bands"], keepdims=0),
            helper.make_node("MatMul", ["bands", "weights"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        ],
        "page",
        [value("mel_db", TensorProto.FLOAT, ["windows", N_BANDS, N_FRAMES])],
        [value("probabilities", TensorProto.FLOAT, ["windows", len(GENRES)])],
        [
            numpy_helper.from_array(np.array([2]), "axes"),
            numpy_helper.from_array(weights, "weights"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    path.write_bytes(model.SerializeToString())
