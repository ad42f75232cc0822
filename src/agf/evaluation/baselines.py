"""What a genre classifier must beat: two baselines without audio, three on statistics of MFCC."""

import logging
import warnings

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.calibration import CalibratedClassifierCV
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from agf.errors import UserError
from agf.evaluation import metrics
from agf.features.reading import iterate_mfcc
from agf.keyed_random import random_key

logger = logging.getLogger(__name__)

BASELINE_SCORES = ("log_loss", "macro_f1", "accuracy")
"""Scores of a baseline."""

COLUMNS = ("split", "baseline", *BASELINE_SCORES, "n_tracks")
"""Columns of ``baselines.csv``."""

MOMENTS = ("mean", "std", "skew", "kurtosis", "median", "min", "max")
"""Statistics of a track's frames, those of the FMA dataset's ``features.csv``."""

FMA_COEFFICIENTS = 20
"""MFCC in FMA's ``features.csv``: the first 20 of the cosine transform of 128 mel bands in dB."""

FOLDS = 5
"""Parts of the training tracks for the calibration, scikit-learn's default."""

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


def mfcc_support_vector_machine(train_features, train_labels, eval_features, n_genres, seed):
    """Predict genres by a support vector machine with RBF kernel on standardised features.

    This is the classifier of the FMA dataset's own baselines (Defferrard, Benzi, Vandergheynst and
    Bresson, ISMIR 2017, section 4, and their notebook ``baselines.ipynb``), with scikit-learn's
    default parameters as there. The machine has no probabilities: they are calibrated by logistic
    regression of each genre on the decision values of tracks left out of five further fits, and
    need not agree with the decision. On 21,250 synthetic tracks of 16 genres with 140 features, of
    which it got 60 % right, this took 280 s of one core; time grows with the square of the tracks.

    Parameters
    ----------
    train_features, train_labels, eval_features, n_genres
        As in :func:`mfcc_logistic_regression`.
    seed : int
        Key of the folds of the calibration.

    Returns
    -------
    probabilities : ndarray of float64, shape (n_tracks, n_genres)
        A genre with a single training track cannot be calibrated: it is left out of the machine
        and gets its share of the training tracks as probability. Two genres at least must have
        more.
    predicted : ndarray of int64, shape (n_tracks,)
        The machine's own decision.
    """
    counts = np.bincount(train_labels, minlength=n_genres)
    usable = counts[train_labels] > 1
    features, labels = train_features[usable], train_labels[usable]
    folds = StratifiedKFold(
        min(FOLDS, counts.max()),
        shuffle=True,
        random_state=random_key(seed, "baselines", "calibration folds") % 2**32,
    )
    with warnings.catch_warnings():
        # Of a genre with two tracks or more some are left to train on whatever fold is held out.
        warnings.filterwarnings("ignore", message="The least populated class")
        held_out = list(folds.split(features, labels))
    classifier = CalibratedClassifierCV(
        make_pipeline(StandardScaler(), SVC()), method="sigmoid", cv=held_out, ensemble=False
    )
    classifier.fit(features, labels)
    probabilities = np.tile(
        np.where(counts == 1, 1, 0) / len(train_labels), (len(eval_features), 1)
    )
    probabilities[:, classifier.classes_] = classifier.predict_proba(eval_features) * usable.mean()
    machine = classifier.calibrated_classifiers_[0].estimator
    return probabilities, machine.predict(eval_features)


def track_mfcc_statistics(mfcc_paths):
    """Read MFCC shards and return statistics of each track's MFCC over its frames.

    Parameters
    ----------
    mfcc_paths : iterable of str or pathlib.Path
        The files ``features/mfcc/{shard}.parquet``.

    Returns
    -------
    track_id : ndarray of int64, shape (n_tracks,)
        Ascending.
    statistics : ndarray of float64, shape (n_tracks, 7, n_mfcc)
        In the order of :data:`MOMENTS` and in the MFCC's unit, dB, but for skew and (excess)
        kurtosis, which have none and are 0 for a coefficient that does not vary. `std` divides by
        the number of frames.

    Raises
    ------
    UserError
        When a row's bytes are no whole number of frames, when shards differ in their number of
        coefficients, or when there is no track at all.
    """
    rows = {track_id: _moments(mfcc) for track_id, mfcc in iterate_mfcc(mfcc_paths)}
    if not rows:
        raise UserError("The MFCC files hold no track; check the rejected tracks of the corpus.")
    sizes = {moments.shape[1] for moments in rows.values()}
    if len(sizes) > 1:
        raise UserError(
            f"The MFCC files have tracks of {min(sizes)} and of {max(sizes)} coefficients; delete "
            "them and compute them again."
        )
    track_ids = sorted(rows)
    return np.array(track_ids), np.stack([rows[track_id] for track_id in track_ids])


