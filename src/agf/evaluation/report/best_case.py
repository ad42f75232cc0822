"""The best case: which genres it takes for which, and how well it knows each."""

import numpy as np
import pandas as pd

from agf.evaluation.metrics import per_genre
from agf.evaluation.report.cells import MISSING, Cell, Column, Table, count, interval, number, text
from agf.evaluation.report.row_plots import Mark, row_plots

MOST_CONFUSIONS = 3
"""Confusions named above the matrix."""


def read_predictions(paths, case):
    """Return the predictions of one case, None where they are not among `paths`."""
    for path in paths:
        if path.parent.name == case:
            return pd.read_parquet(path)
    return None


def confusion(predictions):
    """Count for each true genre how often each genre is the most probable.

    Parameters
    ----------
    predictions : pandas.DataFrame
        ``predictions.parquet``: `track_id`, `genre_top`, one column per genre.

    Returns
    -------
    pandas.DataFrame
        Rows are true genres, columns predicted ones.
    """
    genres = [name for name in predictions if name not in ("track_id", "genre_top")]
    labels = pd.Index(genres).get_indexer(predictions["genre_top"])
    predicted = predictions[genres].to_numpy().argmax(axis=1)
    counts = np.zeros((len(genres), len(genres)), int)
    np.add.at(counts, (labels, predicted), 1)
    return pd.DataFrame(counts, index=genres, columns=genres)


def confusion_table(counts, case):
    """Return the matrix as a table: counts in print, shares of a row as shades."""
    totals = counts.sum(axis=1)
    rows = []
    for genre, row in counts.iterrows():
        cells = [Cell(genre)]
        for other, n in row.items():
            share = n / totals[genre] if totals[genre] else 0
            classes = "shade diagonal" if other == genre else "shade"
            shown = f"{n:,}" if n else "·"
            cells.append(Cell(shown, f"{n}", classes, f"--share:{share:.3f}"))
        rows.append([*cells, number(totals[genre], 0)])
    columns = [Column("true ↓ · predicted →"), *(Column(genre, True) for genre in counts)]
    caption = f"Confusion matrix of {case}: tracks, shaded by share of the row"
    return Table(caption, [*columns, Column("tracks", True)], rows, False, "confusion")


def confusions(counts):
    """Return the most frequent confusions as a sentence, None where there is none."""
    pairs = [
        (n, true, predicted)
        for true, row in counts.iterrows()
        for predicted, n in row.items()
        if n and true != predicted
    ]
    if not pairs:
        return "Every track is given its genre."
    pairs.sort(key=lambda pair: -pair[0])
    totals = counts.sum(axis=1)
    named = [
        f"{true} taken for {predicted} ({n:,} of {count(totals[true], 'track')})"
        for n, true, predicted in pairs[:MOST_CONFUSIONS]
    ]
    return f"Most frequent confusions: {'; '.join(named)}."


def genre_table(predictions, case, intervals):
    """Return F1 of each genre, with bootstrap intervals where there are any.

    Parameters
    ----------
    predictions : pandas.DataFrame
        Of the case.
    case : str
        Its name.
    intervals : pandas.DataFrame or None
        ``tables/genres.csv``: its rows of this case are used.

    Returns
    -------
    Table
    """
    genres = [name for name in predictions if name not in ("track_id", "genre_top")]
    labels = pd.Index(genres).get_indexer(predictions["genre_top"])
    f1, support = per_genre(predictions[genres].to_numpy(float), labels)
    ends = {}
    if intervals is not None:
        ours = intervals[intervals["case"] == case].dropna(subset=["low", "high"])
        ends = {row.genre: (row.low, row.high) for row in ours.itertuples()}
    marks, cells = [], []
    for genre, value, n in zip(genres, f1, support, strict=True):
        low, high = ends.get(genre, (None, None))
        known = not np.isnan(value)
        marks.append([Mark(value, low, high, f"{genre}: {value:.3f}")] if known else [])
        cells.append([text(genre), number(n, 0), number(value, 3)])
        if ends:
            cells[-1].append(interval(low, high) if low is not None else Cell(MISSING, ""))
    axis, drawings = row_plots(marks, limits=(0, 1))
    rows = [[*row, Cell(picture)] for row, picture in zip(cells, drawings, strict=True)]
    columns = [Column("genre"), Column("tracks", True), Column("F1", True)]
    if ends:
        columns.append(Column("95 % interval", True))
    columns.append(Column("", axis=axis))
    return Table(f"F1 per genre of {case}", columns, rows, False, "plots")
