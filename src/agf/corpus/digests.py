"""What the tracks of a corpus are, summed up in small files.

One digest for each thing that a job after the features may read: a feature, a column of the
metadata, the split. A job that depends on digests, and not on the big files behind them, runs again
only where their content is another, however often it is made anew.
"""

import hashlib
import json

import pyarrow as pa
import pyarrow.parquet as pq

from agf.files import write_json

COLUMNS = {"artist": "artist_id", "genre_top": "genre_top", "genres": "genres"}
"""Digests of metadata and the column of ``tracks.parquet`` each is over."""

FEATURES = ("mel", "mfcc", "essentia")
"""Features that every run extracts shard by shard, in the order of the workflow."""


def write_digests(tracks, genres, splits, feature_paths, out):
    """Write the digests of the tracks kept.

    Parameters
    ----------
    tracks, genres : str or pathlib.Path
        ``corpus/tracks.parquet`` and ``corpus/genres.parquet``.
    splits : dict of str to (str or pathlib.Path)
        Name and file, ``splits/{split}.parquet``, of each split.
    feature_paths : dict of str to list of path
        Of each feature its shard files; only ``track_id`` and ``digest`` are read.
    out : dict of str to path
        Written in this order, whatever the order of `out`: columns, features, splits.
        ``corpus/digests/{name}.json`` for each of :data:`COLUMNS` and of the features, and for each
        split ``split-{split}``: the number of ``tracks``, and the ``sha256`` of their ids with what
        the digest is over.

    Raises
    ------
    RuntimeError
        Where a track has no row in the split or in a feature.
    """
    rows = pq.read_table(tracks, columns=["track_id", *COLUMNS.values()]).to_pydict()
    ids = rows["track_id"]
    for name, column in COLUMNS.items():
        # The labels of task s are counted by the table of genres, titles included.
        table = pq.read_table(genres).to_pylist() if name == "genres" else []
        _write([*zip(ids, rows[column], strict=True), *table], len(ids), out[name])
    for name, paths in feature_paths.items():
        digests = _by_track(paths, "digest")
        _write([(track, _find(digests, track, name)) for track in ids], len(ids), out[name])
    for name, path in splits.items():
        parts = _by_track([path], "part")
        rows = [(track, _find(parts, track, "part")) for track in ids]
        _write(rows, len(ids), out[f"split-{name}"])


def _by_track(paths, column):
    table = pa.concat_tables(pq.read_table(path, columns=["track_id", column]) for path in paths)
    return dict(zip(*table.to_pydict().values(), strict=True))


def _find(values, track, what):
    if track not in values:
        raise RuntimeError(f"track {track} has no {what}")
    return values[track]


def _write(content, n_tracks, path):
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    write_json({"tracks": n_tracks, "sha256": hashlib.sha256(text.encode()).hexdigest()}, path)
