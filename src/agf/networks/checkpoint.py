"""The state of a training on disk, from which a killed one goes on."""

import hashlib
import json
import logging

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from agf.files import replacing
from agf.networks.updates import parameters

logger = logging.getLogger(__name__)


def training_digest(data, *facts):
    """Hash everything that decides the weights, so that no other training is resumed from.

    Parameters
    ----------
    data : agf.networks.data.TrainingData
        On the CPU.
    *facts
        What else decides them, fit for JSON.

    Returns
    -------
    str
        16 hexadecimal digits.
    """
    digest = hashlib.sha256(json.dumps([*facts, data.genres], sort_keys=True).encode())
    digest.update(data.mels.digests.tobytes())
    for tensor in (*data.scaler, *data.targets.values()):
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()[:16]


def save_checkpoint(path, model, optimisers, history):
    """Write model, Adam state and history as one file, replaced as a whole.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    model : torch.nn.Module
        The network.
    optimisers : dict of str to torch.optim.Adam
        By task.
    history : list of dict
        One row for each finished epoch, fit for JSON.
    """
    tensors = {name: value.cpu().contiguous() for name, value in _state(model, optimisers)}
    with replacing(path) as temporary:
        temporary.write_bytes(save(tensors, metadata={"agf": json.dumps(history)}))


def load_checkpoint(path, model, optimisers):
    """Restore model and Adam state in place.

    Parameters
    ----------
    path, model, optimisers
        As in :func:`save_checkpoint`.

    Returns
    -------
    list of dict
        The history; empty where there is no file, or one that cannot be read.
    """
    if not path.exists():
        return []
    try:
        with safe_open(path, "pt") as file:
            history = json.loads(file.metadata()["agf"])
            names = file.keys()
            tensors = {name: file.get_tensor(name) for name in names}
    except SafetensorError as error:
        logger.warning("%s cannot be read (%s); training starts anew.", path, error)
        return []
    with torch.no_grad():
        for name, value in _state(model, optimisers):
            value.copy_(tensors[name])
    logger.info("Resumed after epoch %d from %s.", len(history), path)
    return history


def _state(model, optimisers):
    """Yield name and tensor of all that training changes."""
    for name, value in model.state_dict().items():
        yield f"model/{name}", value
    for task, optimiser in optimisers.items():
        for i, parameter in enumerate(parameters(optimiser)):
            for name, value in optimiser.state[parameter].items():
                yield f"adam/{task}/{i}/{name}", value
