"""The published tables, and where they agree with ours and contradict themselves."""

import math
from pathlib import Path

import pandas as pd

from agf.errors import UserError
from agf.evaluation.metrics_file import (
    SCORES,
    numbers,
    paper_case_names,
    read_metrics,
    read_text_table,
)
from agf.evaluation.tables import heading, published_applies, score_columns, table3, table5
from agf.tasks import TASKS

ROUNDING = 5e-5 + 1e-12
"""Largest distance from a value printed with four digits that rounds to it."""


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
    published3 = read_text_table(path, ("system", "genre_task", *SCORES))
    expected = [(s, g) for s in ("STN", "MTN") for g in ("with g", "without g")]
    if list(zip(published3["system"], published3["genre_task"], strict=True)) != expected:
        raise UserError(f"{path}: the rows must be {', '.join(' '.join(row) for row in expected)}.")
    published3["log_loss"] = numbers(published3, "log_loss", path, 0, math.inf)
    published3["macro_f1"] = numbers(published3, "macro_f1", path, 0, 1)

    path = folder / "table5.csv"
    columns = [f"{system}_{score}" for score in SCORES for system in ("stn", "mtn")]
    published5 = read_text_table(path, ("n_tasks", *columns))
    if list(published5["n_tasks"]) != [str(n) for n in range(1, len(TASKS) + 1)]:
        raise UserError(f"{path}: the rows must be n_tasks 1 to {len(TASKS)}.")
    published5["n_tasks"] = published5["n_tasks"].astype(int)
    for column in columns:
        high = 1 if column.endswith("macro_f1") else math.inf
        published5[column] = numbers(published5, column, path, 0, high)
    path = folder / "table4.csv"
    published4 = read_metrics(path)
    missing = [name for name in paper_case_names() if name not in set(published4["case"])]
    if missing:
        raise UserError(f"{path} lacks {len(missing)} of the 62 cases, the first is {missing[0]}.")
    return {
        "table3": published3,
        "table4": published4,
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
        for column in score_columns(printed):
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


def contradictions(published, metrics):
    """Return a sentence for each cell in which the publication contradicts itself.

    There is none where `metrics` is not of the paper's own corpus and split.
    """
    if published is None or not published_applies(metrics):
        return []
    own = compare_with_published(
        table3(published["table4"]), table5(published["table4"]), published
    )
    return [
        f"The publication contradicts itself: its Table {row.table} prints {row.published:.4f} for "
        f"{heading(row.column)} at {row.row}, its Table 4 gives {row.computed:.4f}."
        for row in own[own["contradiction"].fillna(False)].itertuples()
    ]


def _rounds_to(value, printed):
    if pd.isna(value) or pd.isna(printed):
        return pd.NA
    return bool(abs(value - printed) <= ROUNDING)
