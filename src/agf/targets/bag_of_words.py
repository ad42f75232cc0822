"""Artist bag-of-words: how often each word occurs in an artist's tracks.

Source: Kim, Won, Serra and Liem (WWW'18), section 3.2. The authors' published code divides the
counts by the artist's number of tracks, and so does this.
"""

import numpy as np
from scipy.sparse import coo_array, diags_array


def count_words(artists, words, weights, n_artists, n_words):
    """Sum up the words of each artist.

    Parameters
    ----------
    artists : np.ndarray of int, shape (n_occurrences,)
        Row of the artist of each occurrence of a word.
    words : np.ndarray of int, shape (n_occurrences,)
        The word.
    weights : np.ndarray of float, shape (n_occurrences,)
        What an occurrence counts: 1, in sparse coding the size of a coefficient.
    n_artists, n_words : int
        Size of the result. Words that no artist uses keep their column.

    Returns
    -------
    scipy.sparse.csr_array of float64, shape (n_artists, n_words)
        Occurrences.
    """
    return coo_array((weights, (artists, words)), shape=(n_artists, n_words)).tocsr()


def count_per_track(counts, n_tracks):
    """Divide each artist's counts by the artist's number of tracks.

    Parameters
    ----------
    counts : scipy.sparse.csr_array, shape (n_artists, n_words)
        Occurrences, as :func:`count_words` gives them.
    n_tracks : np.ndarray of int, shape (n_artists,)
        Tracks of each artist, at least one.

    Returns
    -------
    scipy.sparse.csr_array of float64, shape (n_artists, n_words)
        Occurrences per track, words of an artist in rising order.
    """
    bags = (diags_array(1.0 / np.asarray(n_tracks)) @ counts).tocsr()
    bags.sort_indices()
    return bags


def artists_with_words(bags):
    """Return, for each artist, whether the bag holds any word.

    Parameters
    ----------
    bags : scipy.sparse.csr_array, shape (n_artists, n_words)
        Artist bag-of-words.

    Returns
    -------
    np.ndarray of bool, shape (n_artists,)
    """
    return np.asarray(bags.sum(axis=1)).ravel() > 0
