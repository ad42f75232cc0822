"""The metrics file: one row per case, split and seed, from which all tables follow.

The published Table 4 is kept in the same form, so that one aggregation serves both.
"""

import json
import math
from pathlib import Path

import pandas as pd

from agf.errors import UserError
from agf.tasks import ALL_TASKS, WIDE, all_cases, case_by_name

COLUMNS = (
    "corpus",
    "split",
    "seed",
    "case",
    "network",
    "tasks",
    "log_loss",
    "macro_f1",
    "accuracy",
    "n_tracks",
)
"""Columns of ``metrics.csv``."""

SCORES = ("log_loss", "macro_f1")
"""The paper's two scores."""


def read_metrics(path):
    """Read and check a metrics file.

    Parameters
    ----------
    path : str or pathlib.Path
        A CSV file with the columns :data:`COLUMNS`. For each split and seed it holds the same
        cases, once each: all or some of the paper's 62, of ``wstn-2`` ... ``wstn-5``, and of
        ``wstn-2-softmax`` ... ``wstn-5-softmax``, the wide networks scored by their own softmax.

    Returns
    -------
    pandas.DataFrame
        The rows in the file's order; an empty score is NaN, an empty seed or number of tracks NA.

    Raises
    ------
    UserError
        When the file cannot be read, a column is missing or unknown, a case is unknown, there
        twice or missing in one of the runs, network or tasks are not those of the case, a number
        is none, the file mixes corpora, or an MTN of one task differs from its STN.
    """
    frame = read_text_table(path, COLUMNS)
    identities = _identities()
    for row, (case, network, tasks) in enumerate(
        zip(frame["case"], frame["network"], frame["tasks"], strict=True)
    ):
        if case not in identities:
            raise UserError(
                f"{path}, line {row + 2}: case {case!r} is unknown; cases are named like stn-gse, "
                f"mtn-gse, wstn-3 or wstn-3-softmax, tasks in the order {''.join(ALL_TASKS)}."
            )
        if (network, tasks) != identities[case]:
            raise UserError(
                f"{path}, line {row + 2}: case {case} has network {network!r} and tasks {tasks!r}; "
                f"they must be {identities[case][0]!r} and {identities[case][1]!r}."
            )
    frame["seed"] = numbers(frame, "seed", path, 0, math.inf, whole=True)
    frame["log_loss"] = numbers(frame, "log_loss", path, 0, math.inf)
    frame["macro_f1"] = numbers(frame, "macro_f1", path, 0, 1)
    frame["accuracy"] = numbers(frame, "accuracy", path, 0, 1)
    frame["n_tracks"] = numbers(frame, "n_tracks", path, 1, math.inf, whole=True)
    _check_runs(frame, path)
    return frame


def require_complete(metrics, path):
    """Refuse empty scores.

    Parameters
    ----------
    metrics : pandas.DataFrame
        As :func:`read_metrics` returns it.
    path : str or pathlib.Path
        Where it came from, for the message.

    Raises
    ------
    UserError
        Naming the empty scores, or the filled ones where they are fewer.
    """
    empty, filled = [], []
    for row in metrics.itertuples():
        for score in SCORES:
            (empty if math.isnan(getattr(row, score)) else filled).append(f"{score} of {row.case}")
    if not empty:
        return
    if len(filled) < len(empty):
        which = f"all but {_listing(filled)}" if filled else "all of them"
    else:
        which = _listing(empty)
    raise UserError(
        f"{path}: {len(empty)} of {len(empty) + len(filled)} values are empty ({which}); "
        "fill them from the publication, or give the metrics file of a finished run."
    )


def collect_metrics(paths, corpus):
    """Gather the metrics of all cases into the frame of ``tables/metrics.csv``.

    Parameters
    ----------
    paths : iterable of str or pathlib.Path
        The files ``.../cases/{split}/seed{seed}/{case}/metrics.json``: for each split and seed the
        same cases, all or some of the 57 distinct ones, of ``wstn-2`` ... ``wstn-5`` and of
        ``wstn-2-softmax`` ... ``wstn-5-softmax``.
    corpus : str
        Name of the corpus.

    Returns
    -------
    pandas.DataFrame
        Columns :data:`COLUMNS`; per split and seed the paper's cases, the wide networks scored by
        a transfer MLP, then by their own softmax, 70 rows where all are there. Where there is an
        MTN of several tasks, an MTN of one task repeats each STN of one task and is marked by it
        in column `network`.

    Raises
    ------
    UserError
        When a path does not follow the layout, a file is missing or no metrics, or a case
        of one run lacks in another.
    """
    runs = []
    for path in map(Path, paths):
        parts = path.parts[-5:]
        if (
            len(parts) < 5
            or parts[0] != "cases"
            or parts[4] != "metrics.json"
            or not parts[2].removeprefix("seed").isdigit()
        ):
            raise UserError(f"{path} must end in cases/SPLIT/seedSEED/CASE/metrics.json.")
        runs.append((parts[1], int(parts[2].removeprefix("seed")), parts[3], path))
    return gather_metrics(runs, corpus)


