"""The lists of tracks that a scan writes: their columns, their shards, and kinds of reasons."""

import hashlib

import pyarrow as pa

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
        ("sha256", pa.string()),
        ("reason", pa.string()),
    ]
)

MANIFEST_SCHEMA = pa.schema(
    [
        ("track_id", pa.int64()),
        ("path", pa.string()),
        ("sha256", pa.string()),
        ("duration", pa.float64()),
    ]
)


def shard_names(n_shards):
    """Return the names of all shards: ``000-of-004`` ... ``003-of-004``."""
    return [f"{shard:03d}-of-{n_shards:03d}" for shard in range(n_shards)]


def shard_name(track_id, n_shards):
    """Return the shard of a track: fixed by a hash of its id, so that no other track moves it."""
    digest = hashlib.sha256(str(track_id).encode()).hexdigest()
    return f"{int(digest, 16) % n_shards:03d}-of-{n_shards:03d}"


def reason_kind(reason):
    """Return the kind of a reason: what stands before its details.

    ``truncated: 3.1 s of 30 s`` is ``truncated``, ``duplicate of 17`` is ``duplicate``.
    """
    kind = reason.partition(":")[0]
    return "duplicate" if kind.startswith("duplicate of ") else kind


def current_shards(folder):
    """Return the names of the latest scan's shards.

    Another number of shards leaves the files of an earlier scan behind.

    Parameters
    ----------
    folder : pathlib.Path
        ``corpus/shards``.
    """
    files = []
    for path in folder.glob("*-of-*.parquet"):
        try:
            files.append((path.stat().st_mtime_ns, path.stem))
        except FileNotFoundError:
            continue
    if not files:
        return []
    total = max(files)[1].partition("-of-")[2]
    return sorted(name for _, name in files if name.endswith(f"-of-{total}"))
