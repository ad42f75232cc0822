"""Scores of genre predictions: log loss, macro F1, accuracy and the values per genre.

Every function takes `probabilities`, an array of shape (n_tracks, n_genres) whose rows sum to 1,
and `labels`, an integer array of shape (n_tracks,) that gives each track's true genre as a column
of `probabilities`. All scores are per track. Source: Kim, Won, Serra and Liem (WWW'18), which
reports log loss and macro F1; accuracy and the values per genre are added.
"""

import numpy as np

CLIP = 1e-8
"""Smallest probability that enters the log loss, so that one sure mistake costs 18.4 at most."""

ROW_SUM_TOLERANCE = 1e-3
"""How far a row may sum from 1; float16 probabilities averaged over windows stay below it."""


def validate(probabilities, labels):
    """Check that predictions and labels fit each other.

    Parameters
    ----------
    probabilities : array of float, shape (n_tracks, n_genres)
        Probability of each genre; a row sums to 1.
    labels : array of int, shape (n_tracks,)
        True genre of each track, as a column of `probabilities`.

    Returns
    -------
    probabilities : ndarray of float64, shape (n_tracks, n_genres)
    labels : ndarray of int64, shape (n_tracks,)

    Raises
    ------
    ValueError
        When an array is empty, has the wrong shape or type, holds NaN or values that are no
        probabilities, or when a label names no column.
    """
    probabilities = np.asarray(probabilities, dtype=np.float64)
    labels = np.asarray(labels)
    if probabilities.ndim != 2:
        raise ValueError(
            f"probabilities must have shape (n_tracks, n_genres), not {probabilities.shape}"
        )
    if labels.ndim != 1:
        raise ValueError(f"labels must have shape (n_tracks,), not {labels.shape}")
    if len(probabilities) != len(labels):
        raise ValueError(
            f"there are {len(probabilities)} rows of probabilities but {len(labels)} labels"
        )
    if probabilities.size == 0:
        raise ValueError(f"there is nothing to score: probabilities of shape {probabilities.shape}")
    if not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"labels must be integers (columns of probabilities), not {labels.dtype}")
    if not np.isfinite(probabilities).all():
        row = int(np.flatnonzero(~np.isfinite(probabilities).all(axis=1))[0])
        raise ValueError(f"probabilities hold NaN or infinity, first in row {row}")
    if probabilities.min() < 0 or probabilities.max() > 1 + ROW_SUM_TOLERANCE:
        raise ValueError("probabilities must lie between 0 and 1")
    sums = probabilities.sum(axis=1)
    if np.abs(sums - 1).max() > ROW_SUM_TOLERANCE:
        row = int(np.abs(sums - 1).argmax())
        raise ValueError(f"rows of probabilities must sum to 1, row {row} sums to {sums[row]:.6g}")
    n_genres = probabilities.shape[1]
    if labels.min() < 0 or labels.max() >= n_genres:
        raise ValueError(
            f"labels must lie between 0 and {n_genres - 1}, found {labels.min()} to {labels.max()}"
        )
    return probabilities, labels.astype(np.int64)


def log_loss(probabilities, labels):
    """Return the mean over tracks of -ln p(true genre), p clipped to [1e-8, 1].

    Parameters
    ----------
    probabilities, labels
        As in :func:`validate`.

    Returns
    -------
    float
        In nats; lower is better. Rows are not normalised again.
    """
    probabilities, labels = validate(probabilities, labels)
    p_true = probabilities[np.arange(len(labels)), labels]
    # The log of a probability a rounding above 1 would be a gain; "+ 0" makes -0.0 plain zero.
    return float(-np.log(np.clip(p_true, CLIP, 1)).mean() + 0)


