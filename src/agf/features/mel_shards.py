"""The shards of mel spectrograms."""

from pathlib import Path

import pyarrow as pa

from agf.features.audio import decode
from agf.features.mel import mel_spectrogram_db, quantise
from agf.features.shards import BINARY_OPTIONS, judging, read_candidates, update_shard

MEL_SCHEMA = pa.schema(
    {
        "track_id": pa.int64(),
        "key": pa.string(),
        "digest": pa.string(),
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
        Parquet with ``track_id``, ``path`` (relative to `data_dir`), ``sha256`` and ``duration``,
        seconds that the file must have at least; null where that is not known.
    data_dir : str or pathlib.Path
        Folder of the audio.
    out, rejected : str or pathlib.Path
        The shard's spectrograms, and the tracks that could not be decoded with the reason.
    settings : dict
        ``sample_rate``, ``n_fft``, ``hop_length``, ``n_mels``, ``top_db`` as in
        :func:`agf.features.mel.mel_spectrogram_db`, ``min_seconds``, the shortest usable track, and
        ``max_duration`` and ``offset``, the excerpt of a longer one, as in
        :func:`agf.features.audio.decode`.
    code : str
        Hash of the code that makes the rows.

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
        db = mel_spectrogram_db(samples, settings)
        q, max_db = quantise(db, settings["top_db"])
        return {"n_frames": len(q), "max_db": max_db, "mel": q.tobytes()}

    # A corrected duration can turn a whole track into a truncated one, or back.
    candidates = read_candidates(manifest, settings, code, ("sha256", "duration"))
    return update_shard(candidates, out, rejected, compute, MEL_SCHEMA, "mel", **BINARY_OPTIONS)
