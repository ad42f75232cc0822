"""Reading the shards of features.

What makes the shards is not imported here: a change of the code that makes features must not count
as a change of the code that reads them, or no network could stay as it is.
"""

from itertools import chain
from operator import itemgetter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from agf.errors import UserError

IDENTITY = ("track_id", "key", "digest")
"""Columns of every shard: the track, what its row was made of, and what came out."""


def iterate_mels(paths):
    """Yield the spectrograms of several shards in the order of the files.

    Parameters
    ----------
    paths : iterable of str or pathlib.Path
        Files of :func:`agf.features.mel_shards.extract_mel_shard`.

    Yields
    ------
    track_id : int
    digest : str
        Hash of the spectrogram.
    max_db : float
        What :func:`agf.features.mel.dequantise` needs.
    spectrogram : numpy.ndarray, shape (n_frames, n_mels), uint8
        A view that lives as long as its row group: one row group is in memory at a time.

    Raises
    ------
    UserError
        If a file cannot be read.
    """
    for path in paths:
        yield from iterate_frames(path, ["track_id", "digest", "max_db"], "mel", np.uint8)


def iterate_mfcc(paths):
    """Yield track_id and MFCC (n_frames x n_mfcc, float16) in the order of the files.

    Parameters
    ----------
    paths : iterable of str or pathlib.Path
        Files of :func:`agf.features.mfcc_shards.extract_mfcc_shard`; one row group is in memory at
        a time.

    Raises
    ------
    UserError
        If a file cannot be read.
    """
    for path in paths:
        yield from iterate_frames(path, ["track_id"], "mfcc", np.float16)


def read_frames(paths, feature):
    """Read the frames of a feature from several shards.

    Parameters
    ----------
    paths : iterable of str or pathlib.Path
        Files of, for example, :func:`agf.features.mfcc_shards.extract_mfcc_shard`.
    feature : str
        Their column, such as ``mfcc``.

    Returns
    -------
    track_ids : numpy.ndarray, shape (n_tracks,), int64
        Ascending.
    frames : list of numpy.ndarray, shape (n_frames, n_coefficients), float16
        Read-only views of the bytes read.

    Raises
    ------
    UserError
        If a file cannot be read.
    """
    rows = chain.from_iterable(
        iterate_frames(path, ["track_id"], feature, np.float16) for path in paths
    )
    rows = sorted(rows, key=itemgetter(0))
    return np.array([row[0] for row in rows], np.int64), [row[1] for row in rows]


def read_essentia(paths):
    """Read the Essentia descriptors of several shards.

    Parameters
    ----------
    paths : iterable of str or pathlib.Path
        Files of :func:`agf.features.essentia_shards.extract_essentia_shard`.

    Returns
    -------
    track_ids : numpy.ndarray, shape (n_tracks,), int64
        Ascending.
    names : tuple of str
        The descriptors, as the shards name their columns.
    values : numpy.ndarray, shape (n_tracks, 4374), float64

    Raises
    ------
    UserError
        If a file cannot be read or has other columns than the first.
    """
    paths = list(paths)
    with open_shard(paths[0]) as file:
        names = tuple(name for name in file.schema_arrow.names if name not in IDENTITY)
    ids = [read_columns(path, ["track_id"])["track_id"].to_numpy() for path in paths]
    track_ids = np.concatenate([np.zeros(0, np.int64), *ids])
    order = np.argsort(track_ids)
    row_of = np.argsort(order)
    values = np.empty((len(track_ids), len(names)))
    start = 0
    for path, shard_ids in zip(paths, ids, strict=True):
        rows = row_of[start : start + len(shard_ids)]
        start += len(shard_ids)
        table = read_columns(path, list(names))
        values[rows] = np.stack([column.to_numpy() for column in table.columns], axis=1)
    return track_ids[order], names, values


def read_columns(path, columns):
    """Return the named columns of a Parquet file.

    Raises
    ------
    UserError
        If the file is missing, is no Parquet file or lacks a column.
    """
    with open_shard(path) as file:
        if missing := set(columns) - set(file.schema_arrow.names):
            raise UserError(
                f"{path} has no column {sorted(missing)[0]}; delete it and run the workflow again"
            )
        return file.read(columns=columns)


def iterate_frames(path, columns, column, dtype):
    """Yield the rows of a shard of spectra, one row group in memory at a time.

    Parameters
    ----------
    path : str or pathlib.Path
        The shard.
    columns : sequence of str
        Columns whose values are yielded.
    column : str
        The binary column.
    dtype : numpy.dtype
        Of its values.

    Yields
    ------
    tuple
        The values of `columns`, then the time-major array, shape (n_frames, n): a view that lives
        as long as its row group.

    Raises
    ------
    UserError
        If the file cannot be read, or a row's bytes are no whole number of frames.
    """
    with open_shard(path) as file:
        for group in range(file.num_row_groups):
            table = file.read_row_group(group, ["track_id", "n_frames", *columns, column])
            for i, n_frames in enumerate(table["n_frames"].to_pylist()):
                values = np.frombuffer(table[column][i].as_buffer(), dtype)
                if n_frames < 1 or len(values) % n_frames:
                    raise UserError(
                        f"{path}: the {column} of track {table['track_id'][i]} does not divide "
                        f"into {n_frames} frames; delete the file and run the workflow again."
                    )
                yield (
                    *(table[name][i].as_py() for name in columns),
                    values.reshape(n_frames, -1),
                )


def open_shard(path):
    """Open a Parquet file for reading.

    Raises
    ------
    UserError
        If the file is missing or is no Parquet file.
    """
    try:
        return pq.ParquetFile(path)
    except (FileNotFoundError, pa.ArrowInvalid) as error:
        raise UserError(
            f"{path} is missing or no Parquet file; delete it and run the workflow again"
        ) from error
