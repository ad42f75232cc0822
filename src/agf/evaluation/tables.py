"""The paper's Tables 1 to 5 and Figure 3 from the metrics of all cases.

Everything follows from ``metrics.csv``, one row per case, split and seed. The published tables are
kept in the same form, so that one aggregation serves both. Source: Kim, Won, Serra and Liem
(WWW'18), Tables 1 to 5 and Figure 3.
"""

import json
import math
from pathlib import Path

import pandas as pd

from agf.errors import UserError
from agf.evaluation.figures import figure3
from agf.files import replacing, write_text
from agf.tasks import TASKS, WIDE, all_cases, case_by_name, task_combinations

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

BEST = {"log_loss": "min", "macro_f1": "max"}
"""Which value of a score is the best."""

SYSTEM_LABELS = {
    "stn": "STN",
    "mtn": "MTN",
    "wstn_transfer": "wSTN (transfer)",
    "wstn_softmax": "wSTN (softmax)",
}
"""Systems as they appear in column names, and in print."""

ROUNDING = 5e-5 + 1e-12
"""Largest distance from a value printed with four digits that rounds to it."""

TASK_TEXTS = {
    "g": ("top genre of the track", "genre annotation"),
    "s": ("topics of the artist's genre labels", "genre annotations with all subgenres"),
    "e": ("topics of the artist's Essentia words", "Essentia music descriptors, per track"),
    "d": ("topics of the artist's dMFCC words", "first-order difference of MFCC, per frame"),
    "m": ("topics of the artist's MFCC words", "MFCC, per frame"),
}
"""Target and source feature of each learning task (paper, Table 1)."""

ALIAS_NOTE = "† An MTN of one task is its STN; the value is repeated, nothing is trained twice."


def _published_case_names():
    return [case.name for case in all_cases() if case.kind != "wstn"]


def _softmax_name(n):
    return f"wstn-{n}-softmax"


