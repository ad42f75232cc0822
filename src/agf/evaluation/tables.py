"""The paper's Tables 1 to 5 as data frames.

Source: Kim, Won, Serra and Liem (WWW'18), Tables 1 to 5.
"""

from math import comb

import pandas as pd

from agf.evaluation.metrics_file import SCORES, average_cases, count_runs, score_deviations
from agf.further_tasks import FURTHER_TASKS
from agf.tasks import ALL_TASKS, TASKS, task_combinations

BEST = {"log_loss": "min", "macro_f1": "max"}
"""Which value of a score is the best."""

SYSTEM_LABELS = {
    "stn": "STN",
    "mtn": "MTN",
    "wstn_transfer": "wSTN (transfer)",
    "wstn_softmax": "wSTN (softmax)",
}
"""Systems as they appear in column names, and in print."""

TASK_TEXTS = {
    "g": ("top genre of the track", "genre annotation"),
    "s": ("topics of the artist's genre labels", "genre annotations with all subgenres"),
    "e": ("topics of the artist's Essentia words", "Essentia music descriptors, per track"),
    "d": ("topics of the artist's dMFCC words", "first-order difference of MFCC, per frame"),
    "m": ("topics of the artist's MFCC words", "MFCC, per frame"),
} | {letter: (task.target, task.source) for letter, task in FURTHER_TASKS.items()}
"""Target and source feature of each learning task (paper, Table 1)."""


def table1(sizes):
    """Return the learning tasks (paper, Table 1).

    Parameters
    ----------
    sizes : dict of str to dict
        For each task letter of the run `outputs` (number of genres or topics) and `words` (size of
        the dictionary, None for ``g``).

    Returns
    -------
    pandas.DataFrame
        Columns `task`, `name`, `target`, `source`, `dimension`, `dictionary_size`.
    """
    return pd.DataFrame(
        {
            "task": task,
            "name": name,
            "target": TASK_TEXTS[task][0],
            "source": TASK_TEXTS[task][1],
            "dimension": sizes[task]["outputs"],
            "dictionary_size": sizes[task]["words"],
        }
        for task, name in ALL_TASKS.items()
        if task in sizes
    ).astype({"dimension": "Int64", "dictionary_size": "Int64"})


def table2(layers):
    """Return the architecture of an STN (paper, Table 2).

    Parameters
    ----------
    layers : list of dict
        Per layer `layer` (name), `output` (shape as channels x mel bands x frames, a sequence of
        int or a str) and `parameters` (number of weights).

    Returns
    -------
    pandas.DataFrame
        Columns `layer`, `output`, `parameters`; the last row is the total.
    """
    rows = [
        {
            "layer": row["layer"],
            "output": row["output"]
            if isinstance(row["output"], str)
            else " x ".join(str(size) for size in row["output"]),
            "parameters": row["parameters"],
        }
        for row in layers
    ]
    total = sum(row["parameters"] for row in rows)
    return pd.DataFrame([*rows, {"layer": "total", "output": "", "parameters": total}])


def table3(metrics, published=None):
    """Return mean scores of STN and MTN with and without the genre task (paper, Table 3).

    As in the paper the STN means run over all task combinations, 16 with ``g`` and 15 without, and
    the MTN means leave out single tasks, 15 and 11.

    Parameters
    ----------
    metrics : pandas.DataFrame
        As :func:`read_metrics` returns it.
    published : dict, optional
        As :func:`read_published` returns it; used only where it applies, see :func:`table4`.

    Returns
    -------
    pandas.DataFrame
        Four rows, fewer where a group has no case: `system`, `genre_task` (``with g`` or
        ``without g``), `n_rows`, `log_loss`, `macro_f1`. Published values stand beside groups
        that hold all of the paper's cases.
    """
    cases = average_cases(metrics)
    rows = []
    for system in ("stn", "mtn"):
        of_system = cases[cases["system"] == system]
        if system == "mtn":
            of_system = of_system[of_system["n_tasks"] > 1]
        with_g = of_system["tasks"].str.contains("g")
        for genre_task, group in (("with g", of_system[with_g]), ("without g", of_system[~with_g])):
            if len(group):
                rows.append(
                    {
                        "system": SYSTEM_LABELS[system],
                        "genre_task": genre_task,
                        "n_rows": len(group),
                        **{score: group[score].mean(skipna=False) for score in SCORES},
                    }
                )
    table = pd.DataFrame(rows, columns=["system", "genre_task", "n_rows", *SCORES])
    if published is not None and published_applies(metrics):
        keys = ["system", "genre_task"]
        whole = table3(published["table4"])[[*keys, "n_rows"]]
        comparable = table[[*keys, "n_rows"]].merge(whole)[keys]
        return _beside_published(table, published["table3"].merge(comparable), keys)
    return table


