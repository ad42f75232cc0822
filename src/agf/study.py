"""What a configuration asks for in all: splits, seeds, protocols, clusterings, cases, and names.

A run has one split, one protocol and one clustering; a study has more of them. Keys of the
configuration that hold a list say which, and the first value is always the run's own:

- ``split.repeats`` draws the split again and again, each time with a fresh seed: ``random``,
  ``random-2``, ``random-3``;
- ``seeds`` trains everything once for each seed: ``seed0``, ``seed1``;
- the *protocol* is the kind of split, and whose tracks the artist groups and the transfer MLP are
  fitted on (``split.kind``, ``agf.fit_on``, ``transfer.fit_rows``);
- the *clustering* is how the artist groups are found (``agf.dictionary``,
  ``agf.dictionary_size``, ``agf.groups``, ``agf.n_topics``).

All combinations of the values of a protocol are compared, at the run's own clustering, and all
combinations of those of a clustering, at the run's own protocol. What differs from the run's own
stands in the name of the folder of targets, networks and cases: ``random-2.fit_on-all``,
``artist.fit_rows-all``, ``random.gmm.topics-20``.
"""

from itertools import product
from typing import NamedTuple

from agf.corpus.digests import FEATURES
from agf.tasks import (
    AGF_TASKS,
    ALL_TASKS,
    WORDS_OF,
    all_cases,
    case_by_name,
    network_by_name,
)

DRAWN = ("random", "artist", "album")
"""Kinds of split that are drawn, and so can be drawn again."""


class Protocol(NamedTuple):
    """What is fitted on which tracks.

    Attributes
    ----------
    kind : str
        Kind of split.
    fit_on : str
        Tracks that the artist groups are fitted on, ``train`` or ``all``.
    fit_rows : str
        Tracks that the transfer MLP is fitted on, ``train`` or ``all``.
    """

    kind: str
    fit_on: str
    fit_rows: str


class Clustering(NamedTuple):
    """How artist groups are found.

    Attributes
    ----------
    dictionary : str
        ``kmeans``, ``gmm`` or ``sparse_coding``.
    words : tuple of int
        Words of the dictionaries of m, d and e, and of those tasks beyond that the run has.
    groups : str
        ``lda``, ``nmf`` or ``kmeans``.
    n_topics : int
        Number of artist groups.
    """

    dictionary: str
    words: tuple
    groups: str
    n_topics: int


def listed(value):
    """Return a configuration's value as a list: itself where it is one."""
    return value if isinstance(value, list) else [value]


def protocols(config):
    """Return the :class:`Protocol` s of a configuration, the run's own first."""
    values = (config["split"]["kind"], config["agf"]["fit_on"], config["transfer"]["fit_rows"])
    return [Protocol(*choice) for choice in product(*map(listed, values))]


def clusterings(config):
    """Return the :class:`Clustering` s of a configuration, the run's own first."""
    agf = config["agf"]
    sizes = [listed(agf["dictionary_size"][task]) for task in worded_tasks(config)]
    n_sizes = max(map(len, sizes))
    # A single number goes with all entries of the lists beside it.
    words = list(zip(*(size * n_sizes if len(size) == 1 else size for size in sizes), strict=True))
    values = (listed(agf["dictionary"]), words, listed(agf["groups"]), listed(agf["n_topics"]))
    return [Clustering(*choice) for choice in product(*values)]


def splits(config, kind=None):
    """Return the names of all draws of a kind of split, by default the run's own."""
    kind = kind or listed(config["split"]["kind"])[0]
    repeats = config["split"]["repeats"] if kind in DRAWN else 1
    return [kind, *(f"{kind}-{n}" for n in range(2, repeats + 1))]


def all_splits(config):
    """Return the names of all draws of all kinds of split."""
    return [name for kind in listed(config["split"]["kind"]) for name in splits(config, kind)]


def kind_of_split(split):
    """Return the kind of a split: ``artist`` of ``artist-3``."""
    return split.partition("-")[0]


def split_of(name):
    """Return the split that the folder of targets, networks or cases is of."""
    return name.partition(".")[0]


