"""The shards of Essentia descriptors."""

from pathlib import Path

import pyarrow as pa

from agf.features.essentia import descriptor_names, essentia_descriptors
from agf.features.reading import read_columns
from agf.features.recycled import recycled
from agf.features.shards import judging, read_candidates, update_shard

ESSENTIA_OPTIONS = {
    "compression": "zstd",
    "use_dictionary": False,
    "write_statistics": False,
    "row_group": 1024,
    "joined": 16,
}
"""How shards of descriptors are written.

The footer describes each of 4,374 columns in each row group, so the groups are large. Rows are
joined before they fill one: on its own a row takes 4 MB for 35 kB.
"""

TRACKS_PER_PROCESS = 500
"""MusicExtractor keeps 0.2 MB of every track: 100 MB until a process is replaced."""


def extract_essentia_shard(manifest, mel, data_dir, out, rejected, settings, code):
    """Compute the Essentia descriptors of one shard.

    Parameters
    ----------
    manifest, data_dir, out, rejected, code
        As in :func:`agf.features.mel_shards.extract_mel_shard`.
    mel : str or pathlib.Path
        The shard's spectrograms: tracks without one are not tried.
    settings : dict
        ``max_duration`` and ``offset``, the excerpt of a longer track, as in
        :func:`agf.features.essentia.essentia_descriptors`.

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
    candidates = [
        row for row in read_candidates(manifest, settings, code) if row["track_id"] in decoded
    ]
    schema = pa.schema(
        [("track_id", pa.int64()), ("key", pa.string()), ("digest", pa.string())]
        + [(name, pa.float64()) for name in descriptor_names()]
    )

    with recycled(essentia_descriptors, TRACKS_PER_PROCESS) as descriptors:

        def compute(candidate):
            path = Path(data_dir) / candidate["path"]
            with judging(path, candidate["sha256"]):
                return descriptors(path, settings["max_duration"], settings["offset"])

        return update_shard(
            candidates, out, rejected, compute, schema, "essentia", **ESSENTIA_OPTIONS
        )
