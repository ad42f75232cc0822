"""Statistics: comparisons between systems with their uncertainty."""

import pandas as pd

from agf.evaluation.report.cells import Cell, Column, Table, count, interval, number, text
from agf.evaluation.report.row_plots import Mark, row_plots
from agf.evaluation.tables import heading

BETTER = {"log_loss": "below zero is better", "macro_f1": "above zero is better"}
"""How to read a difference of each score."""


def statistics_section(comparisons):
    """Return one forest plot, which is a table, for each score.

    Parameters
    ----------
    comparisons : pandas.DataFrame
        ``tables/comparisons.csv``.

    Returns
    -------
    dict
        ``forests``, tables; ``n_splits``, the largest number of splits.
    """
    n_splits = int(comparisons["n_splits"].max())
    forests = [forest(rows, score) for score, rows in comparisons.groupby("score", sort=False)]
    return {"forests": forests, "n_splits": n_splits}


def forest(rows, score):
    """Return the comparisons in one score as a table with a drawn column.

    Parameters
    ----------
    rows : pandas.DataFrame
        Rows of ``tables/comparisons.csv``. The interval drawn is that over splits, and where there
        is none, with one split, the bootstrap's over tracks.
    score : str
        ``log_loss`` or ``macro_f1``.

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
        known = pd.notna(row.difference)
        tip = f"{row.comparison}: {row.difference:+.4f}"
        marks.append([Mark(row.difference, *ends, tip)] if known else [])
        cells.append(
            [
                text(row.comparison),
                text(row.family),
                number(row.difference, signed=True),
                *([interval(row.low, row.high, 4, True)] if over_splits else []),
                *(
                    [interval(row.bootstrap_low, row.bootstrap_high, 4, True)]
                    if bootstrapped
                    else []
                ),
                *(
                    [
                        number(row.p, 3),
                        number(row.p_holm, 3),
                        _three(row.p_better, row.p_equal, row.p_worse),
                        number(row.detectable),
                    ]
                    if over_splits
                    else []
                ),
            ]
        )
    axis, drawings = row_plots(marks, reference=0.0)
    table_rows = [
        [row[0], Cell(picture), *row[1:]] for row, picture in zip(cells, drawings, strict=True)
    ]
    columns = [
        Column("comparison"),
        Column(BETTER.get(score, ""), axis=axis),
        Column("family"),
        Column("difference", True),
        *([Column("95 % over splits", True)] if over_splits else []),
        *([Column("95 % bootstrap", True)] if bootstrapped else []),
    ]
    if over_splits:
        names = ("p", "p (Holm)", "P better / equal / worse", "detectable")
        columns += [Column(name, True) for name in names]
    return Table(f"Differences in {heading(score)}", columns, table_rows, False, "plots forest")


def bootstrap_table(bootstrap):
    """Return the intervals of whole scores as a table.

    Parameters
    ----------
    bootstrap : pandas.DataFrame
        ``tables/bootstrap.csv``; values per genre are left to the best case's section.

    Returns
    -------
    Table or None
    """
    whole = bootstrap[~bootstrap["score"].str.startswith("f1:")]
    if whole.empty:
        return None
    several = len(whole[["split", "seed"]].drop_duplicates()) > 1
    rows = [
        [
            text(row.case),
            text(heading(row.score)),
            *([text(row.split), number(row.seed, 0)] if several else []),
            number(row.value),
            interval(row.low, row.high, 4),
        ]
        for row in whole.itertuples()
    ]
    columns = [Column("case"), Column("score")]
    columns += [Column("split"), Column("seed", True)] if several else []
    columns += [Column("value", True), Column("95 % interval", True)]
    caption = f"Bootstrap over evaluation tracks: {count(len(rows), 'interval')}"
    return Table(caption, columns, rows, True, "dense")


def _three(better, equal, worse):
    if pd.isna(better):
        return Cell("–", "")
    return Cell(" / ".join(f"{p:.2f}" for p in (better, equal, worse)), repr(float(better)))
