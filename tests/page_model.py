"""A model folder for tests of the page: an ONNX file written by hand, and made-up artist groups."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from agf.files import write_json
from agf.predict.model import FORMAT
from agf.provenance import file_digest

RATE = 22050
N_BANDS, N_FRAMES = 128, 43
GENRES = ["Electronic", "Folk", "Hip-Hop", "Jazz", "Old-Time / Historic", "Pop", "Rock", "Spoken"]
N_TOPICS = 6
ARTISTS = ["The <b>Ninth</b> Wave", "Åsa & Björn", "Mutabaruka Sound System", "Trio Noir"]


def write_page_model(folder):
    """Write a model folder of case mtn-gs whose genres are shades of high and low; return it."""
    folder.mkdir(parents=True)
    _write_onnx(folder / "model.onnx")
    groups = [
        {
            "size": 1 / N_TOPICS,
            "artists": [[f"{name} {topic}", 0.9 - 0.1 * i] for i, name in enumerate(ARTISTS)],
            "genres": [[GENRES[topic], 0.6], [GENRES[topic + 1], 0.3]],
        }
        for topic in range(N_TOPICS)
    ]
    write_json({"s": groups}, folder / "groups.json")
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
        "groups": "groups.json",
        "onnx": {"file": "model.onnx", "outputs": ["probabilities", "topics_s"]},
        "trained_on": {"corpus": "small"},
        "sha256": {name: file_digest(folder / name) for name in ("groups.json", "model.onnx")},
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
    """Softmax of weighted means of the bands, for genres and for topics."""
    rng = np.random.default_rng(0)
    bands = np.linspace(0, 1, N_BANDS)
    constants, nodes = {"axes": np.array([2])}, []
    nodes.append(helper.make_node("ReduceMean", ["mel_db", "axes"], ["bands"], keepdims=0))
    for name, n in (("probabilities", len(GENRES)), ("topics_s", N_TOPICS)):
        centres = np.linspace(0.05, 0.95, n)[rng.permutation(n)]
        weights = np.exp(-(((bands[:, None] - centres) / 0.1) ** 2))
        constants[f"weights_{name}"] = (0.25 * weights / weights.sum(0)).astype(np.float32)
        nodes.append(helper.make_node("MatMul", ["bands", f"weights_{name}"], [f"logits_{name}"]))
        nodes.append(helper.make_node("Softmax", [f"logits_{name}"], [name], axis=1))
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "page",
        [value("mel_db", TensorProto.FLOAT, ["windows", N_BANDS, N_FRAMES])],
        [
            value("probabilities", TensorProto.FLOAT, ["windows", len(GENRES)]),
            value("topics_s", TensorProto.FLOAT, ["windows", N_TOPICS]),
        ],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    path.write_bytes(model.SerializeToString())