def baseline_metrics(tracks, parts, mfcc_statistics, genres, seed):
    """Score the five baselines on the evaluation tracks.

    Parameters
    ----------
    tracks : pandas.DataFrame
        ``corpus/tracks.parquet``; `track_id` and `genre_top` are used.
    parts : pandas.DataFrame
        ``splits/{split}.parquet``: `track_id`, `part`.
    mfcc_statistics : tuple of ndarray
        From :func:`track_mfcc_statistics`.
    genres : sequence of str
        Genre titles in the order of the probability columns.
    seed : int
        The run's seed.

    Returns
    -------
    pandas.DataFrame
        Rows `majority`, `prior`, `mfcc_mean` (logistic regression on the means), `mfcc_mean_std`
        (on means and standard deviations) and `mfcc_svm` (support vector machine on all
        :data:`MOMENTS` of the first 20 coefficients, FMA's feature set ``mfcc``; accuracy and
        macro F1 are of the machine's own decision, its scores are NaN where it cannot be fitted);
        columns `baseline`, `log_loss`, `macro_f1`, `accuracy`, `n_tracks`.

    Raises
    ------
    UserError
        When a part is empty, a track of the split is unknown or has no MFCC, its genre is not in
        `genres`, or the training tracks have fewer than two genres.
    """
    track_id, statistics = mfcc_statistics
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

    train, evaluation = labels["train"], labels["evaluation"]
    n_tracks, n_genres = len(evaluation), len(genres)

    def features(coefficients, *moments):
        chosen = statistics[:, [MOMENTS.index(moment) for moment in moments], :coefficients]
        chosen = chosen.reshape(len(chosen), -1)
        return chosen[rows["train"]], train, chosen[rows["evaluation"]], n_genres

    scores = {
        name: _scores(probabilities, probabilities, evaluation)
        for name, probabilities in (
            ("majority", majority_class(train, n_tracks, n_genres)),
            ("prior", class_prior(train, n_tracks, n_genres)),
            ("mfcc_mean", mfcc_logistic_regression(*features(None, "mean"))),
            ("mfcc_mean_std", mfcc_logistic_regression(*features(None, "mean", "std"))),
        )
    }
    if (np.bincount(train) > 1).sum() > 1:
        probabilities, predicted = mfcc_support_vector_machine(
            *features(FMA_COEFFICIENTS, *MOMENTS), seed
        )
        scores["mfcc_svm"] = _scores(probabilities, np.eye(n_genres)[predicted], evaluation)
    else:
        logger.warning(
            "baseline mfcc_svm is left empty: it needs two genres of two training tracks"
        )
        scores["mfcc_svm"] = dict.fromkeys(BASELINE_SCORES, np.nan)
    return pd.DataFrame(
        {"baseline": name, **values, "n_tracks": n_tracks} for name, values in scores.items()
    )


def read_baselines(path):
    """Read ``tables/baselines.csv``.

    Parameters
    ----------
    path : str or pathlib.Path

    Returns
    -------
    pandas.DataFrame
        Columns :data:`COLUMNS`, a row per split and baseline.

    Raises
    ------
    UserError
        When the file lacks a column.
    """
    frame = pd.read_csv(path)
    missing = [column for column in COLUMNS if column not in frame]
    if missing:
        raise UserError(
            f"{path} lacks column {missing[0]!r}; delete it and run the workflow again."
        )
    return frame


def average_baselines(baselines):
    """Average each baseline over the splits.

    Parameters
    ----------
    baselines : pandas.DataFrame
        As :func:`read_baselines` returns it.

    Returns
    -------
    pandas.DataFrame
        One row per baseline: `baseline`, `log_loss`, `macro_f1`, `accuracy`; of one split also
        `n_tracks`, of several the standard deviation over them behind each score, `log_loss_sd`,
        `macro_f1_sd`, `accuracy_sd`.
    """
    if baselines["split"].nunique() == 1:
        return baselines.drop(columns="split").reset_index(drop=True)
    groups = baselines.groupby("baseline", sort=False)[list(BASELINE_SCORES)]
    mean, deviation = groups.mean(skipna=False), groups.std(skipna=False)
    columns = {}
    for score in BASELINE_SCORES:
        columns |= {score: mean[score], f"{score}_sd": deviation[score]}
    return pd.DataFrame(columns).reset_index()


def _moments(mfcc):
    """Return :data:`MOMENTS` over the frames, shape (7, n_mfcc)."""
    mfcc = mfcc.astype(np.float64)
    with warnings.catch_warnings():
        # scipy warns where a coefficient hardly varies, and gives NaN where it does not at all.
        warnings.simplefilter("ignore", RuntimeWarning)
        shape = np.nan_to_num([stats.skew(mfcc), stats.kurtosis(mfcc)])
    order = [np.median(mfcc, axis=0), mfcc.min(axis=0), mfcc.max(axis=0)]
    return np.stack([mfcc.mean(axis=0), mfcc.std(axis=0), *shape, *order])


def _scores(probabilities, decisions, labels):
    return {
        "log_loss": metrics.log_loss(probabilities, labels),
        "macro_f1": metrics.macro_f1(decisions, labels),
        "accuracy": metrics.accuracy(decisions, labels),
    }
