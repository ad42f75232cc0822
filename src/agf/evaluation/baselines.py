"""What a genre classifier must beat: two without audio, two with MFCC and a linear classifier."""

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from agf.errors import UserError
from agf.evaluation import metrics
from agf.features.reading import iterate_mfcc

MAX_ITERATIONS = 2000
"""Enough for L-BFGS to converge on standardised features of every corpus here."""


def class_prior(train_labels, n_tracks, n_genres):
    """Predict for every track how often each genre occurs in training.

    Parameters
    ----------
    train_labels : array of int, shape (n_train,)
        Genres of the training tracks.
    n_tracks : int
        Number of tracks to predict.
    n_genres : int
        Number of genres; labels are 0 to n_genres - 1.

    Returns
    -------
    ndarray of float64, shape (n_tracks, n_genres)
        The best constant prediction in log loss.
    """
    counts = np.bincount(train_labels, minlength=n_genres)
    return np.tile(counts / counts.sum(), (n_tracks, 1))


def majority_class(train_labels, n_tracks, n_genres):
    """Predict the most frequent genre of the training tracks with probability 1.

    Parameters
    ----------
    train_labels, n_tracks, n_genres
        As in :func:`class_prior`. Of equally frequent genres the first wins.

    Returns
    -------
    ndarray of float64, shape (n_tracks, n_genres)
    """
    counts = np.bincount(train_labels, minlength=n_genres)
    return np.tile(np.eye(n_genres)[counts.argmax()], (n_tracks, 1))


def mfcc_logistic_regression(train_features, train_labels, eval_features, n_genres):
    """Predict genres by multinomial logistic regression on standardised features.

    Parameters
    ----------
    train_features : array of float, shape (n_train, n_features)
        One row of MFCC statistics per training track.
    train_labels : array of int, shape (n_train,)
        Genres of the training tracks.
    eval_features : array of float, shape (n_tracks, n_features)
        The tracks to predict.
    n_genres : int
        Number of genres; labels are 0 to n_genres - 1.

    Returns
    -------
    ndarray of float64, shape (n_tracks, n_genres)
        A genre without a training track gets probability 0.
    """
    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=MAX_ITERATIONS))
    classifier.fit(train_features, train_labels)
    probabilities = np.zeros((len(eval_features), n_genres))
    probabilities[:, classifier.classes_] = classifier.predict_proba(eval_features)
    return probabilities


def track_mfcc_statistics(mfcc_paths):
    """Read MFCC shards and return each track's mean and standard deviation over its frames.

    Parameters
    ----------
    mfcc_paths : iterable of str or pathlib.Path
        The files ``features/mfcc/{shard}.parquet``.

    Returns
    -------
    track_id : ndarray of int64, shape (n_tracks,)
        Ascending.
    mean, std : ndarray of float64, shape (n_tracks, n_mfcc)
        In the MFCC's unit, dB; `std` divides by the number of frames.

    Raises
    ------
    UserError
        When a row's bytes are no whole number of frames, when shards differ in their number of
        coefficients, or when there is no track at all.
    """
    rows = {}
    for track_id, mfcc in iterate_mfcc(mfcc_paths):
        rows[track_id] = mfcc.mean(axis=0, dtype=np.float64), mfcc.std(axis=0, dtype=np.float64)
    if not rows:
        raise UserError("The MFCC files hold no track; check the rejected tracks of the corpus.")
    sizes = {len(mean) for mean, _ in rows.values()}
    if len(sizes) > 1:
        raise UserError(
            f"The MFCC files have tracks of {min(sizes)} and of {max(sizes)} coefficients; delete "
            "them and compute them again."
        )
    track_ids = sorted(rows)
    mean, std = (np.stack([rows[track_id][i] for track_id in track_ids]) for i in range(2))
    return np.array(track_ids), mean, std


def baseline_metrics(tracks, parts, mfcc_paths, genres):
    """Score the four baselines on the evaluation tracks.

    Parameters
    ----------
    tracks : pandas.DataFrame
        ``corpus/tracks.parquet``; `track_id` and `genre_top` are used.
    parts : pandas.DataFrame
        ``splits/{split}.parquet``: `track_id`, `part`.
    mfcc_paths : iterable of str or pathlib.Path
        The files ``features/mfcc/{shard}.parquet``.
    genres : sequence of str
        Genre titles in the order of the probability columns.

    Returns
    -------
    pandas.DataFrame
        Rows `majority`, `prior`, `mfcc_mean` (logistic regression on the means) and
        `mfcc_mean_std` (on means and standard deviations); columns `baseline`, `log_loss`,
        `macro_f1`, `accuracy`, `n_tracks`.

    Raises
    ------
    UserError
        When a part is empty, a track of the split is unknown or has no MFCC, its genre is not in
        `genres`, or the training tracks have fewer than two genres.
    """
    track_id, mean, std = track_mfcc_statistics(mfcc_paths)
    row_of = pd.Series(np.arange(len(track_id)), index=track_id)
    genre_of = tracks.set_index("track_id")["genre_top"]
    rows, labels = {}, {}
    for part in ("train", "evaluation"):
        ids = parts.loc[parts["part"] == part, "track_id"].to_numpy()
        if len(ids) == 0:
            raise UserError(f"The split has no {part} tracks; choose another split.")
        for known, what in ((genre_of.index, "the corpus"), (row_of.index, "the MFCC files")):
            missing = np.setdiff1d(ids, known)
            if missing.size:
                raise UserError(
                    f"Track {missing[0]} of the split's part {part} is missing in {what}; "
                    "make the split again."
                )
        rows[part] = row_of.loc[ids].to_numpy()
        labels[part] = pd.Index(genres).get_indexer(genre_of.loc[ids])
        if (labels[part] < 0).any():
            unknown = genre_of.loc[ids].iloc[int(labels[part].argmin())]
            raise UserError(f"Genre {unknown!r} of the {part} tracks is not among {list(genres)}.")
    if len(np.unique(labels["train"])) < 2:
        raise UserError("The training tracks have only one genre; add music of a second one.")

    n_tracks, n_genres = len(rows["evaluation"]), len(genres)
    mean_std = np.hstack([mean, std])
    predictions = {
        "majority": majority_class(labels["train"], n_tracks, n_genres),
        "prior": class_prior(labels["train"], n_tracks, n_genres),
    } | {
        name: mfcc_logistic_regression(
            features[rows["train"]], labels["train"], features[rows["evaluation"]], n_genres
        )
        for name, features in (("mfcc_mean", mean), ("mfcc_mean_std", mean_std))
    }
    return pd.DataFrame(
        {
            "baseline": name,
            "log_loss": metrics.log_loss(probabilities, labels["evaluation"]),
            "macro_f1": metrics.macro_f1(probabilities, labels["evaluation"]),
            "accuracy": metrics.accuracy(probabilities, labels["evaluation"]),
            "n_tracks": n_tracks,
        }
        for name, probabilities in predictions.items()
    )
