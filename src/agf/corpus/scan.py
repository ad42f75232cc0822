"""Finding the audio of every track, and dividing the tracks into shards."""

import hashlib
import logging
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from agf.corpus.audio_files import find_audio
from agf.corpus.fma import CLIP_SECONDS, audio_path, read_genres, read_tracks
from agf.corpus.folder import read_folder
from agf.corpus.manifest import (
    MANIFEST_SCHEMA,
    SCAN_SCHEMA,
    reason_kind,
    shard_name,
    shard_names,
)
from agf.errors import UserError
from agf.files import write_parquet
from agf.progress import progress

logger = logging.getLogger(__name__)

DIGEST_SCHEMA = pa.schema(
    [
        ("path", pa.string()),
        ("size", pa.int64()),
        ("mtime_ns", pa.int64()),
        ("sha256", pa.string()),
    ]
)

SHOWN = 3
"""Files or tracks named in a line of the log; the rest is counted."""


def audio_fingerprint(folder):
    """Return a hash of the name, size and modification time of every audio file below `folder`.

    It says whether a scan could find anything new; no file is opened.

    Raises
    ------
    UserError
        Where a folder cannot be read.
    """
    digest = hashlib.sha256()
    for file in find_audio(folder)[0]:
        line = f"{file.path}\0{file.size}\0{file.mtime_ns}\0"
        digest.update(line.encode(errors="surrogateescape"))
    return digest.hexdigest()


def scan_corpus(
    source, data_dir, audio_dir, subset, tags_file, duplicates, n_shards, out, cache, tag_cache
):
    """List every track with its audio file, or why it has to be left out.

    Parameters
    ----------
    source : str
        ``fma`` or ``demo``: the tracks are those of ``tracks.csv`` in FMA's layout. ``folder``:
        they are the files, and their tags say the rest (:mod:`agf.corpus.folder`).
    data_dir : str or pathlib.Path
        Folder with ``fma_metadata/`` and the audio folder, or with the tree of files.
    audio_dir : str
        Name of the audio folder below `data_dir`: ``000/000002.mp3`` and so on in FMA's layout.
    subset : str
        FMA's subset to take.
    tags_file : str, pathlib.Path or None
        CSV that replaces tags of a ``folder``.
    duplicates : str
        ``reject`` all but the first of byte-identical files, or ``keep`` them.
    n_shards : int
        Number of shards.
    out : str or pathlib.Path
        Folder for ``scan.parquet``, ``genres.parquet`` and ``shards/{shard}.parquet``.
    cache, tag_cache : str or pathlib.Path
        Parquet files that remember the sha256, and the tags, of files whose size and time have not
        changed.

    Raises
    ------
    UserError
        Where the metadata cannot be read, or not one track can be used.
    """
    data_dir, out = Path(data_dir), Path(out)
    folder = data_dir / audio_dir
    files, others = find_audio(folder)
    if source == "folder":
        tracks, genres = read_folder(folder, files, tags_file, tag_cache)
    else:
        tracks, genres = _read_fma(data_dir / "fma_metadata", folder, files, subset)
    left_out = ", ".join(f"{count} {suffix}" for suffix, count in others.most_common())
    if left_out:
        logger.info("scan: files that are no audio by their name: %s", left_out)
    digests = _sha256(folder, files, set(tracks.path[tracks.reason.isna()]), Path(cache))
    tracks["sha256"] = [digests.get(path) for path in tracks.path]
    tracks.loc[tracks.reason.isna() & tracks.sha256.isna(), "reason"] = "missing: not readable"
    # A clip is no longer than the dataset made it, whatever its track was. The duration of a
    # folder's files is their own header's word, which is no second opinion.
    expected = np.nan if source == "folder" else tracks.duration.clip(upper=CLIP_SECONDS)
    tracks["path"] = [os.path.normpath(f"{audio_dir}/{path}") for path in tracks.path]
    n_bytes_twice = _mark_duplicates(tracks, duplicates)

    candidates = tracks[tracks.reason.isna()]
    if candidates.empty:
        raise UserError(_nothing_usable(tracks, source, data_dir, folder))
    manifest = candidates[["track_id", "path", "sha256"]].assign(duration=expected)
    shard_of = np.array([shard_name(track, n_shards) for track in manifest.track_id])
    for shard in shard_names(n_shards):
        _write(manifest[shard_of == shard], MANIFEST_SCHEMA, out / "shards" / f"{shard}.parquet")
    _write(tracks, SCAN_SCHEMA, out / "scan.parquet")
    _write(genres, None, out / "genres.parquet")
    n_rejected = int(tracks.reason.notna().sum())
    assert len(tracks) == len(candidates) + n_rejected
    logger.info(
        "scan: %d tracks, %d candidates, %d rejected", len(tracks), len(candidates), n_rejected
    )
    for kind, count in tracks.reason.dropna().map(reason_kind).value_counts().items():
        logger.info("scan: %d rejected: %s", count, kind)
    if n_bytes_twice and duplicates == "keep":
        logger.info("scan: %d tracks have the same bytes as another one", n_bytes_twice)


