"""The ONNX file of a model folder."""

import json

import numpy as np
import onnx
import pytest
import torch

from agf.errors import UserError
from agf.export.onnx_file import check_onnx
from agf.export.system import load_system
from agf.networks.model import load_weights
from agf.predict import load


@pytest.fixture(params=["stn-gs", "mtn-gs", "wstn-2"])
def folder(request, exported):
    return exported(request.param)


def windows_of(folder, n):
    rng = np.random.default_rng(n)
    return rng.uniform(-70, 30, (n, 128, 43)).astype(np.float32)


@pytest.mark.parametrize("n", [1, 3, 200])
def test_onnx_is_torch_for_any_number_of_windows(folder, n):
    windows = windows_of(folder, n)
    probabilities = load(folder).run(windows)
    assert probabilities.shape == (n, 3) and probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities, load(folder, "torch").run(windows), rtol=0, atol=1e-5)
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-6)
    for backend in ("onnx", "torch"):
        _, topics = load(folder, backend).outputs(windows)
        assert list(topics) == [task for task in "s" if "-gs" in folder.name]
        for values in topics.values():
            assert values.shape == (n, 5) and values.dtype == np.float32
            np.testing.assert_allclose(values.sum(1), 1, atol=1e-6)
    # Else it would be no test: the windows must not all look alike to the system.
    assert n == 1 or np.ptp(probabilities, axis=0).max() > 1e-3


def test_the_difference_stated_is_the_one_found(folder):
    config = json.loads((folder / "config.json").read_text())
    found = check_onnx(load_system(folder, config), 43, folder / "model.onnx")
    assert found == config["onnx"]["max_difference"] <= config["onnx"]["tolerance"] == 1e-4
    assert f"was {found:.1e}." in (folder / "README.md").read_text()


def test_a_difference_stops_the_export(exported):
    folder = exported("mtn-gs")
    system = load_system(folder, json.loads((folder / "config.json").read_text()))
    with torch.no_grad():
        system.mlp[4].bias[0] += 0.01
    with pytest.raises(UserError, match="ONNX and torch differ by"):
        check_onnx(system, 43, folder / "model.onnx")


def test_nodes_carry_no_notes_of_the_exporter(folder):
    model = onnx.load(folder / "model.onnx")
    assert len(model.graph.node) > 20
    assert not [node.name for node in model.graph.node if node.metadata_props or node.doc_string]
    assert {operator.domain for operator in model.opset_import} == {""}
    (mel,) = model.graph.input
    assert mel.type.tensor_type.shape.dim[0].dim_param == "windows"


def test_topics_are_what_the_network_of_their_task_says(folder):
    """Computed once more from the network's own forward pass, without the whole system."""
    windows = windows_of(folder, 4)
    _, topics = load(folder).outputs(windows)
    config = json.loads((folder / "config.json").read_text())
    for entry in config["networks"]:
        model, _ = load_weights(folder / entry["file"])
        mean, std = (np.float32(entry["scaler"][part])[:, None] for part in ("mean", "std"))
        x = torch.from_numpy((windows - mean) / std)[:, None]
        for task in set(entry["tasks"]) - {"g"}:
            with torch.inference_mode():
                expected = model(x, task).softmax(1).numpy()
            np.testing.assert_allclose(topics[task], expected, rtol=0, atol=1e-5)
            assert np.ptp(expected, axis=0).max() > 1e-3