def agf_variants(config):
    """Return what artist groups are fitted, and how.

    Parameters
    ----------
    config : dict
        The merged configuration.

    Returns
    -------
    dict of str to dict
        By the name of the folder below ``targets`` the section ``agf`` of the configuration, every
        list in it replaced by one value.
    """
    variants = {}
    for protocol in protocols(config):
        for split in splits(config, protocol.kind):
            for clustering in clusterings(config):
                name = agf_name(config, split, protocol, clustering)
                variants[name] = config["agf"] | {
                    "fit_on": protocol.fit_on,
                    "dictionary": clustering.dictionary,
                    # The sizes of tasks that the run does not have stay as they are.
                    "dictionary_size": config["agf"]["dictionary_size"]
                    | dict(zip(worded_tasks(config), clustering.words, strict=True)),
                    "groups": clustering.groups,
                    "n_topics": clustering.n_topics,
                }
    return variants


def agf_name(config, split, protocol, clustering):
    """Return the folder, below ``targets``, of a split's artist groups.

    Parameters
    ----------
    config : dict
        The merged configuration.
    split : str
        The split.
    protocol : Protocol
    clustering : Clustering

    Returns
    -------
    str
        The split, then what differs from the run's own.
    """
    own_protocol, own = protocols(config)[0], clusterings(config)[0]
    parts = [split]
    if protocol.fit_on != own_protocol.fit_on:
        parts.append(f"fit_on-{protocol.fit_on}")
    if clustering.dictionary != own.dictionary:
        parts.append(clustering.dictionary)
    if clustering.words != own.words:
        parts.append("words-" + "-".join(map(str, clustering.words)))
    if clustering.groups != own.groups:
        parts.append(f"{clustering.groups}-groups")
    if clustering.n_topics != own.n_topics:
        parts.append(f"topics-{clustering.n_topics}")
    return ".".join(parts)


def agf_of_cases(config, name):
    """Return the folder of the artist groups that a folder of cases is made with."""
    suffixes = [f".fit_rows-{protocol.fit_rows}" for protocol in protocols(config)]
    return next((name.removesuffix(s) for s in suffixes if name.endswith(s)), name)


def fit_rows_of_cases(config, name):
    """Return on which tracks the transfer MLPs of a folder of cases are fitted."""
    own, *others = dict.fromkeys(protocol.fit_rows for protocol in protocols(config))
    return next((rows for rows in others if name.endswith(f".fit_rows-{rows}")), own)


def network_folder(agf, network):
    """Return the folder of a network made with some artist groups.

    A network that learns genre alone knows no artist groups: it is the split's, trained once.

    Parameters
    ----------
    agf : str
        Folder of artist groups.
    network : str
        Name of the network.
    """
    return split_of(agf) if network_by_name(network).tasks == "g" else agf


def case_folder(config, split, protocol, clustering, case):
    """Return the folder, below ``cases``, in which a case of a variant lies.

    Parameters
    ----------
    config : dict
        The merged configuration.
    split, protocol, clustering
        The variant.
    case : str
        Name of the case, or of a wide network scored by its own softmax.

    Returns
    -------
    str
        That of the split where the case needs no artist groups; without the MLP's rows where there
        is no MLP.
    """
    softmax = case.endswith("-softmax")
    of_genre = case_by_name(case.removesuffix("-softmax")).tasks == "g"
    name = split if of_genre else agf_name(config, split, protocol, clustering)
    other_rows = protocol.fit_rows != protocols(config)[0].fit_rows
    return f"{name}.fit_rows-{protocol.fit_rows}" if other_rows and not softmax else name


def chosen_cases(config):
    """Return the distinct cases of the study, wide networks last.

    Parameters
    ----------
    config : dict
        The merged configuration; ``study.subset`` is null, or lists task combinations, which stand
        for their STN and MTN cases, and names of cases. Null stands for the paper's.

    Returns
    -------
    list of agf.tasks.Case
        Without aliases, in the order of :func:`agf.tasks.all_cases`.
    """
    subset = config["study"]["subset"]
    if subset is None:
        return [case for case in all_cases() if case.alias_of is None]
    named = set()
    for entry in subset:
        cases_of_entry = [entry] if "-" in entry else [f"stn-{entry}", f"mtn-{entry}"]
        named.update(case_by_name(name).alias_of or name for name in cases_of_entry)
    return [case for case in all_cases(ALL_TASKS) if case.name in named]