def gather_metrics(runs, corpus):
    """Gather the metrics of cases that may lie anywhere.

    Parameters
    ----------
    runs : iterable of tuple
        Split, seed, case and path of ``metrics.json`` of each.
    corpus : str
        Name of the corpus.

    Returns
    -------
    pandas.DataFrame
        As :func:`collect_metrics` returns it.

    Raises
    ------
    UserError
        As :func:`collect_metrics`, the layout of paths aside.
    """
    found = {}
    for split, seed, case, path in runs:
        try:
            values = json.loads(Path(path).read_text(encoding="utf-8"))
            scores = {column: values[column] for column in COLUMNS[6:]}
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise UserError(
                f"{path} cannot be read as the metrics of a case ({error!r}); evaluate it again."
            ) from None
        if case not in _identities():
            raise UserError(f"{path}: {case!r} is no case; remove the folder.")
        found.setdefault((split, seed), {})[case] = scores

    names = set().union(*found.values())
    rows = []
    for (split, seed), cases in sorted(found.items()):
        missing = [name for name in _identities() if name in names and name not in cases]
        if missing:
            raise UserError(
                f"Case {missing[0]} of split {split!r} and seed {seed} has no metrics.json, but "
                "another split or seed has one; evaluate it first."
            )
        if any(name.startswith("mtn-") for name in cases):
            cases |= {alias: cases[name] for alias, name in _aliases().items() if name in cases}
        for name, (network, tasks) in _identities().items():
            if name in cases:
                identity = (corpus, split, seed, name, network, tasks)
                rows.append(dict(zip(COLUMNS, (*identity, *cases[name].values()), strict=True)))
    if not rows:
        raise UserError("There is no metrics.json to collect; evaluate the cases first.")
    return pd.DataFrame(rows, columns=list(COLUMNS))


def average_cases(metrics):
    """Average each case over the seeds of each split, then over the splits.

    Parameters
    ----------
    metrics : pandas.DataFrame
        As :func:`read_metrics` returns it.

    Returns
    -------
    pandas.DataFrame
        One row per case in the order of ``metrics.csv``: `case`, `system`, `n_tasks`, `tasks`,
        `log_loss`, `macro_f1`, and `alias_of`, the STN that an MTN of one task repeats where that
        STN is there, else empty. NaN in one run makes the mean NaN.
    """
    scores = list(SCORES)
    of_splits = metrics.groupby(["case", "split"])[scores].mean(skipna=False)
    means = of_splits.groupby("case").mean(skipna=False)
    identities, aliases = _identities(), _aliases()
    names = [name for name in identities if name in means.index]
    return pd.DataFrame(
        {
            "case": names,
            "system": [_system(name) for name in names],
            "n_tasks": [_n_tasks(name) for name in names],
            "tasks": [identities[name][1] for name in names],
            "log_loss": means.loc[names, "log_loss"].to_numpy(dtype=float),
            "macro_f1": means.loc[names, "macro_f1"].to_numpy(dtype=float),
            "alias_of": [aliases[n] if aliases.get(n) in means.index else "" for n in names],
        }
    )


def count_runs(metrics):
    """Return the number of runs, each a pair of split and seed."""
    return len(metrics[["split", "seed"]].drop_duplicates())


def repeated_over(metrics):
    """Return what the runs repeat: ``split`` where there are several splits, else ``seed``."""
    return "split" if metrics["split"].nunique() > 1 else "seed"


def score_deviations(metrics, keys):
    """Return how much the scores of groups of cases vary between splits.

    Seeds are averaged first; where all runs are of one split, it is the deviation between seeds.

    Parameters
    ----------
    metrics : pandas.DataFrame
        As :func:`read_metrics` returns it.
    keys : list of str
        What makes a group: ``["case"]``, or `system` and `n_tasks`, whose cases are averaged.

    Returns
    -------
    pandas.DataFrame
        Indexed by `keys`: `log_loss` and `macro_f1`, the standard deviation (divided by the number
        of repeats less one) of the group's mean; NaN of a single run.
    """
    rows = metrics.assign(
        system=[_system(name) for name in metrics["case"]],
        n_tasks=[_n_tasks(name) for name in metrics["case"]],
    )
    repeats = rows.groupby([*keys, repeated_over(metrics)], dropna=False)[list(SCORES)]
    return repeats.mean(skipna=False).groupby(keys).std(skipna=False)


