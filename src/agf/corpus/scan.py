"""Finding the audio of every track, and dividing the tracks into shards."""

import hashlib
import logging
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from agf.corpus.audio_files import AUDIO_SUFFIXES, find_audio, lost_file
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


def scan_corpus(settings, data_dir, audio_dir, tags_file, out, cache):
    """List every track with its audio file, or why it has to be left out.

    Parameters
    ----------
    settings : dict
        ``source``: with ``fma`` or ``demo`` the tracks are those of ``tracks.csv`` in FMA's layout;
        with ``folder`` they are the files, and their tags say the rest
        (:mod:`agf.corpus.folder`). ``subset``: FMA's subset to take. ``duplicates``: ``reject`` all
        but the first of byte-identical files, or ``keep`` them. ``min_genre_tracks``: tracks of a
        top genre that has fewer are rejected. ``shards``: their number.
    data_dir : str or pathlib.Path
        Folder with ``fma_metadata/`` and the audio folder, or with the tree of files.
    audio_dir : str
        Name of the audio folder below `data_dir`: ``000/000002.mp3`` and so on in FMA's layout.
    tags_file : str, pathlib.Path or None
        CSV that replaces tags of a ``folder``.
    out : str or pathlib.Path
        Folder for ``scan.parquet``, ``genres.parquet`` and ``shards/{shard}.parquet``.
    cache : str or pathlib.Path
        Folder that remembers the sha256, and the tags, of files whose size and time have not
        changed.

    Raises
    ------
    UserError
        Where the metadata cannot be read, the tracks that can be used are of one artist or one
        genre alone, most of the files scanned before are gone and the folder is another one, or a
        file goes out of reach meanwhile.
    """
    data_dir, out, cache = Path(data_dir), Path(out), Path(cache)
    folder = data_dir / audio_dir
    files, others = find_audio(folder)
    if settings["source"] == "folder":
        tracks, genres = read_folder(folder, files, tags_file, cache / "audio_tags.parquet")
        # Their duration is their own header's word, which is no second opinion.
        expected = np.nan
    else:
        metadata = data_dir / "fma_metadata"
        tracks, genres = _read_fma(metadata, folder, files, settings["subset"])
        # A clip is no longer than the dataset made it, whatever its track was.
        expected = tracks.duration.clip(upper=CLIP_SECONDS)
    left_out = ", ".join(f"{count} {suffix or 'none'}" for suffix, count in others.most_common())
    if left_out:
        logger.info("scan: files that are no audio by their ending: %s", left_out)
    wanted = set(tracks.path[tracks.reason.isna()])
    digests = _sha256(folder, files, wanted, cache / "audio_digests.parquet", out.parent)
    tracks["sha256"] = [digests.get(path) for path in tracks.path]
    tracks.loc[tracks.reason.isna() & tracks.sha256.isna(), "reason"] = "missing: not readable"
    tracks["path"] = [os.path.normpath(f"{audio_dir}/{path}") for path in tracks.path]
    n_twice = _mark_duplicates(tracks, settings["duplicates"])
    _mark_rare_genres(tracks, settings["min_genre_tracks"])

    candidates = tracks[tracks.reason.isna()]
    _check_candidates(candidates, tracks, settings["source"], folder)
    manifest = candidates[["track_id", "path", "sha256"]].assign(duration=expected)
    n_shards = settings["shards"]
    shard_of = np.array([shard_name(track, n_shards) for track in manifest.track_id])
    for shard in shard_names(n_shards):
        _write(manifest[shard_of == shard], MANIFEST_SCHEMA, out / "shards" / f"{shard}.parquet")
    _write(tracks, SCAN_SCHEMA, out / "scan.parquet")
    _write(genres, None, out / "genres.parquet")
    rejected = tracks[tracks.reason.notna()]
    assert len(tracks) == len(candidates) + len(rejected)
    logger.info(
        "scan: %d tracks, %d candidates, %d rejected", len(tracks), len(candidates), len(rejected)
    )
    for kind, count in rejected.reason.map(reason_kind).value_counts().items():
        logger.info("scan: %d rejected: %s", count, kind)
    if n_twice and settings["duplicates"] == "keep":
        logger.info("scan: %d tracks have the same bytes as another one", n_twice)


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
    no_genre = track.genre_top is None
    if pd.isna(track.artist_id) or track.artist is None:
        return "no artist: and no genre" if no_genre else "no artist"
    if no_genre:
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


