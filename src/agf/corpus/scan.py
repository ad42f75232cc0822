"""Finding the audio of every track the metadata names, and dividing the tracks into shards."""

import hashlib
import logging
import os
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from agf.corpus.fma import audio_path, read_genres, read_tracks
from agf.errors import UserError
from agf.files import write_parquet
from agf.progress import progress

logger = logging.getLogger(__name__)

SCAN_SCHEMA = pa.schema(
    [
        ("track_id", pa.int64()),
        ("path", pa.string()),
        ("artist_id", pa.int64()),
        ("artist", pa.string()),
        ("album_id", pa.int64()),
        ("album", pa.string()),
        ("title", pa.string()),
        ("genre_top", pa.string()),
        ("genres", pa.list_(pa.int64())),
        ("duration", pa.float64()),
        ("subset", pa.string()),
        ("official_split", pa.string()),
        ("reason", pa.string()),
    ]
)

MANIFEST_SCHEMA = pa.schema(
    [("track_id", pa.int64()), ("path", pa.string()), ("sha256", pa.string())]
)

DIGEST_SCHEMA = pa.schema(
    [
        ("path", pa.string()),
        ("size", pa.int64()),
        ("mtime_ns", pa.int64()),
        ("sha256", pa.string()),
    ]
)


def shard_names(n_shards):
    """Return the names of all shards: ``000-of-004`` ... ``003-of-004``."""
    return [f"{shard:03d}-of-{n_shards:03d}" for shard in range(n_shards)]


def shard_name(track_id, n_shards):
    """Return the shard of a track: fixed by a hash of its id, so that no other track moves it."""
    digest = hashlib.sha256(str(track_id).encode()).hexdigest()
    return f"{int(digest, 16) % n_shards:03d}-of-{n_shards:03d}"


def audio_fingerprint(folder):
    """Return a hash of the name, size and modification time of every mp3 file below `folder`.

    It says whether a scan could find anything new; no file is opened.
    """
    digest = hashlib.sha256()
    for path, size, mtime_ns in _audio_files(Path(folder)):
        digest.update(f"{path}\t{size}\t{mtime_ns}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def scan_corpus(data_dir, audio_dir, subset, n_shards, out, cache):
    """List every track of the metadata with its audio file, or why it has to be left out.

    Parameters
    ----------
    data_dir : str or pathlib.Path
        Folder with ``fma_metadata/tracks.csv`` and ``fma_metadata/genres.csv``.
    audio_dir : str
        Name of the folder below `data_dir` that holds ``000/000002.mp3``.
    subset : str
        FMA's subset to take.
    n_shards : int
        Number of shards.
    out : str or pathlib.Path
        Folder for ``scan.parquet``, ``genres.parquet`` and ``shards/{shard}.parquet``.
    cache : str or pathlib.Path
        Parquet file that remembers the sha256 of files whose size and time have not changed.

    Raises
    ------
    UserError
        Where the metadata cannot be read, or not one track has audio.
    """
    data_dir, out = Path(data_dir), Path(out)
    metadata = data_dir / "fma_metadata"
    genres = read_genres(metadata / "genres.csv")
    tracks = read_tracks(metadata / "tracks.csv", subset)
    found = {path: (size, mtime) for path, size, mtime in _audio_files(data_dir / audio_dir)}
    below = [audio_path(track) for track in tracks.track_id]
    tracks["path"] = [f"{audio_dir}/{path}" for path in below]
    tracks["reason"] = [
        _reason(row, path in found) for row, path in zip(tracks.itertuples(), below, strict=True)
    ]
    strangers = len(found.keys() - set(below))
    if strangers:
        logger.info(
            "%d audio files have no row in the subset %s of %s",
            strangers,
            subset,
            metadata / "tracks.csv",
        )
    candidates = tracks[tracks.reason.isna()]
    if candidates.empty:
        raise UserError(
            f"None of the {len(tracks)} tracks of {metadata / 'tracks.csv'} has an artist, a genre "
            f"and an audio file below {data_dir / audio_dir}: check data_dir and audio_dir."
        )
    digests = _sha256(data_dir / audio_dir, candidates.path, audio_dir, found, Path(cache))
    manifest = pd.DataFrame(
        {"track_id": candidates.track_id, "path": candidates.path, "sha256": digests}
    )
    shard_of = pd.Series(
        [shard_name(track, n_shards) for track in manifest.track_id], index=manifest.index
    )
    for shard in shard_names(n_shards):
        rows = pa.Table.from_pandas(
            manifest[shard_of == shard], schema=MANIFEST_SCHEMA, preserve_index=False
        )
        write_parquet(rows.replace_schema_metadata(), out / "shards" / f"{shard}.parquet")
    scan = pa.Table.from_pandas(tracks, schema=SCAN_SCHEMA, preserve_index=False)
    write_parquet(scan.replace_schema_metadata(), out / "scan.parquet")
    write_parquet(
        pa.Table.from_pandas(genres, preserve_index=False).replace_schema_metadata(),
        out / "genres.parquet",
    )
    logger.info("scan: %d tracks, %d candidates", len(tracks), len(candidates))
    for reason, count in tracks.reason.dropna().value_counts().items():
        logger.info("scan: %d rejected: %s", count, reason)


def _reason(track, has_audio):
    if pd.isna(track.artist_id) or track.artist is None:
        return "no artist"
    if track.genre_top is None:
        return "no genre"
    return None if has_audio else "missing"


def _audio_files(folder):
    """Yield (path below `folder`, size in bytes, mtime in ns) of every mp3 file, sorted."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise UserError(f"The audio folder {folder} cannot be read: {error.strerror}.") from error
    for entry in entries:
        if entry.is_dir():
            for file in sorted(os.scandir(entry.path), key=lambda file: file.name):
                if file.name.endswith(".mp3") and file.is_file():
                    status = file.stat()
                    yield f"{entry.name}/{file.name}", status.st_size, status.st_mtime_ns


def _sha256(folder, paths, audio_dir, found, cache):
    known = {}
    if cache.is_file():
        rows = pq.read_table(cache, schema=DIGEST_SCHEMA).to_pylist()
        known = {(row["path"], row["size"], row["mtime_ns"]): row["sha256"] for row in rows}
    digests = {}
    for path in progress(list(paths), "sha256"):
        below = path.removeprefix(f"{audio_dir}/")
        entry = (path, *found[below])
        if entry not in known:
            with open(folder / below, "rb") as file:
                known[entry] = hashlib.file_digest(file, "sha256").hexdigest()
        digests[entry] = known[entry]
    rows = [dict(zip(DIGEST_SCHEMA.names, (*e, d), strict=True)) for e, d in digests.items()]
    write_parquet(pa.Table.from_pylist(rows, schema=DIGEST_SCHEMA), cache)
    return list(digests.values())