def _read_fma(metadata, folder, files, subset):
    """Return the tracks and genres of FMA's metadata, with a reason where there is no audio."""
    genres = read_genres(metadata / "genres.csv")
    tracks = read_tracks(metadata / "tracks.csv", subset)
    tracks["path"] = [audio_path(track) for track in tracks.track_id]
    found = {file.path for file in files}
    tracks["reason"] = [
        _reason(row, row.path in found)
        for row in tracks[["artist_id", "artist", "genre_top", "path"]].itertuples()
    ]
    strangers = sorted(found - set(tracks.path))
    if strangers:
        logger.info(
            "scan: %d audio files have no row in the subset %s of %s, such as %s",
            len(strangers),
            subset,
            metadata / "tracks.csv",
            ", ".join(map(repr, strangers[:SHOWN])),
        )
    return tracks, genres


def _reason(track, has_audio):
    if pd.isna(track.artist_id) or track.artist is None:
        return "no artist"
    if track.genre_top is None:
        return "no genre"
    return None if has_audio else "missing: no such file"


def _mark_duplicates(tracks, duplicates):
    """Give a reason to the second and later tracks of the same bytes; return how many there are."""
    usable = tracks[tracks.reason.isna()].sort_values("track_id")
    first = usable.groupby("sha256", sort=False).track_id.transform("first")
    later = first[first != usable.track_id]
    if duplicates == "reject":
        tracks.loc[later.index, "reason"] = [f"duplicate of {track}" for track in later]
    return len(later)


def _nothing_usable(tracks, source, data_dir, folder):
    if tracks.empty:
        return f"{folder} has no mp3, ogg, opus, flac, wav or m4a file: check data_dir, audio_dir."
    counts = tracks.reason.map(reason_kind).value_counts()
    reasons = ", ".join(f"{count} {reason}" for reason, count in counts.items())
    hint = (
        "give them tags, or a tags_file"
        if source == "folder"
        else "every track needs an artist, a genre and an audio file; check data_dir and audio_dir"
    )
    return f"None of the {len(tracks)} tracks of {data_dir} can be used ({reasons}): {hint}."


def _write(frame, schema, path):
    columns = frame if schema is None else frame[schema.names]
    table = pa.Table.from_pandas(columns, schema=schema, preserve_index=False)
    write_parquet(table.replace_schema_metadata(), path)


def _sha256(folder, files, wanted, cache):
    """Return the sha256 of the `wanted` files by path, opening only those the cache lacks."""
    # Another folder may hold another file of the same name, size and date.
    place = os.path.abspath(folder)
    known = {}
    if cache.is_file():
        rows = pq.read_table(cache, schema=DIGEST_SCHEMA).to_pydict()
        keys = zip(rows["path"], rows["size"], rows["mtime_ns"], strict=True)
        known = dict(zip(keys, rows["sha256"], strict=True))
    rows, digests = [], {}
    for file in progress([file for file in files if file.path in wanted], "sha256"):
        row = (f"{place}/{file.path}", file.size, file.mtime_ns)
        digest = known.get(row)
        if digest is None:
            try:
                with open(folder / file.path, "rb") as stream:
                    digest = hashlib.file_digest(stream, "sha256").hexdigest()
            except OSError as error:
                logger.warning("scan: %s: %s", file.path, error.strerror)
                continue
        rows.append((*row, digest))
        digests[file.path] = digest
    columns = list(zip(*rows, strict=True)) or [()] * len(DIGEST_SCHEMA)
    write_parquet(pa.table(list(map(list, columns)), schema=DIGEST_SCHEMA), cache)
    return digests
