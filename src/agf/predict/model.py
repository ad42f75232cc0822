"""Reading a model folder. With onnxruntime behind it, nothing here imports torch."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from agf.errors import UserError
from agf.provenance import file_digest

FORMAT = "agf model folder 2"
"""What ``config.json`` names itself."""

PROBABILITIES, TOPICS = "probabilities", "topics_"
"""Names of the ONNX file's outputs; the second ends in the letter of an AGF task."""

BACKENDS = ("onnx", "torch")

BATCH = 16
"""Windows computed at once: on one core as fast as more of them (benchmarks/predict.py), in a
fraction of their memory."""


class Model(NamedTuple):
    """A system from mel windows to genre.

    Attributes
    ----------
    config : dict
        ``config.json`` of the model folder.
    outputs : callable
        Takes windows in dB, float32, shape (windows, bands, frames), and returns genre
        probabilities, float32, shape (windows, genres), and a dict of topic probabilities by AGF
        task, float32, shape (windows, topics). It may be called from several threads.
    """

    config: dict
    outputs: Callable[[np.ndarray], tuple[np.ndarray, dict[str, np.ndarray]]]

    def run(self, windows):
        """Return genre probabilities of windows, float32, shape (windows, genres)."""
        probabilities, _ = self.outputs(windows)
        return probabilities

    @property
    def genres(self):
        """Titles of the genres, in the order of the probabilities."""
        return self.config["genres"]


def load(folder, backend="onnx", threads=1):
    """Read a model folder.

    Parameters
    ----------
    folder : str or pathlib.Path
        What ``agf export`` wrote.
    backend : "onnx" or "torch"
        What computes: onnxruntime with ``model.onnx``, or PyTorch with the weights.
    threads : int
        Threads that one batch is computed with.

    Returns
    -------
    Model

    Raises
    ------
    UserError
        If the folder is no model folder, a file of it is missing or was changed, or there is no
        such backend or number of threads.
    """
    folder = Path(folder)
    config = _read_config(folder / "config.json")
    if backend not in BACKENDS:
        raise UserError(f"There is no backend {backend!r}, only {' and '.join(BACKENDS)}.")
    if threads < 1:
        raise UserError(f"The number of threads is {threads}; give 1 or more.")
    if backend == "onnx":
        files = [config["onnx"]["file"]]
    else:
        files = [*(entry["file"] for entry in config["networks"]), config["mlp"]]
    for file in files:
        _check(folder / file, config["sha256"][file])
    if backend == "onnx":
        return Model(config, open_onnx(folder / files[0], threads))
    return Model(config, _open_torch(folder, config, threads))


def _read_config(path):
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        found = config["format"]
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(
            f"{path} does not exist: give the folder that `agf export` wrote."
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} is damaged or of something else; export the model again."
        ) from error
    if found != FORMAT:
        raise UserError(f"{path} is of format {found!r}, not {FORMAT!r}: export the model again.")
    return config


def read_checked(folder, config, file):
    """Return the bytes of a file of a model folder that ``config.json`` has the digest of.

    Parameters
    ----------
    folder : str or pathlib.Path
        What ``agf export`` wrote.
    config : dict
        Its ``config.json``.
    file : str
        The file's name.

    Returns
    -------
    bytes

    Raises
    ------
    UserError
        If the file is missing or was changed.
    """
    path = Path(folder) / file
    _check(path, config["sha256"][file])
    return path.read_bytes()


def _check(path, expected):
    if not path.is_file():
        raise UserError(f"{path} is missing: export the model again.")
    if file_digest(path) != expected:
        raise UserError(f"{path} is not what was exported: export the model again.")


def open_onnx(path, threads):
    """Return a function that computes windows with an ONNX file, see :attr:`Model.outputs`."""
    # onnxruntime reports its use to its makers unless told not to before it is imported.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    (mel,) = session.get_inputs()
    topics = [o.name for o in session.get_outputs() if o.name.startswith(TOPICS)]
    tasks = [name.removeprefix(TOPICS) for name in topics]

    def outputs(windows):
        probabilities, *found = session.run([PROBABILITIES, *topics], {mel.name: windows})
        return probabilities, dict(zip(tasks, found, strict=True))

    return outputs


def _open_torch(folder, config, threads):
    import torch

    from agf.export.system import load_system

    torch.set_num_threads(threads)
    system = load_system(folder, config)

    def outputs(windows):
        with torch.inference_mode():
            probabilities, *topics = (x.numpy() for x in system(torch.from_numpy(windows)))
        return probabilities, dict(zip(system.agf_tasks, topics, strict=True))

    return outputs
