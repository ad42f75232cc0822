"""Intervals and tests for scores of overlapping splits, and for evaluation tracks of few artists.

Two sources of chance are told apart. Which tracks were trained on, which were evaluated, and how
the training went: the corrected resampled t over splits. Which artists happen to be in one
evaluation part: the bootstrap over artists, with everything trained held fixed.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from baycomp.single import Posterior
from scipy import optimize, stats

from agf.evaluation.metrics import CLIP, validate

ALPHA = 0.05
"""Level of the tests; intervals cover 1 - ALPHA."""

POWER = 0.8
"""Chance to find it that the smallest detectable difference has."""

ROPE = 0.005
"""Half the region of practical equivalence, in nats of log loss or points of macro F1."""

N_RESAMPLES = 2000
"""Resamples of the bootstrap."""


class CorrectedT(NamedTuple):
    """Result of :func:`corrected_t`.

    Attributes
    ----------
    mean, low, high, p : float or ndarray
        Mean difference, its interval, and the two-sided p.
    """

    mean: float
    low: float
    high: float
    p: float


def corrected_t(differences, ratio):
    """Test whether a mean difference over random splits is zero: the corrected resampled t.

    The ordinary t takes the splits for independent, though they share tracks. Its variance of the
    mean, s^2 / J, becomes s^2 (1 / J + n_evaluation / n_train), with J - 1 degrees of freedom: what
    follows when two splits' differences correlate by n_evaluation / (n_train + n_evaluation).

    Parameters
    ----------
    differences : array of float, shape (n_splits,) or (n_splits, ...)
        One difference of two systems per split; further axes are tested one by one.
    ratio : float
        n_evaluation / n_train. With 0 the test is the ordinary paired t.

    Returns
    -------
    CorrectedT
        Without a second split `low`, `high` and `p` are NaN. Where all differences are equal they
        take their limits: the interval is a point, and p is 1 if that point is zero, else 0.

    Raises
    ------
    ValueError
        When there is no difference at all.

    References
    ----------
    Nadeau and Bengio, *Inference for the Generalization Error*, Machine Learning 52 (2003).
    """
    mean, error, n_splits = _mean_and_error(differences, ratio)
    if n_splits < 2:
        unknown = np.full_like(mean, np.nan)[()]
        return CorrectedT(mean[()], unknown, unknown, unknown)
    half = stats.t.ppf(1 - ALPHA / 2, n_splits - 1) * error
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where((mean == 0) & (error == 0), 0, np.abs(mean) / error)
    p = 2 * stats.t.sf(t, n_splits - 1)
    return CorrectedT(mean[()], (mean - half)[()], (mean + half)[()], p[()])


def rope_probabilities(differences, ratio, lower_is_better):
    """Return how probable it is that a system is better, practically equal, or worse.

    This is the Bayesian counterpart of :func:`corrected_t`: with a flat prior the mean difference
    is distributed like Student's t around what was observed, with the same corrected variance.

    Parameters
    ----------
    differences : array of float, shape (n_splits,)
        The system's score minus the other's, per split.
    ratio : float
        n_evaluation / n_train.
    lower_is_better : bool
        True for the log loss, False for macro F1.

    Returns
    -------
    better, equal, worse : float
        They sum to 1; `equal` is a difference of at most :data:`ROPE`. NaN with a single split.

    References
    ----------
    Corani and Benavoli, *A Bayesian approach for comparing cross-validated algorithms on multiple
    data sets*, Machine Learning 100 (2015). Benavoli, Corani, Demsar and Zaffalon, *Time for a
    Change: a Tutorial for Comparing Multiple Classifiers Through Bayesian Analysis*, JMLR 18
    (2017).
    """
    mean, error, n_splits = _mean_and_error(differences, ratio)
    if n_splits < 2:
        return np.nan, np.nan, np.nan
    # baycomp's own test knows cross-validation only, whose ratio is 1 / (folds - 1).
    posterior = Posterior(float(mean), float(error) ** 2, n_splits - 1, rope=ROPE)
    low, equal, high = (min(max(float(p), 0.0), 1.0) for p in posterior.probs())
    return (low, equal, high) if lower_is_better else (high, equal, low)


def power_of_corrected_t(difference, deviation, n_splits, ratio):
    """Return the chance that the corrected t finds a true difference at :data:`ALPHA`, two-sided.

    Parameters
    ----------
    difference : float
        True mean difference.
    deviation : float
        Standard deviation of the splits' differences around their mean, as s in the test.
    n_splits : int
        At least 2.
    ratio : float
        n_evaluation / n_train.

    Returns
    -------
    float
    """
    return _power(abs(difference) / (deviation * np.sqrt(1 / n_splits + ratio)), n_splits)


def detectable_difference(differences, ratio):
    """Return the true mean difference that the corrected t would find with a chance of 80 %.

    It is taken from the non-central t distribution for the variance observed, which is itself an
    estimate: with ten splits, nine times in ten, 0.61 to 1.37 times the true standard deviation.

    Parameters
    ----------
    differences : array of float, shape (n_splits,) or (n_splits, ...)
        As in :func:`corrected_t`.
    ratio : float
        n_evaluation / n_train.

    Returns
    -------
    float or ndarray
        At :data:`ALPHA`, two-sided, for one comparison alone. NaN with a single split.
    """
    mean, error, n_splits = _mean_and_error(differences, ratio)
    if n_splits < 2:
        return np.full_like(mean, np.nan)[()]
    return (_detectable_errors(n_splits) * error)[()]


def holm(p):
    """Return Holm's adjusted p of a family of tests.

    Parameters
    ----------
    p : array of float, shape (n_tests,)
        NaN is no test: it stays NaN and does not count.

    Returns
    -------
    ndarray of float64, shape (n_tests,)
        To be held against the same level as a single p; the chance of any false rejection in the
        family stays below that level, however the tests depend on each other.

    References
    ----------
    Holm, *A Simple Sequentially Rejective Multiple Test Procedure*, Scandinavian Journal of
    Statistics 6 (1979).
    """
    p = np.asarray(p, dtype=np.float64)
    adjusted = np.full(len(p), np.nan)
    order = np.argsort(p)[: np.isfinite(p).sum()]
    factors = len(order) - np.arange(len(order))
    adjusted[order] = np.minimum(np.maximum.accumulate(factors * p[order]), 1)
    return adjusted


class ArtistSums(NamedTuple):
    """What the scores of a case need to know of each artist's tracks.

    Attributes
    ----------
    tracks, loss : ndarray, shape (n_artists,)
        Number of tracks, and sum of their -ln p(true genre).
    hits, support, predicted : ndarray, shape (n_artists, n_genres)
        Per genre: tracks of it that were recognised, tracks of it, tracks taken for it.
    """

    tracks: np.ndarray
    loss: np.ndarray
    hits: np.ndarray
    support: np.ndarray
    predicted: np.ndarray


def sum_by_artist(probabilities, labels, artists, n_artists):
    """Sum up the predictions of each artist's tracks.

    Parameters
    ----------
    probabilities, labels
        As in :func:`agf.evaluation.metrics.validate`.
    artists : array of int, shape (n_tracks,)
        Number of each track's artist, from 0 to n_artists - 1.
    n_artists : int
        Artists without a track get zeros.

    Returns
    -------
    ArtistSums
    """
    probabilities, labels = validate(probabilities, labels)
    n_genres = probabilities.shape[1]
    predicted = probabilities.argmax(axis=1)
    loss = -np.log(np.clip(probabilities[np.arange(len(labels)), labels], CLIP, 1))

    def count(tracks, genres):
        cells = artists[tracks] * n_genres + genres[tracks]
        return np.bincount(cells, minlength=n_artists * n_genres).reshape(n_artists, n_genres)

    every = np.arange(len(labels))
    return ArtistSums(
        np.bincount(artists, minlength=n_artists),
        np.bincount(artists, weights=loss, minlength=n_artists),
        count(every[predicted == labels], labels),
        count(every, labels),
        count(every, predicted),
    )


def draw_artists(n_artists, n_resamples, rng):
    """Draw artists with replacement, as many as there are.

    Parameters
    ----------
    n_artists, n_resamples : int
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of float64, shape (n_resamples, n_artists)
        How many times each artist, with all of its tracks, is in each resample.
    """
    weights = np.empty((n_resamples, n_artists))
    for row in weights:
        row[:] = np.bincount(rng.integers(n_artists, size=n_artists), minlength=n_artists)
    return weights


def resampled_f1(sums, weights):
    """Return F1 of every genre in every resample.

    Parameters
    ----------
    sums : ArtistSums
    weights : ndarray of float64, shape (n_resamples, n_artists)
        From :func:`draw_artists`; a row of ones gives the scores of the tracks as they are.

    Returns
    -------
    ndarray of float64, shape (n_resamples, n_genres)
        NaN where a genre is neither true nor predicted in the resample.
    """
    hits = weights @ sums.hits
    occurrences = weights @ (sums.support + sums.predicted)
    f1 = np.full(hits.shape, np.nan)
    np.divide(2 * hits, occurrences, out=f1, where=occurrences > 0)
    return f1


def resampled_scores(sums, weights):
    """Return log loss, macro F1 and accuracy of every resample.

    Parameters
    ----------
    sums, weights
        As in :func:`resampled_f1`; every resample must have a track.

    Returns
    -------
    dict of str to ndarray of float64, shape (n_resamples,)
        `log_loss`, `macro_f1` and `accuracy`, by the rules of :mod:`agf.evaluation.metrics`: macro
        F1 is over the genres that are true or predicted in the resample.
    """
    tracks = weights @ sums.tracks
    return {
        "log_loss": weights @ sums.loss / tracks,
        "macro_f1": np.nanmean(resampled_f1(sums, weights), axis=1),
        "accuracy": weights @ sums.hits.sum(axis=1) / tracks,
    }


def percentile_interval(values):
    """Return the percentile interval of resampled values.

    Parameters
    ----------
    values : array of float, shape (n_resamples,)
        NaN, an F1 that does not exist in a resample, is left out.

    Returns
    -------
    low, high : float
        The :data:`ALPHA` / 2 and 1 - :data:`ALPHA` / 2 quantiles; NaN if there are no values.

    References
    ----------
    Efron and Tibshirani, *An Introduction to the Bootstrap* (1993), chapter 13.
    """
    values = values[~np.isnan(values)]
    if not len(values):
        return np.nan, np.nan
    low, high = np.quantile(values, [ALPHA / 2, 1 - ALPHA / 2])
    return float(low), float(high)


def _mean_and_error(differences, ratio):
    """Return mean, corrected standard error (NaN with one split) and number of splits."""
    differences = np.asarray(differences, dtype=np.float64)
    n_splits = len(differences)
    if n_splits == 0:
        raise ValueError("there are no differences to test")
    mean = differences.mean(axis=0)
    if n_splits == 1:
        return mean, np.full_like(mean, np.nan), n_splits
    deviation = differences.std(axis=0, ddof=1)
    return mean, deviation * np.sqrt(1 / n_splits + ratio), n_splits


def _power(errors, n_splits):
    """Return the power of a two-sided t for a true difference of so many standard errors."""
    critical = stats.t.ppf(1 - ALPHA / 2, n_splits - 1)
    # The square of a non-central t. scipy's own nct gives NaN in its far tail, and its ncf a
    # negative value where the non-centrality is exactly 0.
    return stats.ncf.sf(critical**2, 1, n_splits - 1, np.maximum(np.square(errors), 1e-12))


@lru_cache
def _detectable_errors(n_splits):
    """Return the true difference in standard errors that is found with a chance of POWER."""
    return optimize.brentq(lambda errors: _power(errors, n_splits) - POWER, 0.1, 100)
