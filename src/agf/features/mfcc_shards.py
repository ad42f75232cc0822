"""The shards of MFCC: making and reading them."""

from operator import itemgetter

import numpy as np
import pyarrow as pa

from agf.features.mel import dequantise
from agf.features.mel_shards import iterate_mels
from agf.features.mfcc import mfcc_from_db
from agf.features.shards import (
    BINARY_OPTIONS,
    iterate_frames,
    read_columns,
    row_key,
    update_shard,
)

MFCC_SCHEMA = pa.schema(
    {
        "track_id": pa.int64(),
        "key": pa.string(),
        "n_frames": pa.int32(),
        "mfcc": pa.large_binary(),
    }
)


def extract_mfcc_shard(mel, out, settings, code):
    """Compute the MFCCs of one shard from its stored mel spectrograms.

    Parameters
    ----------
    mel : str or pathlib.Path
        The shard's spectrograms.
    out : str or pathlib.Path
        The shard's MFCCs, for the same tracks.
    settings : dict
        ``n_mfcc``, number of coefficients, and ``top_db``, the range of the spectrograms in dB.
    code : str
        Hash of the code that makes the rows.

    Returns
    -------
    dict of str to int
        Counts, as :func:`agf.features.shards.update_shard`.

    Raises
    ------
    UserError
        If `mel` or a file of an earlier run is no readable Parquet file.
    """
    identities = read_columns(mel, ["track_id", "key"]).to_pylist()
    candidates = [
        {"track_id": row["track_id"], "key": row_key(row["key"], settings, code), "path": None}
        for row in identities
    ]
    spectrograms = iterate_mels([mel])

    def compute(candidate):
        # Candidates come in the order of the file, so one pass over it meets them all.
        _, _, max_db, q = next(row for row in spectrograms if row[0] == candidate["track_id"])
        mfcc = mfcc_from_db(dequantise(q, max_db, settings["top_db"]), settings["n_mfcc"])
        return {"n_frames": len(mfcc), "mfcc": mfcc.astype(np.float16).tobytes()}

    return update_shard(candidates, out, None, compute, MFCC_SCHEMA, "mfcc", **BINARY_OPTIONS)


def iterate_mfcc(paths):
    """Yield track_id and MFCC (n_frames x n_mfcc, float16) in the order of the files.

    Parameters
    ----------
    paths : iterable of str or pathlib.Path
        Files of :func:`extract_mfcc_shard`; one row group is in memory at a time.

    Raises
    ------
    UserError
        If a file cannot be read.
    """
    for path in paths:
        yield from iterate_frames(path, ["track_id"], "mfcc", np.float16)


def read_mfcc(paths):
    """Read the MFCC of several shards.

    Parameters
    ----------
    paths : iterable of str or pathlib.Path
        Files of :func:`extract_mfcc_shard`.

    Returns
    -------
    track_ids : numpy.ndarray, shape (n_tracks,), int64
        Ascending.
    mfcc : list of numpy.ndarray, shape (n_frames, n_mfcc), float16
        Read-only views of the bytes read.

    Raises
    ------
    UserError
        If a file cannot be read.
    """
    rows = sorted(iterate_mfcc(paths), key=itemgetter(0))
    return np.array([row[0] for row in rows], np.int64), [row[1] for row in rows]
