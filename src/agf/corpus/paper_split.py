"""Reading the training and validation part that the paper's authors published.

Source: Kim, Won, Serra and Liem, "Transfer Learning of Artist Group Factors to Musical Genre
Classification", WWW'18 Companion; the file is part of the first author's repository.
"""

import io
import pickletools
import re
from pathlib import Path

import numpy as np

from agf.errors import UserError

PAPER_SPLIT_URL = (
    "https://raw.githubusercontent.com/eldrin/Lasagne-MultiTaskLearning/"
    "057790b36c41bb8839f40422b33a3a65ed8ae614/data/fma_labels.split"
)
PAPER_SPLIT_CHECKSUM = "sha256:3a72a5f41179bbfeee35c180517ec9a85a4a0d97169e4e4e312f4747de5f00bf"

PARTS = {"train": "train", "valid": "evaluation"}
"""The authors' names of the two parts, and ours."""

MAX_BYTES = 4 << 20
"""Largest file that is read. The published one has 438,956 bytes."""


def read_paper_split(path):
    """Read ``fma_labels.split``: which tracks the paper trained on and which it evaluated on.

    Parameters
    ----------
    path : str or pathlib.Path
        A protocol-0 pickle of a dict with the keys ``train`` and ``valid``, each a list of
        six-digit track ids as text. Nothing in it is executed and no module is imported.

    Returns
    -------
    dict of str to numpy.ndarray, shape (n_tracks,), int64
        Track ids of ``train`` and of ``evaluation`` (the authors' ``valid``), in the file's order.

    Raises
    ------
    UserError
        Where the file is missing, too large, not such a pickle, or a track stands in it twice.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise UserError(
                f"{path} has {size} bytes, more than the {MAX_BYTES} a split may have: download "
                f"{PAPER_SPLIT_URL} again."
            )
        data = path.read_bytes()
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}): download {PAPER_SPLIT_URL}."
        ) from error
    try:
        parts = _dict_of_lists(data)
        ids = {ours: _track_ids(parts, theirs) for theirs, ours in PARTS.items()}
        if set(parts) != set(PARTS):
            stray = sorted(set(parts) - set(PARTS))[0]
            raise ValueError(f"it has a part {stray!r} beside train and valid")
        everything = np.concatenate(list(ids.values()))
        tracks, counts = np.unique(everything, return_counts=True)
        if counts.max() > 1:
            raise ValueError(f"track {tracks[counts.argmax()]} stands in it twice")
    except ValueError as error:
        raise UserError(
            f"{path} is not the authors' split, because {error}: download {PAPER_SPLIT_URL} again."
        ) from error
    return ids


def _dict_of_lists(data):
    """Return the dict that a protocol-0 pickle of dict, list and str describes."""
    # A machine of its own that knows the eight opcodes of the published file, and not pickle's with
    # some of its doors shut: what is not here (names of modules, calls, registered extensions,
    # persistent ids, memo positions that allocate gigabytes) cannot happen.
    stack, marks = [], []
    opcodes = pickletools.genops(io.BytesIO(data))
    while True:
        try:
            opcode, argument, position = next(opcodes)
        except ValueError as error:
            raise ValueError(f"it is not a whole pickle ({_brief(error)})") from error
        if opcode.name == "STRING":
            stack.append(argument)
        elif opcode.name == "PUT":
            pass  # the memo is written and never read: no opcode that reads it is known here
        elif opcode.name == "MARK":
            marks.append(len(stack))
        elif opcode.name == "LIST":
            items = _above_mark(stack, marks, opcode)
            stack.append(items)
        elif opcode.name == "DICT":
            items = _above_mark(stack, marks, opcode)
            if len(items) % 2:
                raise ValueError("a key of it has no value")
            parts = {}
            for key, value in zip(items[::2], items[1::2], strict=True):
                _set(parts, key, value)
            stack.append(parts)
        elif opcode.name == "APPEND":
            owner, item = _last(stack, marks, 2)
            if not isinstance(owner, list):
                raise ValueError("it appends to what is no list")
            owner.append(item)
            stack.pop()
        elif opcode.name == "SETITEM":
            owner, key, value = _last(stack, marks, 3)
            _set(owner, key, value)
            del stack[-2:]
        elif opcode.name == "STOP":
            break
        else:
            raise ValueError(
                f"it holds the pickle instruction {opcode.name}, which a dict of lists of texts "
                "does not need"
            )
    if marks or len(stack) != 1 or not isinstance(stack[0], dict):
        raise ValueError("it is not one dict")
    if position + 1 != len(data):
        raise ValueError(f"{len(data) - position - 1} bytes follow the end of its pickle")
    return stack[0]


def _above_mark(stack, marks, opcode):
    if not marks:
        raise ValueError(f"its pickle instruction {opcode.name} has no mark to go back to")
    mark = marks.pop()
    items = stack[mark:]
    del stack[mark:]
    return items


def _last(stack, marks, count):
    if len(stack) - (marks[-1] if marks else 0) < count:
        raise ValueError("its pickle takes more from the stack than is there")
    return stack[-count:]


def _set(owner, key, value):
    if not isinstance(owner, dict) or not isinstance(key, str):
        raise ValueError("it has a key that is no text, or a key in what is no dict")
    if key in owner:
        raise ValueError(f"its part {key[:20]!r} is there twice")
    owner[key] = value


def _track_ids(parts, name):
    texts = parts.get(name)
    if not isinstance(texts, list) or not texts:
        raise ValueError(f"its part {name!r} is missing or not a list of tracks")
    for text in texts:
        if not isinstance(text, str) or not re.fullmatch("[0-9]{6}", text):
            shown = repr(text)[:20] if isinstance(text, str) else f"a {type(text).__name__}"
            raise ValueError(f"its part {name!r} has {shown} where a six-digit track id should be")
    return np.array([int(text) for text in texts], dtype=np.int64)


def _brief(error):
    return " ".join(str(error).split())[:120]