def _identities():
    """Return network and task letters of every case name, in the order of ``metrics.csv``."""
    identities = {
        case.name: ("+".join(dict.fromkeys(case.networks)), case.tasks) for case in all_cases()
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


def _read_text_table(path, columns):
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


def _numbers(frame, column, path, low, high, whole=False):
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


def read_metrics(path):
    """Read and check a metrics file.

    Parameters
    ----------
    path : str or pathlib.Path
        A CSV file with the columns :data:`COLUMNS`. For each split and seed it holds the paper's
        62 cases, and may hold ``wstn-2`` ... ``wstn-5`` and ``wstn-2-softmax`` ...
        ``wstn-5-softmax``, the wide networks scored by their own softmax.

    Returns
    -------
    pandas.DataFrame
        The rows in the file's order; an empty score is NaN, an empty seed or number of tracks NA.

    Raises
    ------
    UserError
        When the file cannot be read, a column is missing or unknown, a case is unknown, missing or
        there twice, network or tasks are not those of the case, a number is none, the file mixes
        corpora, or an MTN of one task differs from its STN.
    """
    frame = _read_text_table(path, COLUMNS)
    identities = _identities()
    for row, (case, network, tasks) in enumerate(
        zip(frame["case"], frame["network"], frame["tasks"], strict=True)
    ):
        if case not in identities:
            raise UserError(
                f"{path}, line {row + 2}: case {case!r} is unknown; cases are named like stn-gse, "
                "mtn-gse, wstn-3 or wstn-3-softmax, tasks in the order gsedm."
            )
        if (network, tasks) != identities[case]:
            raise UserError(
                f"{path}, line {row + 2}: case {case} has network {network!r} and tasks {tasks!r}; "
                f"they must be {identities[case][0]!r} and {identities[case][1]!r}."
            )
    frame["seed"] = _numbers(frame, "seed", path, 0, math.inf, whole=True)
    frame["log_loss"] = _numbers(frame, "log_loss", path, 0, math.inf)
    frame["macro_f1"] = _numbers(frame, "macro_f1", path, 0, 1)
    frame["accuracy"] = _numbers(frame, "accuracy", path, 0, 1)
    frame["n_tracks"] = _numbers(frame, "n_tracks", path, 1, math.inf, whole=True)
    _check_runs(frame, path)
    return frame


def _check_runs(frame, path):
    """Check that every split and seed holds the 62 cases once, and all the same wide ones."""
    if frame.empty:
        raise UserError(f"{path} has no rows; it must hold the paper's 62 cases.")
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
    expected = set(_published_case_names()) | set(frame["case"])
    for (split, seed), run in frame.groupby(["split", "seed"], dropna=False):
        missing = [name for name in _identities() if name in expected - set(run["case"])]
        if missing:
            raise UserError(
                f"{path} lacks {len(missing)} cases of split {split!r} and seed {seed}, the first "
                f"is {missing[0]}; run them or remove this split and seed."
            )
        values = run.set_index("case")[[*SCORES, "accuracy", "n_tracks"]]
        for task in TASKS:
            if not values.loc[f"mtn-{task}"].equals(values.loc[f"stn-{task}"]):
                raise UserError(
                    f"{path}: mtn-{task} differs from stn-{task} for split {split!r} and seed "
                    f"{seed}; an MTN of one task is its STN, make the two rows equal."
                )


def collect_metrics(paths, corpus):
    """Gather the metrics of all cases into the frame of ``tables/metrics.csv``.

    Parameters
    ----------
    paths : iterable of str or pathlib.Path
        The files ``.../cases/{split}/seed{seed}/{case}/metrics.json``: for each split and seed the
        57 distinct cases, ``wstn-2`` ... ``wstn-5`` and ``wstn-2-softmax`` ...
        ``wstn-5-softmax``.
    corpus : str
        Name of the corpus.

    Returns
    -------
    pandas.DataFrame
        Columns :data:`COLUMNS`, 70 rows per split and seed: the paper's 62 cases, the wide
        networks scored by a transfer MLP, then by their own softmax. The five MTN of one task
        repeat their STN and are marked by it in column `network`.

    Raises
    ------
    UserError
        When a path does not follow the layout, a file is missing or no metrics, or a case lacks.
    """
    found = {}
    for path in map(Path, paths):
        parts = path.parts[-5:]
        if (
            len(parts) < 5
            or parts[0] != "cases"
            or parts[4] != "metrics.json"
            or not parts[2].removeprefix("seed").isdigit()
        ):
            raise UserError(f"{path} must end in cases/SPLIT/seedSEED/CASE/metrics.json.")
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            scores = {column: values[column] for column in COLUMNS[6:]}
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise UserError(
                f"{path} cannot be read as the metrics of a case ({error!r}); evaluate it again."
            ) from None
        if parts[3] not in _identities():
            raise UserError(f"{path}: {parts[3]!r} is no case; remove the folder.")
        found.setdefault((parts[1], int(parts[2].removeprefix("seed"))), {})[parts[3]] = scores

    aliases = {case.name: case.alias_of for case in all_cases() if case.alias_of}
    rows = []
    for (split, seed), cases in sorted(found.items()):
        for name, (network, tasks) in _identities().items():
            source = aliases.get(name, name)
            if source not in cases:
                raise UserError(
                    f"Case {source} of split {split!r} and seed {seed} has no metrics.json; "
                    "evaluate it first."
                )
            identity = (corpus, split, seed, name, network, tasks)
            rows.append(dict(zip(COLUMNS, (*identity, *cases[source].values()), strict=True)))
    if not rows:
        raise UserError("There is no metrics.json to collect; evaluate the cases first.")
    return pd.DataFrame(rows, columns=list(COLUMNS))


def average_cases(metrics):
    """Average each case over all splits and seeds.

    Parameters
    ----------
    metrics : pandas.DataFrame
        As :func:`read_metrics` returns it.

    Returns
    -------
    pandas.DataFrame
        One row per case in the order of ``metrics.csv``: `case`, `system`, `n_tasks`, `tasks`,
        `log_loss`, `macro_f1`. NaN in one run makes the mean NaN.
    """
    means = metrics.groupby("case")[list(SCORES)].mean(skipna=False)
    identities = _identities()
    names = [name for name in identities if name in means.index]
    return pd.DataFrame(
        {
            "case": names,
            "system": [_system(name) for name in names],
            "n_tasks": [_n_tasks(name) for name in names],
            "tasks": [identities[name][1] for name in names],
            "log_loss": means.loc[names, "log_loss"].to_numpy(dtype=float),
            "macro_f1": means.loc[names, "macro_f1"].to_numpy(dtype=float),
        }
    )


def table1(sizes):
    """Return the learning tasks (paper, Table 1).

    Parameters
    ----------
    sizes : dict of str to dict
        For each task letter `outputs` (number of genres or topics) and `words` (size of the
        dictionary, None for ``g``).

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
        for task, name in TASKS.items()
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
        Four rows: `system`, `genre_task` (``with g`` or ``without g``), `n_rows`, `log_loss`,
        `macro_f1`.
    """
    cases = average_cases(metrics)
    rows = []
    for system in ("stn", "mtn"):
        of_system = cases[cases["system"] == system]
        if system == "mtn":
            of_system = of_system[of_system["n_tasks"] > 1]
        with_g = of_system["tasks"].str.contains("g")
        for genre_task, group in (("with g", of_system[with_g]), ("without g", of_system[~with_g])):
            rows.append(
                {
                    "system": SYSTEM_LABELS[system],
                    "genre_task": genre_task,
                    "n_rows": len(group),
                    **{score: group[score].mean(skipna=False) for score in SCORES},
                }
            )
    table = pd.DataFrame(rows)
    if published is not None and _published_applies(metrics):
        return _beside_published(table, published["table3"], ["system", "genre_task"])
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
        62 rows, STN and MTN of each task combination in the order of
        :func:`agf.tasks.task_combinations`: `case`, `tasks`, `n_tasks`, `log_loss`, `macro_f1`,
        `alias_of` (the STN that an MTN of one task repeats, else empty); for each score with a
        published value `published_*` and `difference_*` (ours minus published).
    """
    names = [f"{system}-{tasks}" for tasks in task_combinations() for system in ("stn", "mtn")]
    cases = average_cases(metrics).set_index("case").loc[names].reset_index()
    table = cases[["case", "tasks", "n_tasks", *SCORES]].copy()
    table["alias_of"] = [case_by_name(name).alias_of or "" for name in names]
    if published is not None and _published_applies(metrics):
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
        MTN of N = 1 is the STN; a wSTN of N = 1 does not exist (NaN). Columns of systems that
        `metrics` does not hold are left out.
    """
    cases = average_cases(metrics)
    table = pd.DataFrame({"n_tasks": range(1, len(TASKS) + 1)})
    for score in SCORES:
        for system in SYSTEM_LABELS:
            groups = cases[cases["system"] == system].groupby("n_tasks")[score]
            if groups.ngroups:
                # A value that is not there might have been the best: its group has no best.
                best = getattr(groups, BEST[score])(skipna=False)
                table[f"{system}_{score}"] = table["n_tasks"].map(best)
    if published is not None and _published_applies(metrics):
        return _beside_published(table, published["table5"], ["n_tasks"])
    return table


def _published_applies(metrics):
    return set(metrics["corpus"]) == {"fma_medium"} and set(metrics["split"]) == {"paper"}


def _score_columns(table):
    """Return the columns that hold scores of this run."""
    return [
        column
        for column in table
        if column.endswith(SCORES) and not column.startswith(("published_", "difference_"))
    ]


def _beside_published(table, published, keys):
    """Add published values and differences for the scores of which any is published."""
    columns = [c for c in _score_columns(table) if c in published and published[c].notna().any()]
    beside = table[keys].merge(published, on=keys, how="left")
    for column in columns:
        table[f"published_{column}"] = beside[column].to_numpy()
    for column in columns:
        table[f"difference_{column}"] = table[column] - table[f"published_{column}"]
    return table


def read_published(folder):
    """Read the published Tables 3, 4 and 5.

    Parameters
    ----------
    folder : str or pathlib.Path
        Holds ``table3.csv``, ``table4.csv`` (a metrics file) and ``table5.csv``; see the README
        beside them.

    Returns
    -------
    dict of str to pandas.DataFrame
        ``table3`` (`system`, `genre_task`, `log_loss`, `macro_f1`), ``table4`` (as
        :func:`read_metrics`) and ``table5`` (`n_tasks`, `stn_log_loss`, `mtn_log_loss`,
        `stn_macro_f1`, `mtn_macro_f1`). A value not transcribed is NaN.

    Raises
    ------
    UserError
        When a file is missing or not of this form.
    """
    folder = Path(folder)
    path = folder / "table3.csv"
    published3 = _read_text_table(path, ("system", "genre_task", *SCORES))
    expected = [(s, g) for s in ("STN", "MTN") for g in ("with g", "without g")]
    if list(zip(published3["system"], published3["genre_task"], strict=True)) != expected:
        raise UserError(f"{path}: the rows must be {', '.join(' '.join(row) for row in expected)}.")
    published3["log_loss"] = _numbers(published3, "log_loss", path, 0, math.inf)
    published3["macro_f1"] = _numbers(published3, "macro_f1", path, 0, 1)

    path = folder / "table5.csv"
    columns = [f"{system}_{score}" for score in SCORES for system in ("stn", "mtn")]
    published5 = _read_text_table(path, ("n_tasks", *columns))
    if list(published5["n_tasks"]) != [str(n) for n in range(1, len(TASKS) + 1)]:
        raise UserError(f"{path}: the rows must be n_tasks 1 to {len(TASKS)}.")
    published5["n_tasks"] = published5["n_tasks"].astype(int)
    for column in columns:
        high = 1 if column.endswith("macro_f1") else math.inf
        published5[column] = _numbers(published5, column, path, 0, high)
    return {
        "table3": published3,
        "table4": read_metrics(folder / "table4.csv"),
        "table5": published5,
    }


def compare_with_published(table3_frame, table5_frame, published):
    """Compare Tables 3 and 5 with the published ones, cell by cell, to four digits.

    The publication contradicts itself where its Table 4, aggregated, does not give its own
    Table 3 or 5; such cells cannot be reproduced and are named.

    Parameters
    ----------
    table3_frame, table5_frame : pandas.DataFrame
        From :func:`table3` and :func:`table5`.
    published : dict of str to pandas.DataFrame
        As :func:`read_published` returns it.

    Returns
    -------
    pandas.DataFrame
        One row per published cell: `table` (3 or 5), `row`, `column`, `computed`, `published`,
        `from_published_table4`, `agrees` (computed rounds to published) and `contradiction` (what
        the published Table 4 gives does not); the last two are NA where a value is missing.
    """
    rows = []
    for number, keys, computed, printed, derived in (
        (
            3,
            ["system", "genre_task"],
            table3_frame,
            published["table3"],
            table3(published["table4"]),
        ),
        (5, ["n_tasks"], table5_frame, published["table5"], table5(published["table4"])),
    ):
        computed, derived = (frame.set_index(keys) for frame in (computed, derived))
        for column in _score_columns(printed):
            for key, value in printed.set_index(keys)[column].items():
                ours, theirs = computed.loc[key, column], derived.loc[key, column]
                rows.append(
                    {
                        "table": number,
                        "row": " ".join(key) if number == 3 else f"N={key}",
                        "column": column,
                        "computed": ours,
                        "published": value,
                        "from_published_table4": theirs,
                        "agrees": _rounds_to(ours, value),
                        "contradiction": not _rounds_to(theirs, value)
                        if pd.notna(_rounds_to(theirs, value))
                        else pd.NA,
                    }
                )
    return pd.DataFrame(rows).astype({"agrees": "boolean", "contradiction": "boolean"})


def _rounds_to(value, printed):
    if pd.isna(value) or pd.isna(printed):
        return pd.NA
    return bool(abs(value - printed) <= ROUNDING)


def _require_complete(metrics, path):
    """Refuse empty scores, naming them."""
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


def _listing(names, most=6):
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def write_tables(
    metrics_path, out_dir, sizes=None, layers=None, baselines=None, published=None, notes=()
):
    """Write Tables 1 to 5 as CSV and Markdown, and Figure 3 as PNG and SVG.

    Parameters
    ----------
    metrics_path : str or pathlib.Path
        A complete metrics file, see :func:`read_metrics`.
    out_dir : str or pathlib.Path
        Folder of ``table1.csv``, ``table1.md`` ... ``table5.md``, ``figure3.png``,
        ``figure3.svg`` and, with `baselines`, ``baselines.csv``.
    sizes : dict, optional
        See :func:`table1`; without it Table 1 is not written.
    layers : list of dict, optional
        See :func:`table2`; without it Table 2 is not written.
    baselines : pandas.DataFrame, optional
        From :func:`agf.evaluation.baselines.baseline_metrics`; shown under Table 4.
    published : dict, optional
        See :func:`read_published`; shown where corpus and split are the paper's.
    notes : sequence of str
        Sentences put under Tables 3 to 5 and Figure 3, for example that the transfer was fitted
        on all rows.

    Returns
    -------
    list of pathlib.Path
        The files written.

    Raises
    ------
    UserError
        When the metrics file is not valid or not complete; nothing is written then.
    """
    metrics = read_metrics(metrics_path)
    _require_complete(metrics, metrics_path)
    out_dir = Path(out_dir)
    about = _about(metrics)
    common = [about, *notes]
    documents = {}
    if sizes is not None:
        documents["table1"] = (table1(sizes), "Learning tasks", [])
    if layers is not None:
        documents["table2"] = (
            table2(layers),
            "Network architecture of an STN",
            [
                "Output: mel bands x frames x channels.",
                "The publication prints 128x43x1 after the first convolution; it has 16 channels.",
            ],
        )
    documents["table3"] = (
        table3(metrics, published),
        "Mean scores with and without the genre task",
        [*common, "STN rows include single tasks, MTN rows do not, as in the publication."],
    )
    documents["table4"] = (
        table4(metrics, published),
        "Scores of all task combinations",
        [*common, ALIAS_NOTE],
    )
    documents["table5"] = (
        table5(metrics, published),
        "Best scores per number of tasks N",
        [*common, ALIAS_NOTE, *_contradiction_notes(published, metrics)],
    )
    written = []
    for name, (table, title, sentences) in documents.items():
        with replacing(out_dir / f"{name}.csv") as temporary:
            table.to_csv(temporary, index=False)
        text = _markdown(f"Table {name[-1]}. {title}", table, sentences)
        if name == "table4" and baselines is not None:
            text += "\n" + _markdown("Baselines", baselines, [], level=2)
        write_text(text, out_dir / f"{name}.md")
        written += [out_dir / f"{name}.csv", out_dir / f"{name}.md"]
    if baselines is not None:
        with replacing(out_dir / "baselines.csv") as temporary:
            baselines.to_csv(temporary, index=False)
        written.append(out_dir / "baselines.csv")
    cases = average_cases(metrics)
    # The aliases would draw the STN's points a second time.
    drawn = cases[(cases["system"] != "mtn") | (cases["n_tasks"] > 1)]
    png, svg = out_dir / "figure3.png", out_dir / "figure3.svg"
    figure3(drawn, "Figure 3. Genre classification by number of tasks", "\n".join(common), png, svg)
    return [*written, png, svg]


def _about(metrics):
    """Say which runs the values come from, and that they are means where there are several."""
    runs = metrics[["split", "seed"]].drop_duplicates()
    splits = ", ".join(dict.fromkeys(runs["split"]))
    about = f"Corpus {metrics['corpus'].iloc[0]}, split {splits}"
    seeds = [str(seed) for seed in runs["seed"].dropna().unique()]
    if seeds:
        about += f", seed {', '.join(seeds)}"
    if len(runs) > 1:
        return f"{about}. Each case is first averaged over these {len(runs)} runs."
    return f"{about}."


def _contradiction_notes(published, metrics):
    if published is None or not _published_applies(metrics):
        return []
    own = compare_with_published(
        table3(published["table4"]), table5(published["table4"]), published
    )
    return [
        f"The publication contradicts itself: its Table {row.table} prints {row.published:.4f} for "
        f"{_heading(row.column)} at {row.row}, its Table 4 gives {row.computed:.4f}."
        for row in own[own["contradiction"].fillna(False)].itertuples()
    ]


def _markdown(title, table, sentences, level=1):
    """Return a table as Markdown: title, pipe table, then one line per sentence."""
    shown = table.drop(columns=["alias_of"], errors="ignore")
    numeric = [c for c in shown if pd.api.types.is_numeric_dtype(shown[c])]
    cells = {column: _cells(shown[column]) for column in shown}
    for column in _score_columns(shown):
        best = f"{getattr(shown[column], BEST[_score(column)])():.4f}"
        cells[column] = [f"**{cell}**" if cell == best else cell for cell in cells[column]]
        if column.startswith("mtn_"):
            single = shown["n_tasks"] == 1
            cells[column] = [
                f"{cell} †" if alias else cell
                for cell, alias in zip(cells[column], single, strict=True)
            ]
    if "alias_of" in table:
        cells["case"] = [
            f"{cell} †" if alias else cell
            for cell, alias in zip(cells["case"], table["alias_of"], strict=True)
        ]
    lines = [
        "#" * level + f" {title}",
        "",
        "| " + " | ".join(_heading(column) for column in shown) + " |",
        "| " + " | ".join("---:" if column in numeric else ":---" for column in shown) + " |",
        *("| " + " | ".join(row) + " |" for row in zip(*cells.values(), strict=True)),
    ]
    if level == 1 and _score_columns(shown):
        sentences = [
            "Bold: best value of a column (lowest log loss in nats, highest macro F1).",
            *sentences,
        ]
    for sentence in sentences:
        lines += ["", sentence]
    return "\n".join(lines) + "\n"


def _score(column):
    return next(score for score in SCORES if column.endswith(score))


def _cells(values):
    sign = "+" if str(values.name).startswith("difference_") else ""
    if pd.api.types.is_float_dtype(values):
        return ["" if pd.isna(value) else f"{value:{sign}.4f}" for value in values]
    return ["" if pd.isna(value) else str(value) for value in values]


def _heading(column):
    """Return a column name for print: ``published_stn_log_loss`` as ``published STN log loss``."""
    for system, label in SYSTEM_LABELS.items():
        for prefix in ("", "published_", "difference_"):
            if column.startswith(f"{prefix}{system}_"):
                column = column.replace(f"{system}_", f"{label}_", 1)
                break
    column = {"n_tasks": "N", "n_rows": "rows", "n_tracks": "tracks"}.get(column, column)
    return column.replace("_", " ").replace("macro f1", "macro F1")


def summary_text(metrics, out_dir, baselines):
    """Return the lines printed at the end of a run.

    Parameters
    ----------
    metrics : pandas.DataFrame
        As :func:`read_metrics` returns it.
    out_dir : str or pathlib.Path
        Where the tables lie.
    baselines : pandas.DataFrame or None
        From :func:`agf.evaluation.baselines.baseline_metrics`.

    Returns
    -------
    str
        The five distinct cases of Table 4 with the lowest log loss, the baselines, and where
        everything lies.
    """
    cases = average_cases(metrics)
    in_table4 = cases["system"].isin(["stn", "mtn"])
    alias = (cases["system"] == "mtn") & (cases["n_tasks"] == 1)
    best = cases[in_table4 & ~alias].nsmallest(5, "log_loss")
    lines = [_about(metrics), "", "Best of Table 4 by log loss    log loss  macro F1"]
    lines += [
        f"  {row.case:<27} {row.log_loss:9.4f} {row.macro_f1:9.4f}" for row in best.itertuples()
    ]
    if baselines is not None:
        lines.append("Baselines")
        lines += [
            f"  {row.baseline:<27} {row.log_loss:9.4f} {row.macro_f1:9.4f}"
            for row in baselines.itertuples()
        ]
    lines += ["", f"In {out_dir}:"]
    for what, names in (
        ("the paper's tables (.csv beside them)", [f"table{n}.md" for n in range(1, 6)]),
        ("the paper's Figure 3", ["figure3.png", "figure3.svg"]),
        ("all values", ["metrics.csv"]),
        ("the baselines", ["baselines.csv"]),
    ):
        there = [name for name in names if (Path(out_dir) / name).exists()]
        if there:
            lines.append(f"  {', '.join(there)}: {what}")
    return "\n".join(lines)
