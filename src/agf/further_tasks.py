"""Learning tasks beyond the paper's five, with artist groups from frames of a feature of their own.

They are part of a run only where ``study.subset`` names them. As this list names jobs and changes
none that is there already, it is not counted as code of theirs (:mod:`agf.code_hash`).
"""

from typing import NamedTuple


class FurtherTask(NamedTuple):
    """One task.

    Attributes
    ----------
    name : str
        What it is called in print.
    feature : str
        Folder below ``features``, and column of its shards: float16, frames x coefficients.
    target, source : str
        What it learns, and from which feature that is made, as Table 1 says it.
    """

    name: str
    feature: str
    target: str
    source: str


FURTHER_TASKS = {
    "c": FurtherTask(
        "chroma", "chroma", "topics of the artist's chroma words", "chroma, per frame"
    ),
}
"""By task letter."""