def _mark_rare_genres(tracks, least):
    """Give a reason to the tracks of top genres that have fewer usable ones than `least`."""
    usable = tracks[tracks.reason.isna()]
    count = usable.groupby("genre_top").track_id.transform("size")
    tracks.loc[count.index[count < least], "reason"] = [
        f"rare genre: {n} of {genre!r}, {least} needed"
        for n, genre in zip(count, usable.genre_top, strict=True)
        if n < least
    ]


def _check_candidates(candidates, tracks, source, folder):
    if tracks.empty:
        endings = ", ".join(sorted(AUDIO_SUFFIXES))
        raise UserError(f"{folder} has no file that ends in {endings}: check data_dir, audio_dir.")
    if candidates.empty:
        counts = tracks.reason.map(reason_kind).value_counts()
        reasons = ", ".join(f"{count} {reason}" for reason, count in counts.items())
        if counts.index[0] == "rare genre":
            hint = "lower min_genre_tracks"
        elif source == "folder":
            hint = "give them tags, or a tags_file"
        else:
            hint = "each needs an artist, a genre and an audio file; check data_dir and audio_dir"
        raise UserError(
            f"None of the {len(tracks)} tracks of {folder} can be used ({reasons}): {hint}."
        )
    for column, what in (("artist", "artist"), ("genre_top", "top genre")):
        if candidates[column].nunique() == 1:
            raise UserError(
                f"The {len(candidates)} tracks of {folder} that can be used have one {what}, "
                f"{candidates[column].iloc[0]!r}: add music of others, or correct the metadata."
            )
    taken = sorted(set(candidates.genre_top) & {"track_id", "genre_top"})
    if taken:
        raise UserError(
            f"A top genre of {folder} is called {taken[0]!r}, which is a column of the "
            "predictions: rename it."
        )


def _write(frame, schema, path):
    columns = frame if schema is None else frame[schema.names]
    table = pa.Table.from_pandas(columns, schema=schema, preserve_index=False)
    write_parquet(table.replace_schema_metadata(), path)


def _sha256(folder, files, wanted, cache, results):
    """Return the sha256 of the `wanted` files by path, opening only those the cache lacks."""
    # Another folder may hold another file of the same name, size and date.
    place = f"{os.path.abspath(folder)}/"
    known = {}
    if cache.is_file():
        rows = pq.read_table(cache, schema=DIGEST_SCHEMA).to_pydict()
        keys = zip(rows["path"], rows["size"], rows["mtime_ns"], strict=True)
        known = dict(zip(keys, rows["sha256"], strict=True))
    rows, digests = [], {}
    for file in progress([file for file in files if file.path in wanted], "sha256"):
        row = (place + file.path, file.size, file.mtime_ns)
        digest = known.get(row)
        if digest is None:
            try:
                with open(folder / file.path, "rb") as stream:
                    digest = hashlib.file_digest(stream, "sha256").hexdigest()
            except PermissionError as error:
                logger.warning("scan: %s: %s", file.path, error.strerror)
                continue
            except OSError as error:
                raise lost_file(folder / file.path, error) from error
        rows.append((*row, digest))
        digests[file.path] = digest
    moved = known and not any(path.startswith(place) for path, _, _ in known)
    before = set(known.values())
    found = len(before & set(digests.values()))
    if moved and 2 * found < len(before):
        # The features of the other collection would be dropped, which may be days of work.
        raise UserError(
            f"{results} is of another folder, and {folder} has {found} of its {len(before)} files: "
            f"give corpus another name for another collection, or delete {results} to begin anew."
        )
    columns = list(zip(*rows, strict=True)) or [()] * len(DIGEST_SCHEMA)
    write_parquet(pa.table(list(map(list, columns)), schema=DIGEST_SCHEMA), cache)
    return digests
