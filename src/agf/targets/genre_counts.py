"""Words of the subgenre task: an artist's genre labels.

Source: Kim, Won, Serra and Liem (WWW'18), section 3.1. A track counts with the labels its artist
chose (``genres``), not with their parents (``genres_all``).
"""

import numpy as np

from agf.errors import UserError


def genre_words(track_ids, genre_lists, genre_ids):
    """Turn the genre labels of tracks into words.

    Parameters
    ----------
    track_ids : sequence of int
        The tracks; named in errors.
    genre_lists : sequence of list of int or None
        Genre labels of each track.
    genre_ids : np.ndarray of int, shape (n_genres,)
        The vocabulary, rising. The word of a genre is its position here, whether or not a track
        has it, so that words mean the same in every split.

    Returns
    -------
    track_rows : np.ndarray of int64, shape (n_labels,)
        Position in `track_ids` of the track that carries the label.
    words : np.ndarray of int64, shape (n_labels,)
        The label's word.

    Raises
    ------
    UserError
        A track carries a genre that is not in the vocabulary.
    """
    lengths = [len(labels or ()) for labels in genre_lists]
    track_rows = np.repeat(np.arange(len(lengths)), lengths)
    labels = np.array([label for labels in genre_lists for label in labels or ()], dtype=np.int64)
    unknown = np.flatnonzero(~np.isin(labels, genre_ids))
    if len(unknown):
        first = unknown[0]
        raise UserError(
            f"Track {track_ids[track_rows[first]]} has the genre {labels[first]}, which the genre "
            "table does not name: add it to genres.csv or take it off the track."
        )
    return track_rows, np.searchsorted(genre_ids, labels)
