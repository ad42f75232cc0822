"""Which tracks have every feature, and why the others have not."""

import logging
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from agf.corpus.manifest import SCAN_SCHEMA, current_shards, reason_kind, shard_name
from agf.errors import UserError
from agf.files import write_parquet

LISTED_GENRES = 20
"""Genres in a line for people; the audit has them all."""

logger = logging.getLogger(__name__)

REJECTED_SCHEMA = pa.schema(
    [("track_id", pa.int64()), ("path", pa.string()), ("reason", pa.string())]
)


def select_tracks(scan, feature_paths, rejected_paths, n_shards, out_tracks, out_rejected):
    """Divide the scanned tracks into those with every feature and those rejected.

    Parameters
    ----------
    scan : str or pathlib.Path
        ``corpus/scan.parquet``.
    feature_paths : dict of str to list of path
        For each feature, its shard files; only their ``track_id`` is read.
    rejected_paths : list of path
        The ``*.rejected.parquet`` files of the feature stages.
    n_shards : int
        Number of shards.
    out_tracks, out_rejected : str or pathlib.Path
        ``corpus/tracks.parquet`` and ``corpus/rejected.parquet``.

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
    for feature, paths in feature_paths.items():
        have = set()
        for path in paths:
            have.update(pq.read_table(path, columns=["track_id"])["track_id"].to_pylist())
        lost = sorted(complete - have)
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
    write_parquet(kept, out_tracks)
    write_parquet(rejected, out_rejected)
    logger.info("%s", describe_selection(out_tracks, out_rejected))


def describe_selection(tracks, rejected):
    """Return how many tracks were kept and how many rejected, by kind of reason, as one line.

    Parameters
    ----------
    tracks, rejected : str or pathlib.Path
        ``corpus/tracks.parquet`` and ``corpus/rejected.parquet``.
    """
    reasons = pq.read_table(rejected, columns=["reason"])["reason"].to_pylist()
    return _counts("Tracks", pq.read_metadata(tracks).num_rows, "kept", reasons)


def describe_corpus(folder):
    """Return the text that ends a run: the selection, or where it is not of this scan, the scan.

    Parameters
    ----------
    folder : str or pathlib.Path
        ``corpus/`` of the results.
    """
    scan, *selected = (Path(folder) / f"{name}.parquet" for name in ("scan", "tracks", "rejected"))
    if all(path.is_file() for path in selected):
        ids = [pq.read_table(path, columns=["track_id"])["track_id"] for path in (scan, *selected)]
        if set(ids[0].to_pylist()) == {*ids[1].to_pylist(), *ids[2].to_pylist()}:
            return describe_selection(*selected)
    return f"{describe_scan(scan)}\n{_describe_candidates(scan)}"


def describe_scan(scan):
    """Return how many tracks the scan found and how many it rejected, by kind, as one line.

    Parameters
    ----------
    scan : str or pathlib.Path
        ``corpus/scan.parquet``.
    """
    column = pq.read_table(scan, columns=["reason"])["reason"]
    return _counts("Scan", column.null_count, "candidates", column.drop_null().to_pylist())


def list_rejected(folder):
    """Return every track that the scan or a feature has rejected so far.

    Parameters
    ----------
    folder : str or pathlib.Path
        ``results/{corpus}``, at any stage of a run.

    Returns
    -------
    list of tuple of int, str, str
        Track id, path and reason, sorted by path.

    Raises
    ------
    UserError
        Where there is no scan yet.
    """
    scan = Path(folder) / "corpus" / "scan.parquet"
    if not scan.is_file():
        raise UserError(f"{scan} does not exist: run the target corpus first.")
    table = pq.read_table(scan, columns=["track_id", "path", "reason"]).to_pylist()
    rejected = {row["track_id"]: row for row in table}
    shards = current_shards(scan.parent / "shards")
    for path in Path(folder).glob("features/*/*.rejected.parquet"):
        if path.name.removesuffix(".rejected.parquet") not in shards:
            continue
        for row in pq.read_table(path, columns=["track_id", "reason"]).to_pylist():
            if row["track_id"] in rejected:
                rejected[row["track_id"]]["reason"] = row["reason"]
    rows = [(row["track_id"], row["path"], row["reason"]) for row in rejected.values()]
    return sorted((row for row in rows if row[2] is not None), key=lambda row: row[1])


def _describe_candidates(scan):
    table = pq.read_table(scan, columns=["artist_id", "genre_top", "reason"]).to_pylist()
    tracks = [row for row in table if row["reason"] is None]
    genres = Counter(row["genre_top"] for row in tracks).most_common()
    listed = ", ".join(f"{count} {genre}" for genre, count in genres[:LISTED_GENRES])
    if len(genres) > LISTED_GENRES:
        listed += f" and {len(genres) - LISTED_GENRES} more genres"
    artists = Counter(row["artist_id"] for row in tracks)
    several = sum(count > 1 for count in artists.values())
    return f"Candidates: {listed}; {len(artists)} artists, {several} with two tracks or more"


def _counts(what, n_kept, kept, reasons):
    kinds = Counter(map(reason_kind, reasons))
    line = f"{what}: {n_kept + len(reasons)} in, {n_kept} {kept}, {len(reasons)} rejected"
    if kinds:
        line += f" ({', '.join(f'{count} {kind}' for kind, count in kinds.most_common())})"
    return line
