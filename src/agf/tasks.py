"""The paper's five learning tasks, its 35 networks and its 62 transfer cases.

Source: Kim, Won, Serra and Liem (WWW'18), sections 3 and 4. A combination of tasks is written as
its letters in the order of :data:`TASKS`: ``gse``, never ``esg``.
"""

from itertools import combinations
from typing import NamedTuple

TASKS = {
    "g": "top genre",
    "s": "subgenre",
    "e": "Essentia",
    "d": "dMFCC",
    "m": "MFCC",
}
"""Task letters in the order in which they are always written."""

AGF_TASKS = tuple(task for task in TASKS if task != "g")
"""The tasks whose targets are Artist Group Factors."""

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


def task_combinations():
    """Return the 31 non-empty task combinations, by size and then in task order."""
    letters = "".join(TASKS)
    return ["".join(c) for n in range(1, len(letters) + 1) for c in combinations(letters, n)]


def all_networks():
    """Return the 35 networks: 5 STN, 26 MTN and 4 wide STN (paper, section 4)."""
    stn = [Network(f"stn-{task}", "stn", task, 1) for task in TASKS]
    mtn = [Network(f"mtn-{c}", "mtn", c, len(c)) for c in task_combinations() if len(c) > 1]
    wide = [Network(f"wstn-{n}", "wstn", "g", n) for n in WIDE]
    return stn + mtn + wide


def all_cases():
    """Return the paper's 62 cases, 57 of them distinct, followed by the four wide baselines."""
    cases = []
    for tasks in task_combinations():
        networks = tuple(f"stn-{task}" for task in tasks)
        cases.append(Case(f"stn-{tasks}", "stn", tasks, networks, None))
    for tasks in task_combinations():
        single = len(tasks) == 1
        networks = (f"stn-{tasks}",) if single else (f"mtn-{tasks}",) * len(tasks)
        alias = f"stn-{tasks}" if single else None
        cases.append(Case(f"mtn-{tasks}", "mtn", tasks, networks, alias))
    cases += [Case(f"wstn-{n}", "wstn", "g", (f"wstn-{n}",), None) for n in WIDE]
    return cases


def network_by_name(name):
    """Return the :class:`Network` called `name`; raise KeyError where there is none."""
    return {network.name: network for network in all_networks()}[name]


def case_by_name(name):
    """Return the :class:`Case` called `name`; raise KeyError where there is none."""
    return {case.name: case for case in all_cases()}[name]