def table4(metrics, published=None):
    """Return the scores of the 62 cases (paper, Table 4).

    Parameters
    ----------
    metrics : pandas.DataFrame
        As :func:`read_metrics` returns it.
    published : dict, optional
        As :func:`read_published` returns it. It is used only for corpus ``fma_medium`` and split
        ``paper``, the paper's own data; any other comparison would be void.

    Returns
    -------
    pandas.DataFrame
        62 rows, others where `metrics` holds a subset: STN and MTN of each task combination in the
        order of :func:`agf.tasks.task_combinations`: `case`, `tasks`, `n_tasks`, `log_loss`,
        `macro_f1`, `alias_of` (the STN that an MTN of one task repeats, else empty). Of several
        runs `log_loss_sd` and `macro_f1_sd` follow their score, see :func:`score_deviations`. For
        each score with a published value `published_*` and `difference_*` (ours minus published).
    """
    names = [
        f"{system}-{tasks}" for tasks in task_combinations(ALL_TASKS) for system in ("stn", "mtn")
    ]
    cases = average_cases(metrics).set_index("case")
    names = [name for name in names if name in cases.index]
    cases = cases.loc[names].reset_index()
    table = cases[["case", "tasks", "n_tasks", *SCORES, "alias_of"]].copy()
    if count_runs(metrics) > 1:
        deviations = score_deviations(metrics, ["case"]).loc[names]
        for score in SCORES:
            place = table.columns.get_loc(score) + 1
            table.insert(place, deviation_of(score), deviations[score].to_numpy())
    if published is not None and published_applies(metrics):
        return _beside_published(table, published["table4"][["case", *SCORES]], ["case"])
    return table


def table5(metrics, published=None):
    """Return the best scores per number of tasks (paper, Table 5).

    Parameters
    ----------
    metrics : pandas.DataFrame
        As :func:`read_metrics` returns it.
    published : dict, optional
        As :func:`read_published` returns it; used only where it applies, see :func:`table4`.

    Returns
    -------
    pandas.DataFrame
        Rows N = 1 ... 5: `n_tasks`, then per score and system `stn_log_loss` ...
        ``wstn_softmax_macro_f1``: lowest log loss and highest macro F1, chosen independently. The
        MTN of N = 1 is the STN; a wSTN of N = 1 does not exist (NaN). Rows and columns for which
        `metrics` holds no case are left out, a single such cell is NaN. Published values stand
        beside the best of all the paper's cases, not of some.
    """
    cases = average_cases(metrics)
    table = pd.DataFrame({"n_tasks": sorted(cases["n_tasks"].unique())})
    for score in SCORES:
        for system in SYSTEM_LABELS:
            groups = cases[cases["system"] == system].groupby("n_tasks")[score]
            if groups.ngroups:
                # A value that is not there might have been the best: its group has no best.
                best = getattr(groups, BEST[score])(skipna=False)
                table[f"{system}_{score}"] = table["n_tasks"].map(best)
    if published is not None and published_applies(metrics):
        printed = published["table5"].set_index("n_tasks").loc[table["n_tasks"]]
        sizes = cases.groupby("system")["n_tasks"].value_counts()
        for column, values in printed.items():
            system = column.split("_")[0]
            there = [sizes.get((system, n), 0) == comb(len(TASKS), n) for n in values.index]
            printed[column] = values.where(there)
        return _beside_published(table, printed.reset_index(), ["n_tasks"])
    return table


def published_applies(metrics):
    """Return whether the metrics are of the paper's own corpus and split."""
    return set(metrics["corpus"]) == {"fma_medium"} and set(metrics["split"]) == {"paper"}


def score_columns(table):
    """Return the columns that hold scores of this run."""
    return [
        column
        for column in table
        if column.endswith(SCORES) and not column.startswith(("published_", "difference_"))
    ]


def deviation_of(score):
    """Return the name of the column that holds a score's standard deviation."""
    return f"{score}_sd"


def heading(column):
    """Return a column name for print: ``published_stn_log_loss`` as ``published STN log loss``."""
    for system, label in SYSTEM_LABELS.items():
        for prefix in ("", "published_", "difference_"):
            if column.startswith(f"{prefix}{system}_"):
                column = column.replace(f"{system}_", f"{label}_", 1)
                break
    column = {"n_tasks": "N", "n_rows": "rows", "n_tracks": "tracks"}.get(column, column)
    return column.replace("_", " ").replace("macro f1", "macro F1")


def _beside_published(table, published, keys):
    """Add published values and differences for the scores of which any is published."""
    columns = [c for c in score_columns(table) if c in published and published[c].notna().any()]
    beside = table[keys].merge(published, on=keys, how="left")
    for column in columns:
        table[f"published_{column}"] = beside[column].to_numpy()
    for column in columns:
        table[f"difference_{column}"] = table[column] - table[f"published_{column}"]
    return table
