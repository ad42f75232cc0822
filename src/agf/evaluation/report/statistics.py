"""Statistics: comparisons between systems with their uncertainty."""

import pandas as pd
from markupsafe import Markup

from agf.evaluation.report.cells import (
    MISSING,
    Cell,
    Column,
    Table,
    count,
    fixed,
    interval,
    number,
    text,
)
from agf.evaluation.report.row_plots import Mark, row_plots
from agf.evaluation.tables import heading

FAMILIES = {
    "mtn_vs_stn": "MTN minus STN of the same tasks",
    "with_g_vs_without": "With the genre task minus without it",
    "n_tasks_vs_one": "N tasks minus the genre task alone",
    "vs_wstn": "MTN of N tasks minus the wide network of their size",
}
"""Titles of the families of ``comparisons.csv``; another one goes by its name."""

BETTER = {
    "log_loss": "below zero, the first is better",
    "macro_f1": "above zero, the first is better",
}
"""How to read a difference of each score."""

MAIN = "mtn_vs_stn"
"""Family whose mean is the paper's main comparison."""


def statistics_section(comparisons):
    """Return forest plots, which are tables, by score and family.

    Parameters
    ----------
    comparisons : pandas.DataFrame
        ``tables/comparisons.csv``.

    Returns
    -------
    dict
        ``n_splits``, the largest number of splits; ``scores``, for each its ``heading``, a table
        of the ``means`` over several comparisons, None without any, and ``families``, tables.
    """
    scores = []
    for score, rows in comparisons.groupby("score", sort=False):
        mean = is_mean(rows)
        scores.append(
            {
                "heading": f"Differences in {heading(score)}",
                "means": forest(rows[mean], score, "Means", named=True) if mean.any() else None,
                "families": [
                    forest(group, score, FAMILIES.get(family, family))
                    for family, group in rows[~mean].groupby("family", sort=False)
                ],
            }
        )
    return {"n_splits": int(comparisons["n_splits"].max()), "scores": scores}


def is_mean(comparisons):
    """Return which comparisons are means of others of their family: those without a minus."""
    return ~comparisons["comparison"].str.contains(" - ", regex=False)


def main_comparison(comparisons):
    """Say how sure the difference between MTN and STN is, None where the run does not know.

    Parameters
    ----------
    comparisons : pandas.DataFrame or None
        ``tables/comparisons.csv``.

    Returns
    -------
    str or None
    """
    if comparisons is None:
        return None
    rows = comparisons[is_mean(comparisons) & (comparisons["family"] == MAIN)]
    rows = rows[rows["score"] == "log_loss"]
    if rows.empty:
        return None
    row = rows.iloc[0]
    if row["n_splits"] > 1:
        ends = interval(row["low"], row["high"], 4, True).text
        within = row["low"] <= 0 <= row["high"]
        how = f"Over {row['n_splits']:.0f} splits the 95 % interval of the difference is {ends}"
    else:
        ends = interval(row["bootstrap_low"], row["bootstrap_high"], 4, True).text
        within = row["bootstrap_low"] <= 0 <= row["bootstrap_high"]
        how = f"Resampling the evaluated artists gives a 95 % interval from {ends}"
    reading = "which has zero in it" if within else "which leaves zero out"
    one = "" if row["n_splits"] > 1 else "; other splits and other trainings may differ by more"
    return f"{how} in log loss, {reading}{one}."


def forest(rows, score, caption, named=False):
    """Return comparisons in one score as a table with a drawn column.

    Parameters
    ----------
    rows : pandas.DataFrame
        Rows of ``tables/comparisons.csv``. The interval drawn is that over splits, and where there
        is none, with one split, the bootstrap's over artists.
    score : str
        ``log_loss`` or ``macro_f1``.
    caption : str
    named : bool
        Whether each row names its family.

    Returns
    -------
    Table
    """
    over_splits = rows["low"].notna().any()
    bootstrapped = rows["bootstrap_low"].notna().any()
    marks, cells = [], []
    for row in rows.itertuples():
        ends = (row.low, row.high) if over_splits else (row.bootstrap_low, row.bootstrap_high)
        ends = [None if pd.isna(end) else end for end in ends]
        tip = f"{row.comparison}: {fixed(row.difference, signed=True)}"
        marks.append([Mark(row.difference, *ends, tip)] if pd.notna(row.difference) else [])
        family = FAMILIES.get(row.family, row.family)
        label = Markup("{} <small>{}</small>").format(family, row.comparison)
        cells.append(
            [text(label if named else row.comparison), number(row.difference, signed=True)]
        )
        if over_splits:
            cells[-1].append(interval(row.low, row.high, signed=True))
        if bootstrapped:
            cells[-1].append(interval(row.bootstrap_low, row.bootstrap_high, signed=True))
        if over_splits:
            cells[-1] += [
                number(row.p, 3),
                number(row.p_holm, 3),
                _three(row.p_better, row.p_equal, row.p_worse),
                number(row.detectable),
            ]
    axis, drawings = row_plots(marks, reference=0.0)
    table_rows = [
        [row[0], Cell(picture), *row[1:]] for row, picture in zip(cells, drawings, strict=True)
    ]
    names = [
        "difference",
        *(["95 % over splits"] if over_splits else []),
        *(["95 % bootstrap"] if bootstrapped else []),
        *(["p", "p (Holm)", "better / equal / worse", "detectable"] if over_splits else []),
    ]
    columns = [Column("comparison"), Column(BETTER.get(score, ""), axis=axis)]
    columns += [Column(name, True) for name in names]
    return Table(caption, columns, table_rows, False, "plots forest")


def bootstrap_table(bootstrap):
    """Return the bootstrap's intervals of whole scores as a table.

    Parameters
    ----------
    bootstrap : pandas.DataFrame
        From :func:`agf.evaluation.report.inputs.read_bootstrap`, of one split and seed; values per
        genre are left to the best case's section.

    Returns
    -------
    Table or None
    """
    whole = bootstrap[~bootstrap["score"].str.startswith("f1:")]
    if whole.empty:
        return None
    rows = [
        [
            text(row.case),
            text(heading(row.score)),
            number(row.value),
            interval(row.low, row.high, 4),
        ]
        for row in whole.itertuples()
    ]
    columns = [Column("case"), Column("score"), Column("value", True)]
    columns.append(Column("95 % interval", True))
    caption = f"Bootstrap over artists of every case: {count(len(rows), 'interval')}"
    return Table(caption, columns, rows, True, "dense")


def _three(better, equal, worse):
    if pd.isna(better):
        return Cell(MISSING, "")
    return Cell(" / ".join(f"{p:.2f}" for p in (better, equal, worse)), repr(float(better)))
