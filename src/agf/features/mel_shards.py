"""The shards of mel spectrograms: making and reading them."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from agf.features.audio import decode
from agf.features.mel import mel_spectrogram_db, quantise
from agf.features.shards import BINARY_OPTIONS, iterate_frames, read_candidates, update_shard

MEL_SCHEMA = pa.schema(
    {
        "track_id": pa.int64(),
        "key": pa.string(),
        "n_frames": pa.int32(),
        "max_db": pa.float32(),
        "mel": pa.large_binary(),
    }
)


def extract_mel_shard(manifest, data_dir, out, rejected, settings, code):
    """Decode the tracks of one shard and store their mel spectrograms.

    Parameters
    ----------
    manifest : str or pathlib.Path
        Parquet with ``track_id``, ``path`` (relative to `data_dir`) and ``sha256``.
    data_dir : str or pathlib.Path
        Folder of the audio.
    out, rejected : str or pathlib.Path
        The shard's spectrograms, and the tracks that could not be decoded with the reason.
    settings : dict
        ``sample_rate``, ``n_fft``, ``hop_length``, ``n_mels``, ``top_db`` as in
        :func:`agf.features.mel.mel_spectrogram_db`, and ``min_seconds``, the shortest usable track.
    code : str
        Hash of the code that makes the rows.

    Returns
    -------
    dict of str to int
        Counts, as :func:`agf.features.shards.update_shard`.

    Raises
    ------
    UserError
        If the manifest or a file of an earlier run is not as it should be.
    """

    def compute(candidate):
        path = Path(data_dir) / candidate["path"]
        samples = decode(path, settings["sample_rate"], settings["min_seconds"])
        db = mel_spectrogram_db(samples, settings)
        q, max_db = quantise(db, settings["top_db"])
        return {"n_frames": len(q), "max_db": max_db, "mel": q.tobytes()}

    candidates = read_candidates(manifest, settings, code)
    return update_shard(candidates, out, rejected, compute, MEL_SCHEMA, "mel", **BINARY_OPTIONS)


def iterate_mels(paths):
    """Yield the spectrograms of several shards in the order of the files.

    Parameters
    ----------
    paths : iterable of str or pathlib.Path
        Files of :func:`extract_mel_shard`.

    Yields
    ------
    track_id : int
    key : str
        Hash of the audio, the settings and the code that made the row.
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
        yield from iterate_frames(path, ["track_id", "key", "max_db"], "mel", np.uint8)
