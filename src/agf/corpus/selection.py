"""Which tracks have every feature, why the others have not, and what the stages to come depend on.

The digests written here say what is in the corpus, one small file for each thing a later stage may
read: each feature, and each column of the metadata. A job that depends on a digest, and not on the
shards, runs again only where the content is another, however often the shards are made anew.
"""

import hashlib
import json
import logging
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from agf.corpus.scan import SCAN_SCHEMA, reason_kind, shard_name
from agf.errors import UserError
from agf.files import write_json, write_parquet

logger = logging.getLogger(__name__)

REJECTED_SCHEMA = pa.schema(
    [("track_id", pa.int64()), ("path", pa.string()), ("reason", pa.string())]
)

METADATA_DIGESTS = {
    "artist": "artist_id",
    "album": "album_id",
    "genre_top": "genre_top",
    "genres": "genres",
    "official_split": "official_split",
}
"""Digests of metadata and the column of ``tracks.parquet`` each is over."""

FEATURE_DIGESTS = ("mel", "mfcc", "essentia")


def select_tracks(scan, genres, feature_paths, rejected_paths, n_shards, out):
    """Divide the scanned tracks into those with every feature and those rejected.

    Parameters
    ----------
    scan, genres : str or pathlib.Path
        ``corpus/scan.parquet`` and ``corpus/genres.parquet``.
    feature_paths : dict of str to list of path
        For each feature, its shard files; only ``track_id`` and ``digest`` are read.
    rejected_paths : list of path
        The ``*.rejected.parquet`` files of the feature stages.
    n_shards : int
        Number of shards.
    out : dict of str to path
        ``tracks`` and ``rejected``, ``corpus/tracks.parquet`` and ``corpus/rejected.parquet``; and
        for every digest, by its name, ``corpus/digests/{name}.json``.

    Raises
    ------
    UserError
        Where no track is left.
    RuntimeError
        Where a track is neither kept nor rejected: tracks in must equal kept plus rejected.
    """
    table = pq.read_table(scan, schema=SCAN_SCHEMA)
    ids = table["track_id"].to_pylist()
    reasons = dict(zip(ids, table["reason"].to_pylist(), strict=True))
    for path in rejected_paths:
        for row in pq.read_table(path, columns=["track_id", "reason"]).to_pylist():
            reasons[row["track_id"]] = row["reason"]
    complete = {track for track, reason in reasons.items() if reason is None}
    digests = {name: _read_digests(paths) for name, paths in feature_paths.items()}
    for feature, have in digests.items():
        lost = sorted(complete - have.keys())
        if lost:
            raise RuntimeError(f"track {lost[0]} has no {feature} and no reason why ({Path(scan)})")
    if not complete:
        raise UserError(f"Not one track of {scan} could be used; see the log of extract_mel.")
    kept = table.filter(pa.array([track in complete for track in ids])).drop_columns(["reason"])
    shards = [shard_name(track, n_shards) for track in kept["track_id"].to_pylist()]
    kept = kept.append_column("shard", pa.array(shards, pa.string())).sort_by("track_id")
    paths = dict(zip(ids, table["path"].to_pylist(), strict=True))
    rejected = pa.Table.from_pylist(
        [
            {"track_id": track, "path": paths[track], "reason": reasons[track]}
            for track in sorted(reasons.keys() - complete)
        ],
        schema=REJECTED_SCHEMA,
    )
    if kept.num_rows + rejected.num_rows != table.num_rows:
        raise RuntimeError(f"{table.num_rows} tracks in, {kept.num_rows} + {rejected.num_rows} out")
    write_parquet(kept, out["tracks"])
    write_parquet(rejected, out["rejected"])
    track_ids = kept["track_id"].to_pylist()
    for name, column in METADATA_DIGESTS.items():
        rows = list(zip(track_ids, kept[column].to_pylist(), strict=True))
        known = pq.read_table(genres).to_pylist() if name == "genres" else []
        _write_digest(rows, known, out[name])
    for name, of_track in digests.items():
        _write_digest([(track, of_track[track]) for track in track_ids], [], out[name])
    logger.info("%s", describe_selection(out["tracks"], out["rejected"]))


def describe_selection(tracks, rejected):
    """Return how many tracks were kept and how many rejected, by kind of reason, as one line.

    Parameters
    ----------
    tracks, rejected : str or pathlib.Path
        ``corpus/tracks.parquet`` and ``corpus/rejected.parquet``.
    """
    n_kept = pq.read_metadata(tracks).num_rows
    reasons = pq.read_table(rejected, columns=["reason"])["reason"].to_pylist()
    kinds = Counter(map(reason_kind, reasons))
    line = f"Tracks: {n_kept + len(reasons)} in, {n_kept} kept, {len(reasons)} rejected"
    if kinds:
        line += f" ({', '.join(f'{count} {kind}' for kind, count in kinds.most_common())})"
    return line


def _read_digests(paths):
    digests = {}
    for path in paths:
        rows = pq.read_table(path, columns=["track_id", "digest"]).to_pydict()
        digests.update(zip(rows["track_id"], rows["digest"], strict=True))
    return digests


def _write_digest(rows, known, path):
    text = json.dumps([rows, known], ensure_ascii=False, separators=(",", ":"))
    digest = hashlib.sha256(text.encode()).hexdigest()
    write_json({"tracks": len(rows), "sha256": digest}, path)
