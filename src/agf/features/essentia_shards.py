"""The shards of Essentia descriptors: making and reading them."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from agf.features.essentia import descriptor_names, essentia_descriptors
from agf.features.shards import read_candidates, read_columns, update_shard

ESSENTIA_OPTIONS = {
    "compression": "zstd",
    "use_dictionary": False,
    "write_statistics": False,
    "row_group": 1024,
}
"""How shards of descriptors are written.

The footer describes each of 4,374 columns in each row group, so the groups are large.
"""


def extract_essentia_shard(manifest, mel, data_dir, out, rejected, settings, code):
    """Compute the Essentia descriptors of one shard.

    Parameters
    ----------
    manifest, data_dir, out, rejected, code
        As in :func:`agf.features.mel_shards.extract_mel_shard`.
    mel : str or pathlib.Path
        The shard's spectrograms: tracks without one are not tried.
    settings : dict
        Part of each row's key; the extractor itself has no settings beyond those of
        :func:`agf.features.essentia.essentia_descriptors`.

    Returns
    -------
    dict of str to int
        Counts, as :func:`agf.features.shards.update_shard`.

    Raises
    ------
    UserError
        If the manifest or a file of an earlier run is not as it should be.
    """
    decoded = set(read_columns(mel, ["track_id"])["track_id"].to_pylist())
    candidates = [
        row for row in read_candidates(manifest, settings, code) if row["track_id"] in decoded
    ]
    schema = pa.schema(
        [("track_id", pa.int64()), ("key", pa.string())]
        + [(name, pa.float64()) for name in descriptor_names()]
    )

    def compute(candidate):
        return essentia_descriptors(Path(data_dir) / candidate["path"])

    return update_shard(candidates, out, rejected, compute, schema, "essentia", **ESSENTIA_OPTIONS)


def read_essentia(paths):
    """Read the Essentia descriptors of several shards.

    Parameters
    ----------
    paths : iterable of str or pathlib.Path
        Files of :func:`extract_essentia_shard`.

    Returns
    -------
    track_ids : numpy.ndarray, shape (n_tracks,), int64
        Ascending.
    names : tuple of str
        The columns, :func:`agf.features.essentia.descriptor_names`.
    values : numpy.ndarray, shape (n_tracks, 4374), float64
    """
    paths, names = list(paths), descriptor_names()
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