def paper_case_names():
    """Return the names of the paper's 62 cases, in the order of ``metrics.csv``."""
    return [case.name for case in all_cases() if case.kind != "wstn"]


def _aliases():
    return {case.name: case.alias_of for case in all_cases(ALL_TASKS) if case.alias_of}


def _softmax_name(n):
    return f"wstn-{n}-softmax"


def _identities():
    """Return network and task letters of every case name, in the order of ``metrics.csv``."""
    identities = {
        case.name: ("+".join(dict.fromkeys(case.networks)), case.tasks)
        for case in all_cases(ALL_TASKS)
    }
    return identities | {_softmax_name(n): identities[f"wstn-{n}"] for n in WIDE}


def _system(case_name):
    if case_name.endswith("-softmax"):
        return "wstn_softmax"
    kind = case_by_name(case_name).kind
    return "wstn_transfer" if kind == "wstn" else kind


def _n_tasks(case_name):
    kind, what = case_name.split("-")[:2]
    return int(what) if kind == "wstn" else len(what)


def read_text_table(path, columns):
    """Read a CSV file as text, an empty field as an empty string; check its columns."""
    try:
        frame = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; check the path.") from None
    except (ValueError, OSError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path} cannot be read as CSV ({reason}); mend the file.") from None
    missing = [column for column in columns if column not in frame]
    unknown = [column for column in frame if column not in columns]
    if missing or unknown:
        wrong = f"lacks column {missing[0]!r}" if missing else f"has unknown column {unknown[0]!r}"
        raise UserError(f"{path} {wrong}; its columns must be {', '.join(columns)}.")
    return frame.fillna("")[list(columns)]


def numbers(frame, column, path, low, high, whole=False):
    """Convert a text column to numbers, NaN for empty; refuse what lies outside [low, high]."""
    values = []
    for row, text in enumerate(frame[column]):
        try:
            value = float(text) if text.strip() else math.nan
            valid = not text.strip() or (low <= value <= high and math.isfinite(value))
            valid &= not whole or not text.strip() or value == int(value)
        except ValueError:
            valid = False
        if not valid:
            kind = "a whole number" if whole else "a number"
            bound = f"of at least {low}" if high == math.inf else f"from {low} to {high}"
            # Line 1 is the header.
            raise UserError(
                f"{path}, line {row + 2}: {column} is {text!r}; "
                f"it must be {kind} {bound}, or empty."
            )
        values.append(value)
    return pd.Series(values, index=frame.index, dtype="Int64" if whole else "float64")


def _check_runs(frame, path):
    """Check that every split and seed holds the same cases, each once."""
    if frame.empty:
        raise UserError(f"{path} has no rows; it must hold one case at least.")
    if frame["corpus"].nunique() > 1:
        raise UserError(
            f"{path} mixes the corpora {', '.join(sorted(frame['corpus'].unique()))}; "
            "keep one corpus per file."
        )
    duplicated = frame.duplicated(["split", "seed", "case"])
    if duplicated.any():
        row = int(duplicated.to_numpy().argmax())
        raise UserError(
            f"{path}, line {row + 2}: case {frame['case'].iloc[row]} comes twice for one split and "
            "seed; remove one of the rows."
        )
    expected = set(frame["case"])
    for (split, seed), run in frame.groupby(["split", "seed"], dropna=False):
        missing = [name for name in _identities() if name in expected - set(run["case"])]
        if missing:
            raise UserError(
                f"{path} lacks {len(missing)} cases of split {split!r} and seed {seed}, the first "
                f"is {missing[0]}, which another split or seed has; run them or remove this split "
                "and seed."
            )
        values = run.set_index("case")[[*SCORES, "accuracy", "n_tracks"]]
        for alias, name in _aliases().items():
            if {alias, name} <= expected and not values.loc[alias].equals(values.loc[name]):
                raise UserError(
                    f"{path}: {alias} differs from {name} for split {split!r} and seed {seed}; an "
                    "MTN of one task is its STN, make the two rows equal."
                )


def _listing(names, most=6):
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
