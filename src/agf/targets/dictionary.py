"""Dictionary of feature words: K-means centroids, and the word nearest to a feature vector.

Source: Kim, Won, Serra and Liem (WWW'18), section 3.2. Words of the MFCC and dMFCC dictionaries
are learnt from frames, words of the Essentia dictionary from tracks.
"""

import logging

import faiss
import numpy as np

from agf.keyed_random import generator, random_key

logger = logging.getLogger(__name__)


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
    if n_vectors < n_words:
        logger.warning(
            "task %s: %d words asked for, but the training tracks give %d vectors: %d words used",
            task,
            n_words,
            n_vectors,
            n_vectors,
        )
        n_words = n_vectors
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