def unknown_in_subset(config):
    """Return the first entry of ``study.subset`` that is no combination and no case, or None."""
    cases = all_cases(ALL_TASKS)
    known = {case.name for case in cases} | {case.tasks for case in cases}
    return next((entry for entry in config["study"]["subset"] or [] if entry not in known), None)


def chosen_networks(config):
    """Return the names of the networks that the chosen cases need."""
    names = (name for case in chosen_cases(config) for name in case.networks)
    return list(dict.fromkeys(names))


def chosen_tasks(config):
    """Return the tasks with artist groups that the chosen networks learn."""
    letters = {task for name in chosen_networks(config) for task in network_by_name(name).tasks}
    return [task for task in ALL_TASKS if task != "g" and task in letters]


def agf_tasks(config):
    """Return the tasks whose artist groups the run makes: the paper's, and chosen ones beyond."""
    further = [task for task in chosen_tasks(config) if task not in AGF_TASKS]
    return [*AGF_TASKS, *further]


def worded_tasks(config):
    """Return the tasks with a dictionary, those of :func:`agf_tasks` but s, m first."""
    paper = [task for task in reversed(AGF_TASKS) if task in WORDS_OF]
    return [*paper, *(task for task in agf_tasks(config) if task not in AGF_TASKS)]


def features(config):
    """Return the features that the run extracts."""
    words = [WORDS_OF[task] for task in worded_tasks(config)]
    return list(dict.fromkeys([*FEATURES, *words]))


def scored_names(config):
    """Return the names of all folders of cases: the chosen ones, and wide ones by their softmax."""
    cases = chosen_cases(config)
    wide = [f"{case.name}-softmax" for case in cases if case.kind == "wstn"]
    return [*(case.name for case in cases), *wide]


def runs(config, protocol=None, clustering=None, names=None):
    """Return where the cases of one variant lie.

    Parameters
    ----------
    config : dict
        The merged configuration.
    protocol : Protocol, optional
        By default the run's own.
    clustering : Clustering, optional
        By default the run's own.
    names : list of str, optional
        Names of cases; by default all, see :func:`scored_names`.

    Returns
    -------
    list of tuple
        Split, seed, name of the case, and its folder below ``results/{corpus}``.
    """
    protocol = protocol or protocols(config)[0]
    clustering = clustering or clusterings(config)[0]
    return [
        (
            split,
            seed,
            name,
            f"cases/{case_folder(config, split, protocol, clustering, name)}/seed{seed}/{name}",
        )
        for split in splits(config, protocol.kind)
        for seed in config["seeds"]
        for name in names or scored_names(config)
    ]


def leaks(config):
    """Return one sentence for each choice of the run's own protocol that leaks."""
    own = protocols(config)[0]
    sentences = []
    if own.fit_rows == "all":
        sentences.append(
            "the transfer MLPs were fitted on all tracks, evaluation tracks included "
            "(transfer.fit_rows: all): the scores say how well they remember, not how well they "
            "recognise."
        )
    if own.fit_on == "all":
        sentences.append(
            "the artist groups were fitted on all tracks, evaluation tracks included "
            "(agf.fit_on: all)."
        )
    return sentences


def noise_name(noise):
    """Return the name of the run with a rate of label noise: ``noise-0.15``."""
    return f"noise-{float(noise)}"


def noisy_config(config, noise):
    """Return the configuration of the demo corpus' study with another rate of label noise.

    Parameters
    ----------
    config : dict
        The merged configuration of the demo corpus.
    noise : float
        Share of albums annotated with another genre.

    Returns
    -------
    dict
        The run's own protocol and clustering, on the splits and for the cases of section
        ``planted``. The corpus is taken as music in FMA's layout: see
        :func:`agf.nested.prepare_noisy_run`.
    """
    planted, own = config["planted"], protocols(config)[0]
    repeats = planted["repeats"] if own.kind in DRAWN else 1
    return config | {
        "corpus": noise_name(noise),
        "source": "fma",
        "data_dir": "data",
        "split": config["split"] | {"kind": own.kind, "repeats": repeats},
        "agf": agf_variants(config)[own.kind],
        "transfer": config["transfer"] | {"fit_rows": own.fit_rows},
        "study": {"subset": planted["subset"]},
        "demo": config["demo"] | {"label_noise": noise},
        # Another rate beside this one is none of its business.
        "planted": planted | {"label_noise": [noise]},
    }
