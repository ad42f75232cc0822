"""Dictionaries of feature words, and the words of a feature vector.

Words of the MFCC and dMFCC dictionaries are learnt from frames, words of the Essentia dictionary
from tracks. There are three methods (``agf.dictionary``):

- ``kmeans``: K-means centroids; a vector's word is the nearest one. Source: Kim, Won, Serra and
  Liem (WWW'18), section 3.2.
- ``gmm``: components of a Gaussian mixture with diagonal covariances; a vector's word is its most
  probable component.
- ``sparse_coding``: atoms of a learnt dictionary; a vector's words are the few atoms that together
  come nearest to it, each with the size of its coefficient. Signs are lost: a vector has the words
  of its mirror image. Sources: Mairal, Bach, Ponce and Sapiro, *Online Learning for Matrix
  Factorization and Sparse Coding*, JMLR 11 (2010), for the atoms; Pati, Rezaiifar and
  Krishnaprasad, *Orthogonal Matching Pursuit*, Asilomar (1993), for the coefficients.
"""

import logging
import warnings

import faiss
import numpy as np
from scipy.sparse import csr_array
from sklearn.cluster import kmeans_plusplus
from sklearn.decomposition import MiniBatchDictionaryLearning
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from agf.errors import UserError
from agf.keyed_random import generator, random_key

logger = logging.getLogger(__name__)

ATOMS_PER_VECTOR = 5
"""Atoms that code a vector in sparse coding."""

_VECTORS_PER_WORD = 256
_FIT_CELLS = 2**27
"""What a mixture or a dictionary of atoms is learnt from at most, in vectors for each word and in
cells of a matrix of vectors by words: scikit-learn holds some six such matrices of float64."""

_BLOCK_CELLS = 2**18
"""Cells of a matrix of vectors by words when words are found; small blocks stay in the cache."""

_RIDGE = 1e-9
"""Added to the squared norm 1 of a chosen atom: one chosen twice must divide nothing by zero."""


