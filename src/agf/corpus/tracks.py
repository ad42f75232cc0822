"""Reading the corpus's tracks, their parts in a split, and their genres as labels."""

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from agf.errors import UserError


def read_tracks(path):
    """Read ``corpus/tracks.parquet``.

    Parameters
    ----------
    path : str or pathlib.Path

    Returns
    -------
    pandas.DataFrame
        Sorted by ``track_id``; ``genres`` holds lists of int.
    """
    return pq.read_table(path).to_pandas()


def read_part(path, part):
    """Return the sorted track_id of one part of a split, int64.

    Parameters
    ----------
    path : str or pathlib.Path
        ``splits/{split}.parquet``.
    part : str
        ``train`` or ``evaluation``.

    Raises
    ------
    UserError
        If the split has no such track.
    """
    split = pd.read_parquet(path, columns=["track_id", "part"])
    track_ids = np.sort(split.track_id[split.part == part].to_numpy(np.int64))
    if len(track_ids) == 0:
        raise UserError(f"{path} has no track whose part is {part}: choose another split.")
    return track_ids


def rows_of_tracks(tracks, track_ids, tracks_path, split_path):
    """Return the rows of `tracks` with these `track_ids`, in their order.

    Raises
    ------
    UserError
        If the split has a track that ``tracks.parquet`` lacks.
    """
    missing = np.setdiff1d(track_ids, tracks.track_id)
    if len(missing):
        raise UserError(
            f"{split_path} has track {missing[0]}, which {tracks_path} lacks; make the split again."
        )
    return tracks.set_index("track_id").loc[track_ids].reset_index()


def genre_titles(tracks):
    """Return the sorted titles of all top genres in `tracks`: the order of task g's outputs."""
    return sorted(tracks.genre_top.dropna().unique())


def genre_labels(genre_top, genres, tracks_path):
    """Return the position of each title in `genres`, int64.

    Raises
    ------
    UserError
        If a track has no top genre.
    """
    if genre_top.isna().any():
        raise UserError(
            f"{tracks_path} has {genre_top.isna().sum()} tracks of the split without genre_top; "
            "give them a genre or mark them unused in the split."
        )
    return np.searchsorted(genres, genre_top.to_numpy(str)).astype(np.int64)


def check_every_genre(labels, genres, split_path):
    """Raise UserError if a genre has no training track."""
    absent = [title for i, title in enumerate(genres) if i not in set(labels.tolist())]
    if absent:
        raise UserError(
            f"{split_path} has no training track of genre {absent[0]}; choose another split or "
            "remove that genre's tracks."
        )