def per_genre(probabilities, labels):
    """Return F1 and support of every genre for the most probable genre of each track.

    Parameters
    ----------
    probabilities, labels
        As in :func:`validate`. Of equal probabilities the first column wins.

    Returns
    -------
    f1 : ndarray of float64, shape (n_genres,)
        2 TP / (2 TP + FP + FN); NaN for a genre that is neither true nor predicted anywhere.
    support : ndarray of int64, shape (n_genres,)
        Number of tracks whose true genre it is.
    """
    probabilities, labels = validate(probabilities, labels)
    n_genres = probabilities.shape[1]
    predicted = probabilities.argmax(axis=1)
    support = np.bincount(labels, minlength=n_genres)
    times_predicted = np.bincount(predicted, minlength=n_genres)
    hits = np.bincount(labels[labels == predicted], minlength=n_genres)
    occurrences = support + times_predicted
    f1 = np.full(n_genres, np.nan)
    np.divide(2 * hits, occurrences, out=f1, where=occurrences > 0)
    return f1, support


def macro_f1(probabilities, labels):
    """Return the unweighted mean of the genres' F1.

    The mean runs over the genres that occur among the true or the predicted ones, exactly as
    ``sklearn.metrics.f1_score(labels, predicted, average="macro")`` does without its `labels`
    argument: a genre that nothing belongs to and nothing is assigned to does not count as zero.

    Parameters
    ----------
    probabilities, labels
        As in :func:`validate`.

    Returns
    -------
    float
        Between 0 and 1; higher is better.
    """
    f1, _ = per_genre(probabilities, labels)
    return float(np.nanmean(f1))


def accuracy(probabilities, labels):
    """Return the fraction of tracks whose most probable genre is the true one.

    Parameters
    ----------
    probabilities, labels
        As in :func:`validate`.

    Returns
    -------
    float
        Between 0 and 1; higher is better.
    """
    probabilities, labels = validate(probabilities, labels)
    return float((probabilities.argmax(axis=1) == labels).mean())


def probabilities_and_labels(frame):
    """Take the content of ``predictions.parquet`` apart.

    Parameters
    ----------
    frame : pandas.DataFrame
        `track_id`, `genre_top`, and one probability column per genre, named by the genre's title.

    Returns
    -------
    probabilities : ndarray of float64, shape (n_tracks, n_genres)
    labels : ndarray of int64, shape (n_tracks,)
    genres : list of str

    Raises
    ------
    ValueError
        When a column is missing, a track comes twice, or a track's genre has no column.
    """
    for column in ("track_id", "genre_top"):
        if column not in frame:
            raise ValueError(f"predictions have no column {column!r}")
    if frame["track_id"].duplicated().any():
        track_id = frame.loc[frame["track_id"].duplicated(), "track_id"].iloc[0]
        raise ValueError(f"predictions hold track {track_id} more than once")
    genres = [column for column in frame.columns if column not in ("track_id", "genre_top")]
    column_of = {genre: column for column, genre in enumerate(genres)}
    unknown = set(frame["genre_top"].dropna()) - set(genres)
    if unknown or frame["genre_top"].isna().any():
        name = sorted(unknown)[0] if unknown else "null"
        raise ValueError(f"no probability column for genre {name!r} of column genre_top")
    labels = frame["genre_top"].map(column_of).to_numpy(dtype=np.int64)
    probabilities = frame[genres].to_numpy(dtype=np.float64)
    return probabilities, labels, genres


def evaluate_predictions(frame):
    """Score one case's predictions.

    Parameters
    ----------
    frame : pandas.DataFrame
        The content of ``predictions.parquet``: `track_id`, `genre_top`, and one probability column
        per genre, named by the genre's title.

    Returns
    -------
    dict
        The content of ``metrics.json``: `log_loss`, `macro_f1`, `accuracy`, `n_tracks`, and the
        dictionaries `f1` and `support` by genre title. F1 is None for a genre that is neither
        true nor predicted anywhere.

    Raises
    ------
    ValueError
        When a column is missing, a track comes twice, a track's genre has no column, or the
        probabilities are none (see :func:`validate`).
    """
    probabilities, labels, genres = probabilities_and_labels(frame)
    f1, support = per_genre(probabilities, labels)
    return {
        "log_loss": log_loss(probabilities, labels),
        "macro_f1": macro_f1(probabilities, labels),
        "accuracy": accuracy(probabilities, labels),
        "n_tracks": len(labels),
        "f1": {
            genre: None if np.isnan(f) else float(f) for genre, f in zip(genres, f1, strict=True)
        },
        "support": {genre: int(n) for genre, n in zip(genres, support, strict=True)},
    }
