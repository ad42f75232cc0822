"""Statistics: comparisons between systems with their uncertainty."""

import pandas as pd
from markupsafe import Markup

from agf.evaluation.comparisons import BOOTSTRAP_SCORES, FAMILIES, describe_comparison, is_mean
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
        mean = rows["comparison"].map(is_mean)
        scores.append(
            {
                "heading": f"Differences in {heading(score)}",
                "means": forest(rows[mean], score, "Means", named=True) if mean.any() else None,
                "families": [
                    forest(group, score, FAMILIES[family])
                    for family, group in rows[~mean].groupby("family", sort=False)
                ],
            }
        )
    return {"n_splits": int(comparisons["n_splits"].max()), "scores": scores}


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
    rows = comparisons[(comparisons["family"] == MAIN) & (comparisons["score"] == "log_loss")]
    rows = rows[rows["comparison"].map(is_mean)]
    if rows.empty:
        return None
    row = rows.iloc[0]
    if row["n_splits"] > 1:
        ends = interval(row["low"], row["high"], 4, True).text
        return (
            f"Over {row['n_splits']:.0f} splits the 95 % interval of the difference in log loss is "
            f"{ends}: {describe_comparison(row)}."
        )
    within = row["bootstrap_low"] <= 0 <= row["bootstrap_high"]
    ends = interval(row["bootstrap_low"], row["bootstrap_high"], 4, True).text
    reading = "has zero in it" if within else "leaves zero out"
    return (
        f"Resampling the evaluated artists gives a 95 % interval of {ends} for the difference in "
        f"log loss, which {reading}. It says nothing about other splits or other trainings."
    )


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
    adjusted = rows["p_holm"].notna().any()
    marks, cells = [], []
    for row in rows.itertuples():
        ends = (row.low, row.high) if over_splits else (row.bootstrap_low, row.bootstrap_high)
        ends = [None if pd.isna(end) else end for end in ends]
        tip = f"{row.comparison}: {fixed(row.difference, signed=True)}"
        marks.append([Mark(row.difference, *ends, tip)] if pd.notna(row.difference) else [])
        family = FAMILIES[row.family]
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
                number(row.p_holm if adjusted else row.p, 3),
                _three(row.p_better, row.p_equal, row.p_worse),
                number(row.detectable),
            ]
    axis, drawings = row_plots(marks, reference=0.0, most_ticks=3)
    table_rows = [
        [row[0], Cell(picture), *row[1:]] for row, picture in zip(cells, drawings, strict=True)
    ]
    names = [
        "difference",
        *(["95 % over splits"] if over_splits else []),
        *(["95 % bootstrap"] if bootstrapped else []),
        *(["p (Holm)" if adjusted else "p", "better / equal / worse"] if over_splits else []),
        *(["detectable"] if over_splits else []),
    ]
    columns = [Column("comparison"), Column(BETTER.get(score, ""), axis=axis)]
    columns += [Column(name, True) for name in names]
    return Table(caption, columns, table_rows, False, "plots forest")


def bootstrap_table(bootstrap):
    """Return the bootstrap's intervals of all cases as a table.

    Parameters
    ----------
    bootstrap : pandas.DataFrame
        Rows of ``tables/bootstrap.csv`` of one split and seed.

    Returns
    -------
    Table
    """
    rows = [
        [
            text(row["case"]),
            text(heading(score)),
            number(row[score]),
            interval(row[f"{score}_low"], row[f"{score}_high"], 4),
        ]
        for _, row in bootstrap.iterrows()
        for score in BOOTSTRAP_SCORES
    ]
    columns = [Column("case"), Column("score"), Column("value", True)]
    columns.append(Column("95 % interval", True))
    caption = f"Bootstrap over artists of every case: {count(len(rows), 'interval')}"
    return Table(caption, columns, rows, True, "dense")


def _three(better, equal, worse):
    if pd.isna(better):
        return Cell(MISSING, "")
    return Cell(" / ".join(f"{p:.2f}" for p in (better, equal, worse)), repr(float(better)))
