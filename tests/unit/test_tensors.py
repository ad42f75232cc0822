"""Tensor files, against the safetensors library."""

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file

from agf.errors import UserError
from agf.tensors import reading_tensors, writing_tensors


def test_the_library_reads_what_was_written_piece_by_piece(tmp_path):
    rng = np.random.default_rng(0)
    values = {
        "odd": rng.integers(0, 256, (7, 3), dtype=np.uint8),
        "half": rng.normal(size=(5, 4)).astype(np.float16),
        "single": rng.normal(size=9).astype(np.float32),
        "track": np.arange(3, dtype=np.int32),
        "id": np.array([2**40, -1]),
        "empty": np.zeros((0, 256), np.float16),
    }
    path = tmp_path / "folder" / "file.safetensors"
    shapes = {name: (str(value.dtype), value.shape) for name, value in values.items()}
    with writing_tensors(path, shapes, {"network": "stn-ä"}) as arrays:
        for name, value in values.items():
            for i in reversed(range(len(value))):
                arrays[name][i] = value[i]
        assert not path.exists()
    found = load_file(path)
    assert found.keys() == values.keys()
    for name, value in values.items():
        assert found[name].dtype == value.dtype
        np.testing.assert_array_equal(found[name], value)
    with safe_open(path, "np") as file:
        assert file.metadata() == {"agf": '{"network": "stn-\\u00e4"}'}
    with reading_tensors(path) as file:
        half = file.get_tensor("half")
    np.testing.assert_array_equal(half.numpy(), values["half"])


def test_a_file_begun_and_not_ended_is_not_there(tmp_path):
    path = tmp_path / "file.safetensors"
    with (
        pytest.raises(KeyboardInterrupt),
        writing_tensors(path, {"a": ("float32", (4,))}) as arrays,
    ):
        arrays["a"][:2] = 1
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [None, b"", b"x" * 100])
def test_what_is_no_tensor_file_is_named(tmp_path, content):
    path = tmp_path / "file.safetensors"
    if content is not None:
        path.write_bytes(content)
    refused = pytest.raises(UserError, match=r"file\.safetensors is missing or no safetensors file")
    with refused, reading_tensors(path):
        pass
