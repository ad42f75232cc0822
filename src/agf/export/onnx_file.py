"""The whole system as one ONNX file, and its check against torch."""

import copy
import logging
import warnings
from contextlib import contextmanager

import numpy as np
import onnx
import torch
from torch import nn

from agf.errors import UserError
from agf.files import replacing
from agf.keyed_random import generator
from agf.networks.model import MaxPooling
from agf.predict.model import PROBABILITIES, TOPICS, open_onnx

OPSET = 20

TOLERANCE = 1e-4
"""Largest difference between a probability of onnxruntime and one of torch. Sums of float32 in
another order differ by less than a tenth of it; a wrong operator by far more."""

CHECKED_BATCHES = (1, 7, 64)


def write_onnx(system, n_bands, n_frames, path):
    """Write a system as ONNX.

    Parameters
    ----------
    system : agf.export.system.WholeSystem
        In evaluation mode, on the CPU.
    n_bands, n_frames : int
        Size of a window.
    path : str or pathlib.Path
        The file: input ``mel_db`` float32 (windows x bands x frames), outputs ``probabilities``
        float32 (windows x genres) and for each AGF task ``topics_{task}`` float32 (windows x
        topics), any number of windows. The same system gives the same bytes.
    """
    system = copy.deepcopy(system)
    _use_plain_pooling(system)
    with _quiet():
        program = torch.onnx.export(
            system,
            (torch.zeros(2, n_bands, n_frames),),
            dynamo=True,
            verbose=False,
            opset_version=OPSET,
            input_names=["mel_db"],
            output_names=output_names(system),
            dynamic_shapes=({0: torch.export.Dim("windows")},),
        )
    model = _without_notes(program.model_proto)
    onnx.checker.check_model(model, full_check=True)
    with replacing(path) as temporary:
        temporary.write_bytes(model.SerializeToString(deterministic=True))


def output_names(system):
    """Return the names of a system's outputs in ONNX."""
    return [PROBABILITIES, *(f"{TOPICS}{task}" for task in system.agf_tasks)]


def check_onnx(system, n_frames, path, seed=0):
    """Return the largest difference between the outputs of onnxruntime and of torch.

    Parameters
    ----------
    system : agf.export.system.WholeSystem
        What was exported.
    n_frames : int
        Frames of a window.
    path : str or pathlib.Path
        The ONNX file.
    seed : int
        Of the windows it is tried on: noise with the mean and spread of music, band by band.

    Returns
    -------
    float

    Raises
    ------
    UserError
        If it is above :data:`TOLERANCE`.
    """
    run = open_onnx(path, threads=1)
    name = next(iter(system.models))
    mean, std = (system.get_buffer(f"{part}_{name}").numpy() for part in ("mean", "std"))
    difference = 0.0
    for n in CHECKED_BATCHES:
        noise = generator(seed, "onnx", n).normal(size=(n, len(mean), n_frames))
        windows = (mean + std * noise).astype(np.float32)
        probabilities, topics = run(windows)
        with torch.inference_mode():
            expected = system(torch.from_numpy(windows))
        for found, wanted in zip([probabilities, *topics.values()], expected, strict=True):
            difference = max(difference, float(np.abs(found - wanted.numpy()).max()))
    if not difference <= TOLERANCE:
        raise UserError(
            f"The exported ONNX and torch differ by {difference:.1e} in a probability, more than "
            f"{TOLERANCE:.0e}; install the versions of requirements.lock and export again."
        )
    return difference


@contextmanager
def _quiet():
    """Keep back what the exporter says of libraries that this project does not use."""
    exporter = logging.getLogger("torch.onnx")
    level = exporter.level
    exporter.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        exporter.setLevel(level)


def _use_plain_pooling(module):
    """Put torch's own pooling in the place of this project's faster one, which ONNX has not."""
    for name, child in module.named_children():
        if isinstance(child, MaxPooling):
            setattr(module, name, nn.MaxPool2d(child.kernel_size))
        else:
            _use_plain_pooling(child)


def _without_notes(model):
    """Strip what the exporter notes of where the code lay, and its names of this very export."""
    graphs = [model.graph, *model.functions]
    for graph in graphs:
        for item in (graph, *graph.node, *graph.value_info):
            del item.metadata_props[:]
            item.doc_string = ""
    for item in (model, *model.graph.input, *model.graph.output, *model.graph.initializer):
        del item.metadata_props[:]
        item.doc_string = ""
    return model
