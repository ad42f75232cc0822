"""Weights of trained modules as safetensors, with what it takes to build the module again."""

import json

from safetensors.torch import save

from agf.errors import UserError
from agf.files import replacing
from agf.tensors import reading_tensors


def write_weights(module, path, metadata):
    """Write a module's parameters and buffers.

    Parameters
    ----------
    module : torch.nn.Module
        On any device.
    path : str or pathlib.Path
        The safetensors file, replaced as a whole.
    metadata : dict
        Written as JSON under the one key ``agf``.
    """
    tensors = {name: value.cpu().contiguous() for name, value in module.state_dict().items()}
    # One key only: safetensors orders several keys differently from save to save.
    text = json.dumps(metadata, sort_keys=True, ensure_ascii=False)
    with replacing(path) as temporary:
        # The library's own save_file leaves a file behind where it is killed, and one for its owner
        # alone where it is not.
        temporary.write_bytes(save(tensors, metadata={"agf": text}))


def read_weights(path, remedy):
    """Read what :func:`write_weights` wrote.

    Parameters
    ----------
    path : str or pathlib.Path
        The safetensors file.
    remedy : str
        What to do where the file is of something else.

    Returns
    -------
    tensors : dict of str to torch.Tensor
        Memory maps.
    metadata : dict
        As it was written.

    Raises
    ------
    UserError
        If the file is missing or no safetensors file, or its metadata lacks the key ``agf``.
    """
    with reading_tensors(path) as file:
        text = (file.metadata() or {}).get("agf")
        if text is None:
            raise UserError(f"{path} was not written by this project; {remedy}.")
        return {name: file.get_tensor(name) for name in file.keys()}, json.loads(text)  # noqa: SIM118
