"""The shards of chroma."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from agf.features.audio import decode
from agf.features.chroma import chroma
from agf.features.reading import read_columns
from agf.features.shards import BINARY_OPTIONS, judging, read_candidates, update_shard

CHROMA_SCHEMA = pa.schema(
    {
        "track_id": pa.int64(),
        "key": pa.string(),
        "digest": pa.string(),
        "n_frames": pa.int32(),
        "chroma": pa.large_binary(),
    }
)


def extract_chroma_shard(manifest, mel, data_dir, out, settings, code):
    """Decode the tracks of one shard once more, and store their chroma.

    Parameters
    ----------
    manifest, data_dir, code
        As in :func:`agf.features.mel_shards.extract_mel_shard`.
    mel : str or pathlib.Path
        The shard's spectrograms: tracks without one are not tried.
    out : str or pathlib.Path
        The shard's chroma, for the tracks of `mel`.
    settings : dict
        ``sample_rate``, ``n_fft`` and ``hop_length`` as in :func:`agf.features.chroma.chroma`, and
        ``min_seconds``, ``max_duration`` and ``offset`` as for `mel`.

    Returns
    -------
    dict of str to int
        Counts, as :func:`agf.features.shards.update_shard`.

    Raises
    ------
    UserError
        If the manifest or a file of an earlier run is not as it should be, or an audio file is out
        of reach.
    """
    decoded = set(read_columns(mel, ["track_id"])["track_id"].to_pylist())
    candidates = read_candidates(manifest, settings, code, ("sha256", "duration"))

    def compute(candidate):
        path = Path(data_dir) / candidate["path"]
        with judging(path, candidate["sha256"]):
            samples = decode(
                path,
                settings["sample_rate"],
                settings["min_seconds"],
                candidate["duration"],
                settings["max_duration"],
                settings["offset"],
            )
        frames = chroma(samples, settings)
        return {"n_frames": len(frames), "chroma": frames.astype(np.float16).tobytes()}

    candidates = [row for row in candidates if row["track_id"] in decoded]
    return update_shard(candidates, out, None, compute, CHROMA_SCHEMA, "chroma", **BINARY_OPTIONS)
