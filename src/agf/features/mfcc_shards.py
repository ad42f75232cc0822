"""The shards of MFCC."""

import numpy as np
import pyarrow as pa

from agf.features.mel import dequantise
from agf.features.mfcc import mfcc_from_db
from agf.features.reading import iterate_mels, read_columns
from agf.features.shards import BINARY_OPTIONS, row_key, update_shard

MFCC_SCHEMA = pa.schema(
    {
        "track_id": pa.int64(),
        "key": pa.string(),
        "digest": pa.string(),
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
    # By the content of the spectrogram, whatever made it.
    identities = read_columns(mel, ["track_id", "digest"]).to_pylist()
    candidates = [
        {"track_id": row["track_id"], "key": row_key(row["digest"], settings, code), "path": None}
        for row in identities
    ]
    spectrograms = iterate_mels([mel])

    def compute(candidate):
        # Candidates come in the order of the file, so one pass over it meets them all.
        _, _, max_db, q = next(row for row in spectrograms if row[0] == candidate["track_id"])
        mfcc = mfcc_from_db(dequantise(q, max_db, settings["top_db"]), settings["n_mfcc"])
        return {"n_frames": len(mfcc), "mfcc": mfcc.astype(np.float16).tobytes()}

    return update_shard(candidates, out, None, compute, MFCC_SCHEMA, "mfcc", **BINARY_OPTIONS)