def most_vectors(method, n_words, n_dimensions=1):
    """How many vectors a dictionary is learnt from at most.

    Parameters
    ----------
    method : str
        ``kmeans``, ``gmm`` or ``sparse_coding``.
    n_words : int
        Words wanted.
    n_dimensions : int
        Length of a vector. It makes a difference only where it is thousands.

    Returns
    -------
    int or None
        None where memory and time set no bound: K-means.
    """
    if method == "kmeans":
        return None
    return min(_VECTORS_PER_WORD * n_words, _FIT_CELLS // max(n_words, n_dimensions))


def learn_dictionary(method, vectors, n_words, n_iterations, seed, task):
    """Learn a dictionary.

    Parameters
    ----------
    method : str
        ``kmeans``, ``gmm`` or ``sparse_coding``.
    vectors : np.ndarray, shape (n_vectors, n_dimensions)
        Feature vectors, all finite; no more than :func:`most_vectors`.
    n_words : int
        Words wanted. Where there are fewer vectors, there are as many words as vectors and the
        log says so.
    n_iterations : int
        Iterations of Lloyd (``kmeans``), the same and then of expectation-maximisation (``gmm``),
        or passes over the vectors (``sparse_coding``); the latter two stop where they converge.
    seed : int
        The run's seed.
    task : str
        Task letter; names the draws.

    Returns
    -------
    dict of str to np.ndarray
        What :func:`find_words` needs. ``kmeans``: ``centroids``, float32. ``gmm``: ``centroids``
        (means), ``variances`` and ``proportions``, float64. ``sparse_coding``: ``atoms``, of unit
        length, and the ``centre`` that is taken off a vector, float64.

    Raises
    ------
    UserError
        A mixture of a single vector.
    """
    return _METHODS[method][0](vectors, n_words, n_iterations, seed, task)


def find_words(method, vectors, dictionary):
    """Find the words of each vector.

    Parameters
    ----------
    method : str
        ``kmeans``, ``gmm`` or ``sparse_coding``.
    vectors : np.ndarray, shape (n_vectors, n_dimensions)
        Feature vectors.
    dictionary : dict of str to np.ndarray
        As :func:`learn_dictionary` gives it.

    Returns
    -------
    rows : np.ndarray of int64, shape (n_occurrences,)
        Row of the vector in which the word occurs. A vector has one word, in sparse coding up to
        ``ATOMS_PER_VECTOR``.
    words : np.ndarray of int64, shape (n_occurrences,)
        The word.
    weights : np.ndarray of float64, shape (n_occurrences,)
        1, in sparse coding the coefficient without its sign.
    inertia : float
        Sum of the squared distances of the vectors to what their words stand for: the centroid, or
        the sum of atoms times coefficients.
    """
    return _METHODS[method][1](vectors, dictionary)


def fit_dictionary(vectors, n_words, n_iterations, seed, task):
    """Learn a dictionary by K-means over all of `vectors`.

    Parameters
    ----------
    vectors : np.ndarray, shape (n_vectors, n_dimensions)
        Feature vectors, all finite. None is left out: faiss would keep 256 a centroid.
    n_words : int
        Centroids wanted. Where there are fewer vectors, each vector becomes a word and the log
        says so.
    n_iterations : int
        Lloyd iterations.
    seed : int
        The run's seed.
    task : str
        Task letter; names the draw of the initial centroids.

    Returns
    -------
    np.ndarray of float32, shape (min(n_words, n_vectors), n_dimensions)
        The centroids.
    """
    n_vectors, n_dimensions = vectors.shape
    n_words = _words_possible(n_words, n_vectors, task)
    kmeans = faiss.Kmeans(
        n_dimensions,
        n_words,
        niter=n_iterations,
        seed=random_key(seed, "dictionary", task, "centroids") % 2**31,
        min_points_per_centroid=1,
        max_points_per_centroid=n_vectors,
    )
    kmeans.train(np.ascontiguousarray(vectors, dtype=np.float32))
    return kmeans.centroids


def assign_words(vectors, centroids):
    """Find the nearest centroid of each vector.

    Parameters
    ----------
    vectors : np.ndarray, shape (n_vectors, n_dimensions)
        Feature vectors.
    centroids : np.ndarray, shape (n_words, n_dimensions)
        The dictionary.

    Returns
    -------
    words : np.ndarray of int64, shape (n_vectors,)
        Row of the nearest centroid in Euclidean distance.
    inertia : float
        Sum of the squared distances to it.
    """
    index = faiss.IndexFlatL2(centroids.shape[1])
    index.add(np.ascontiguousarray(centroids, dtype=np.float32))
    squared_distances, words = index.search(np.ascontiguousarray(vectors, dtype=np.float32), 1)
    return words[:, 0], float(squared_distances.sum(dtype=np.float64))


def fit_mixture(vectors, n_words, n_iterations, seed, task):
    """Learn a Gaussian mixture with diagonal covariances, from K-means clusters on.

    Parameters
    ----------
    vectors, n_words, n_iterations, seed, task
        As for :func:`learn_dictionary`.

    Returns
    -------
    dict of str to np.ndarray of float64
        ``centroids`` and ``variances``, shape (n_words, n_dimensions); ``proportions``, shape
        (n_words,).

    Raises
    ------
    UserError
        There is a single vector.

    Notes
    -----
    In each M-step one thousandth of the vectors' mean variance is added to every variance: a
    component of one vector would have none. In many dimensions (Essentia) all vectors are sure of
    their component from the first step on, and the words hardly move from those of K-means.
    """
    if len(vectors) < 2:
        raise UserError(f"Task {task} has one vector, and a mixture needs two: use kmeans.")
    n_words = _words_possible(n_words, len(vectors), task)
    centroids = fit_dictionary(vectors, n_words, n_iterations, seed, task).astype(np.float64)
    nearest, _ = assign_words(vectors, centroids)
    vectors = vectors.astype(np.float64)
    added = max(1e-3 * vectors.var(axis=0).mean(), 1e-6)
    members = csr_array(
        (np.ones(len(vectors)), (nearest, np.arange(len(vectors)))), (n_words, len(vectors))
    )
    # K-means leaves a cluster without members where vectors are equal.
    sizes = np.maximum(members.sum(axis=1), 1)
    variances = members @ (vectors - centroids[nearest]) ** 2 / sizes[:, None] + added
    mixture = GaussianMixture(
        n_words,
        covariance_type="diag",
        reg_covar=added,
        max_iter=n_iterations,
        weights_init=sizes / sizes.sum(),
        means_init=centroids,
        precisions_init=1 / variances,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        mixture.fit(vectors)
    logger.info(
        "task %s: mixture of %d components, %d iterations, %s, log-likelihood %.2f a vector",
        task,
        n_words,
        mixture.n_iter_,
        "converged" if mixture.converged_ else "not converged",
        mixture.lower_bound_,
    )
    return {
        "centroids": mixture.means_,
        "variances": mixture.covariances_,
        "proportions": mixture.weights_,
    }


def most_probable_components(vectors, centroids, variances, proportions):
    """Find the most probable component of each vector.

    Parameters
    ----------
    vectors : np.ndarray, shape (n_vectors, n_dimensions)
        Feature vectors.
    centroids, variances : np.ndarray, shape (n_words, n_dimensions)
        Means and variances of the components.
    proportions : np.ndarray, shape (n_words,)
        Their shares; they sum to 1.

    Returns
    -------
    words : np.ndarray of int64, shape (n_vectors,)
        The component.
    inertia : float
        Sum of the squared distances to its mean.
    """
    mixture = GaussianMixture(len(centroids), covariance_type="diag")
    mixture.means_, mixture.covariances_, mixture.weights_ = centroids, variances, proportions
    mixture.precisions_cholesky_ = 1 / np.sqrt(variances)
    words = np.empty(len(vectors), dtype=np.int64)
    inertia = 0.0
    for block in _blocks(len(vectors), len(centroids)):
        some = vectors[block].astype(np.float64)
        words[block] = mixture.predict(some)
        inertia += float(((some - centroids[words[block]]) ** 2).sum())
    return words, inertia


def fit_atoms(vectors, n_words, n_iterations, seed, task):
    """Learn the atoms of sparse coding, from the directions of vectors drawn by K-means++ on.

    Parameters
    ----------
    vectors, n_words, n_iterations, seed, task
        As for :func:`learn_dictionary`.

    Returns
    -------
    atoms : np.ndarray of float64, shape (n_words, n_dimensions)
        Of unit length; of length 0 where no vector differs from the centre.
    centre : np.ndarray of float64, shape (n_dimensions,)
        Mean of the vectors.
    """
    n_words = _words_possible(n_words, len(vectors), task)
    centre = vectors.mean(axis=0, dtype=np.float64)
    vectors = vectors - centre
    n_vectors, n_dimensions = vectors.shape
    # The penalty of Mairal et al., 1.2 / sqrt(n_dimensions), is meant for vectors of unit length.
    vectors /= np.sqrt((vectors**2).sum() / n_vectors) or 1.0
    # Spread over the directions, of which each counts once with both its signs: of vectors drawn
    # evenly, two may share a direction and another be missed for good.
    directions = _unit_rows(vectors)
    largest = np.abs(directions).argmax(axis=1)[:, None]
    directions *= np.where(np.take_along_axis(directions, largest, axis=1) < 0, -1.0, 1.0)
    first_atoms, _ = kmeans_plusplus(
        directions,
        n_words,
        random_state=random_key(seed, "dictionary", task, "first atoms") % 2**32,
    )
    learner = MiniBatchDictionaryLearning(
        n_words,
        alpha=1.2 / np.sqrt(n_dimensions),
        max_iter=n_iterations,
        fit_algorithm="cd",
        dict_init=first_atoms,
        random_state=random_key(seed, "dictionary", task, "atoms") % 2**32,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        learner.fit(vectors)
    logger.info("task %s: %d atoms after %d batches", task, n_words, learner.n_steps_)
    return _unit_rows(learner.components_), centre


def code_sparsely(vectors, atoms, n_atoms):
    """Approximate vectors by few atoms each: orthogonal matching pursuit, many vectors at once.

    scikit-learn's ``orthogonal_mp`` does the same one vector after the other, which is too slow for
    the millions of frames of a corpus.

    Parameters
    ----------
    vectors : np.ndarray of float64, shape (n_vectors, n_dimensions)
        Feature vectors, the centre taken off.
    atoms : np.ndarray of float64, shape (n_words, n_dimensions)
        Of unit length.
    n_atoms : int
        Atoms for each vector, at most ``n_words``.

    Returns
    -------
    chosen : np.ndarray of int64, shape (n_vectors, n_atoms)
        The atoms, in the order in which they were chosen: each has the largest product with what
        the atoms before it leave of the vector.
    coefficients : np.ndarray of float64, shape (n_vectors, n_atoms)
        Their least-squares coefficients.
    residuals : np.ndarray of float64, shape (n_vectors, n_dimensions)
        What they leave.
    """
    gram = atoms @ atoms.T
    chosen = np.empty((len(vectors), n_atoms), dtype=np.int64)
    coefficients = np.empty((len(vectors), n_atoms))
    residuals = np.empty(vectors.shape)
    for block in _blocks(len(vectors), len(atoms)):
        some = vectors[block]
        products = some @ atoms.T
        left, left_products = some, products.copy()
        support = chosen[block]
        for n_chosen in range(1, n_atoms + 1):
            support[:, n_chosen - 1] = np.abs(left_products).argmax(axis=1)
            so_far = support[:, :n_chosen]
            solved = np.linalg.solve(
                gram[so_far[:, :, None], so_far[:, None, :]] + _RIDGE * np.eye(n_chosen),
                np.take_along_axis(products, so_far, axis=1)[:, :, None],
            )[:, :, 0]
            left = some.copy()
            for column in range(n_chosen):
                left -= solved[:, [column]] * atoms[so_far[:, column]]
            left_products = left @ atoms.T
            np.put_along_axis(left_products, so_far, 0.0, axis=1)
        coefficients[block], residuals[block] = solved, left
    return chosen, coefficients, residuals


def frames_per_track(n_frames, n_drawn, seed, task):
    """Share out a number of frames evenly over tracks.

    Parameters
    ----------
    n_frames : np.ndarray of int, shape (n_tracks,)
        Frames each track has.
    n_drawn : int
        Frames to draw in all.
    seed : int
        The run's seed.
    task : str
        Task letter; names the draw of the tracks that give one frame more than others.

    Returns
    -------
    np.ndarray of int64, shape (n_tracks,)
        Frames to draw from each track, in all the smaller of `n_drawn` and ``n_frames.sum()``. Two
        tracks differ by more than one only where the poorer one gives all it has.
    """
    n_frames = np.asarray(n_frames, dtype=np.int64)
    if n_frames.sum() <= n_drawn:
        return n_frames.copy()
    # The largest level at which the tracks together still give no more than n_drawn.
    low, high = 0, int(n_frames.max())
    while high - low > 1:
        level = (low + high) // 2
        if np.minimum(n_frames, level).sum() <= n_drawn:
            low = level
        else:
            high = level
    shares = np.minimum(n_frames, low)
    richer = np.flatnonzero(n_frames > low)
    one_more = generator(seed, "dictionary", task, "shares").permutation(richer)
    shares[one_more[: n_drawn - shares.sum()]] += 1
    return shares


def draw_frames(frames, n_drawn, seed, task, track_id):
    """Draw frames of one track without replacement, in the order of time.

    The draw depends on the seed, the task and the track alone, not on the other tracks.

    Parameters
    ----------
    frames : np.ndarray, shape (n_frames, n_dimensions)
        The track's frames.
    n_drawn : int
        Frames to draw, at most ``n_frames``.
    seed : int
        The run's seed.
    task : str
        Task letter.
    track_id : int
        The track.

    Returns
    -------
    np.ndarray, shape (n_drawn, n_dimensions)
    """
    draw = generator(seed, "dictionary", task, int(track_id))
    return frames[np.sort(draw.choice(len(frames), n_drawn, replace=False))]


def _words_possible(n_words, n_vectors, task):
    """Return the number of words, no more than vectors, and log where it is not what was asked."""
    if n_vectors < n_words:
        logger.warning(
            "task %s: %d words asked for, but the tracks give %d vectors: %d words used",
            task,
            n_words,
            n_vectors,
            n_vectors,
        )
    return min(n_words, n_vectors)


def _blocks(n_vectors, n_words):
    """Return slices of the vectors whose matrices of vectors by words are small."""
    size = max(_BLOCK_CELLS // n_words, 1)
    return [slice(start, start + size) for start in range(0, n_vectors, size)]


def _unit_rows(matrix):
    """Divide each row by its length; rows of length 0 stay."""
    lengths = np.linalg.norm(matrix, axis=1, keepdims=True)
    return matrix / np.where(lengths > 0, lengths, 1.0)


def _learn_centroids(vectors, n_words, n_iterations, seed, task):
    return {"centroids": fit_dictionary(vectors, n_words, n_iterations, seed, task)}


def _learn_atoms(vectors, n_words, n_iterations, seed, task):
    atoms, centre = fit_atoms(vectors, n_words, n_iterations, seed, task)
    return {"atoms": atoms, "centre": centre}


def _find_nearest(vectors, dictionary):
    words, inertia = assign_words(vectors, dictionary["centroids"])
    return np.arange(len(words)), words, np.ones(len(words)), inertia


def _find_most_probable(vectors, dictionary):
    words, inertia = most_probable_components(vectors, **dictionary)
    return np.arange(len(words)), words, np.ones(len(words)), inertia


def _find_atoms(vectors, dictionary):
    vectors = vectors - dictionary["centre"]
    n_atoms = min(ATOMS_PER_VECTOR, len(dictionary["atoms"]))
    words, coefficients, residuals = code_sparsely(vectors, dictionary["atoms"], n_atoms)
    weights = np.abs(coefficients)
    # Once atoms give the vector exactly, those chosen after them have rounding errors for weights.
    rows, ranks = np.nonzero(weights > 1e-6 * np.linalg.norm(vectors, axis=1, keepdims=True))
    return rows, words[rows, ranks], weights[rows, ranks], float((residuals**2).sum())


_METHODS = {
    "kmeans": (_learn_centroids, _find_nearest),
    "gmm": (fit_mixture, _find_most_probable),
    "sparse_coding": (_learn_atoms, _find_atoms),
}
"""How each method learns a dictionary, and how it finds words by it."""
