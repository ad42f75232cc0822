"""The paper's five learning tasks, its 35 networks and its 62 transfer cases.

Source: Kim, Won, Serra and Liem (WWW'18), sections 3 and 4. A combination of tasks is written as
its letters in the order of :data:`ALL_TASKS`: ``gse``, never ``esg``.
"""

from functools import cache
from itertools import combinations
from typing import NamedTuple

from agf.further_tasks import FURTHER_TASKS

TASKS = {
    "g": "top genre",
    "s": "subgenre",
    "e": "Essentia",
    "d": "dMFCC",
    "m": "MFCC",
}
"""Letters of the paper's tasks in the order in which they are always written."""

ALL_TASKS = TASKS | {letter: task.name for letter, task in FURTHER_TASKS.items()}
"""The paper's tasks and those beyond (:mod:`agf.further_tasks`)."""

AGF_TASKS = tuple(task for task in TASKS if task != "g")
"""The paper's tasks whose targets are Artist Group Factors. All tasks but g have such targets."""

WORDS_OF = {"e": "essentia", "d": "mfcc", "m": "mfcc"} | {
    letter: task.feature for letter, task in FURTHER_TASKS.items()
}
"""For each task the feature whose words are counted in the bags; those of s are genre labels."""

WIDE = (2, 3, 4, 5)
"""Numbers of tasks whose MTN size the wide single-task networks match."""


class Network(NamedTuple):
    """One network to train.

    Attributes
    ----------
    name : str
        ``stn-g``, ``mtn-gse`` or ``wstn-3``.
    kind : str
        ``stn``, ``mtn`` or ``wstn``.
    tasks : str
        Letters of the tasks it learns.
    size : int
        Number of tasks whose MTN it equals in parameters: 1 for an STN, N for an MTN of N tasks
        and for ``wstn-N``.
    """

    name: str
    kind: str
    tasks: str
    size: int


class Case(NamedTuple):
    """One transfer to genre: features of one or more trained tasks, then an MLP.

    Attributes
    ----------
    name : str
        ``stn-gse``, ``mtn-gse`` or ``wstn-3``.
    kind : str
        ``stn``, ``mtn`` or ``wstn``.
    tasks : str
        Letters of the tasks whose features are concatenated, in that order.
    networks : tuple of str
        For each letter of `tasks`, the network its features come from.
    alias_of : str or None
        The case this one repeats: an MTN of one task is its STN.
    """

    name: str
    kind: str
    tasks: str
    networks: tuple
    alias_of: str | None


def task_combinations(tasks=TASKS):
    """Return the non-empty combinations of tasks, by size and then in their order: the paper's 31.

    Parameters
    ----------
    tasks : iterable of str
        Letters, by default the paper's.
    """
    letters = "".join(tasks)
    return ["".join(c) for n in range(1, len(letters) + 1) for c in combinations(letters, n)]


def all_networks(tasks=TASKS):
    """Return the networks of some tasks: of the paper's, 5 STN, 26 MTN and 4 wide STN (section 4).

    Parameters
    ----------
    tasks : iterable of str
        Letters, by default the paper's.
    """
    stn = [Network(f"stn-{task}", "stn", task, 1) for task in tasks]
    mtn = [Network(f"mtn-{c}", "mtn", c, len(c)) for c in task_combinations(tasks) if len(c) > 1]
    wide = [Network(f"wstn-{n}", "wstn", "g", n) for n in WIDE]
    return stn + mtn + wide


def all_cases(tasks=TASKS):
    """Return the cases of some tasks, followed by the four wide baselines.

    Parameters
    ----------
    tasks : iterable of str
        Letters, by default the paper's, of which there are 62 cases, 57 of them distinct.
    """
    cases, combined = [], task_combinations(tasks)
    for letters in combined:
        networks = tuple(f"stn-{task}" for task in letters)
        cases.append(Case(f"stn-{letters}", "stn", letters, networks, None))
    for letters in combined:
        single = len(letters) == 1
        networks = (f"stn-{letters}",) if single else (f"mtn-{letters}",) * len(letters)
        alias = f"stn-{letters}" if single else None
        cases.append(Case(f"mtn-{letters}", "mtn", letters, networks, alias))
    cases += [Case(f"wstn-{n}", "wstn", "g", (f"wstn-{n}",), None) for n in WIDE]
    return cases


def network_by_name(name):
    """Return the :class:`Network` called `name`; raise KeyError where there is none."""
    return _networks()[name]


def case_by_name(name):
    """Return the :class:`Case` called `name`; raise KeyError where there is none."""
    return _cases()[name]


@cache
def _networks():
    return {network.name: network for network in all_networks(ALL_TASKS)}


@cache
def _cases():
    return {case.name: case for case in all_cases(ALL_TASKS)}
