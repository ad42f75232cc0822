"""Tensor files larger than memory: safetensors, written piece by piece and read as memory maps.

The safetensors library reads a file as a memory map, which all processes of a machine share, but
writes only what lies in memory as a whole.

References
----------
https://github.com/huggingface/safetensors#format
"""

import json
import math
import os
from contextlib import contextmanager

import numpy as np
from safetensors import SafetensorError, safe_open

from agf.errors import UserError
from agf.files import replacing

_CODES = {"uint8": "U8", "int32": "I32", "int64": "I64", "float16": "F16", "float32": "F32"}


@contextmanager
def writing_tensors(path, shapes, metadata=None):
    """Open a new safetensors file for writing in any order.

    Parameters
    ----------
    path : str or pathlib.Path
        The file, replaced as a whole when the block ends well.
    shapes : dict of str to tuple
        For each tensor its dtype (a name such as ``"float16"``) and its shape.
    metadata : object, optional
        Written as JSON under the one key ``agf``.

    Yields
    ------
    dict of str to numpy.ndarray
        Memory maps to fill; what is not filled is zero.
    """
    # The widest types first, so that every tensor begins at a multiple of its own width.
    names = sorted(shapes, key=lambda name: (-np.dtype(shapes[name][0]).itemsize, name))
    header = {"__metadata__": {"agf": json.dumps(metadata, sort_keys=True)}} if metadata else {}
    end = 0
    for name in names:
        dtype, shape = shapes[name]
        start, end = end, end + np.dtype(dtype).itemsize * math.prod(shape)
        header[name] = {"dtype": _CODES[dtype], "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header, ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    first = 8 + len(text)
    with replacing(path) as temporary:
        with open(temporary, "wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            file.flush()
            # Room on the disk is taken now: where it runs out under a memory map, the system ends
            # the process by a signal, without a word.
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, first + end)
            else:
                file.truncate(first + end)
        arrays = {}
        for name in names:
            dtype, shape = shapes[name]
            offset = first + header[name]["data_offsets"][0]
            # An empty piece of a file cannot be mapped.
            arrays[name] = (
                np.memmap(temporary, dtype, "r+", offset, tuple(shape))
                if math.prod(shape)
                else np.empty(shape, dtype)
            )
        yield arrays
        for array in arrays.values():
            if isinstance(array, np.memmap):
                array.flush()


@contextmanager
def reading_tensors(path):
    """Open a safetensors file; its tensors are memory maps that outlive the block.

    Parameters
    ----------
    path : str or pathlib.Path
        The file.

    Yields
    ------
    safetensors.safe_open
        Gives torch tensors, which must not be written to.

    Raises
    ------
    UserError
        If the file is missing or no safetensors file.
    """
    try:
        # The library calls every file missing that it cannot open, whatever the reason.
        with open(path, "rb"):
            file = safe_open(path, "pt")
    except (FileNotFoundError, SafetensorError) as error:
        raise UserError(
            f"{path} is missing or no safetensors file; delete it and run the workflow again."
        ) from error
    with file:
        yield file
