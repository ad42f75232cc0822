"""Making one Parquet file per feature and shard, brought up to date track by track.

A track belongs to the same shard for ever, and its row carries a key of all that made it: the
audio, the settings and the code. A rerun computes the rows whose key is new, keeps the others
without opening their audio, and drops the rows of tracks that are gone.

A row also carries a digest of what came out. The key says whether a row has to be made again, the
digest whether what is made of it has: rows whose key changes often come out as they were.
"""

import hashlib
import heapq
import itertools
import json
import logging
import os
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from agf.corpus.audio_files import lost_file
from agf.errors import UserError
from agf.features.audio import AudioError
from agf.features.reading import open_shard, read_columns
from agf.files import replacing, write_parquet
from agf.progress import progress

logger = logging.getLogger(__name__)

ROW_GROUP = 64
"""Rows written at once: what a worker holds in memory, about 11 MB of 30 s spectrograms."""

MANIFEST_COLUMNS = ("track_id", "path", "sha256", "duration")

REJECTED_SCHEMA = pa.schema(
    {"track_id": pa.int64(), "key": pa.string(), "path": pa.string(), "reason": pa.string()}
)

BINARY_OPTIONS = {
    "compression": "none",
    "use_dictionary": False,
    "write_statistics": ["track_id"],
}
"""How shards of spectra are written.

Spectra are noise to a compressor and differ in every row: a dictionary, minima and maxima or zstd
would only cost time.
"""


def row_key(source, settings, code):
    """Return the key of a row: a hash of what it is made from, how, and by which code.

    Parameters
    ----------
    source : str or list
        What the row is made from, fit for JSON: the audio's sha256, with what else is known of it,
        or the digest of the row before.
    settings : dict
        Settings of the stage, fit for JSON; their order does not matter.
    code : str
        Hash of the stage's code.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    text = json.dumps([source, settings, code], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def content_digest(columns):
    """Return the digest of a row: a hash of its values, to the last bit.

    Parameters
    ----------
    columns : dict of str to bytes, int or float
        The row, without what identifies it; its order matters.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for value in columns.values():
        digest.update(value if isinstance(value, bytes) else np.float64(value).tobytes())
    return digest.hexdigest()


def update_shard(
    candidates, out, rejected, compute, schema, feature, row_group=ROW_GROUP, joined=1, **options
):
    """Bring the feature file of one shard up to date.

    Parameters
    ----------
    candidates : list of dict
        One per track that should be in `out`, with ``track_id``, ``key`` and ``path`` (as it stands
        in the rejection list), sorted by ``track_id``.
    out : str or pathlib.Path
        The feature file ``{shard}.parquet``; read where it exists, then replaced as a whole.
    rejected : str, pathlib.Path or None
        The list of tracks that `compute` refused; None where it refuses none.
    compute : callable
        Takes a candidate, returns its columns other than ``track_id``, ``key`` and ``digest`` as a
        dict, or raises :class:`~agf.features.audio.AudioError`. Called in order of ``track_id``.
    schema : pyarrow.Schema
        Columns of `out`, with ``track_id``, ``key`` and ``digest``.
    feature : str
        Names the work in the log.
    row_group : int
        Rows written at a time.
    joined : int
        Rows whose columns are put together as soon as there are so many: a column of one row takes
        about 1 kB, whatever is in it.
    **options
        Passed on to :class:`pyarrow.parquet.ParquetWriter`.

    Returns
    -------
    dict of str to int
        ``computed``, ``kept`` and ``rejected``, which sum to the number of candidates.

    Raises
    ------
    UserError
        If a file of an earlier run is no readable Parquet file.
    """
    shard = Path(out).name.removesuffix(".parquet")
    done = _earlier_rows(out, ["track_id", "key"])
    refused_before = _earlier_rows(rejected, REJECTED_SCHEMA.names) if rejected else {}

    keep, refused, todo = set(), [], []
    for row in candidates:
        identity = (row["track_id"], row["key"])
        if identity in done:
            keep.add(identity)
        elif identity in refused_before:
            # The file may have moved; its content, and so what is wrong with it, is the same.
            refused.append({**refused_before[identity], "path": row["path"]})
        else:
            todo.append(row)

    n_written = 0
    with (
        replacing(out) as temporary,
        pq.ParquetWriter(temporary, schema, **options) as writer,
    ):
        rows = heapq.merge(
            _kept_rows(out, keep),
            _computed_rows(todo, compute, schema, refused, f"{feature} {shard}"),
            key=lambda row: row["track_id"][0].as_py(),
        )
        while n_rows := _write_row_group(writer, itertools.islice(rows, row_group), joined):
            n_written += n_rows
    n_computed = n_written - len(keep)

    if rejected:
        refused.sort(key=lambda row: row["track_id"])
        rows = [_one_row(row, REJECTED_SCHEMA) for row in refused]
        write_parquet(
            pa.concat_tables([pa.Table.from_batches([], REJECTED_SCHEMA), *rows]), rejected
        )
    assert len(candidates) == len(keep) + n_computed + len(refused)
    logger.info(
        "shard %s %s: %d computed, %d kept, %d rejected",
        shard.partition("-of-")[0],
        feature,
        n_computed,
        len(keep),
        len(refused),
    )
    return {"computed": n_computed, "kept": len(keep), "rejected": len(refused)}


@contextmanager
def judging(path, sha256):
    """Let a refusal pass only if it is of the very file that was scanned.

    A drive that goes away, or gives wrong bytes, must not cost a track its place for good.

    Parameters
    ----------
    path : str or pathlib.Path
        The audio file that the block decodes.
    sha256 : str
        Of the file as it was scanned.

    Raises
    ------
    AudioError
        As the block.
    UserError
        If the block raises AudioError, and the file cannot be read or is another one by now.
    """
    try:
        yield
    except AudioError as error:
        if not os.path.isfile(path):
            raise lost_file(path, "no such file") from error
        try:
            with open(path, "rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as reason:
            raise lost_file(path, reason) from error
        if digest != sha256:
            raise UserError(
                f"{path} is not the file that was scanned ({error}): see that its drive works, "
                "then run snakemake --forcerun scan_corpus."
            ) from error
        raise


def read_candidates(manifest, settings, code, source=("sha256",)):
    """Return the rows of a shard's manifest with their keys, sorted by track.

    Parameters
    ----------
    manifest : str or pathlib.Path
        Parquet with ``track_id``, ``path``, ``sha256`` and ``duration``.
    settings : dict
        Settings of the stage.
    code : str
        Hash of the stage's code.
    source : sequence of str
        Columns of the manifest that a row of the stage depends on.

    Returns
    -------
    list of dict
        ``track_id``, ``key``, ``path``, ``sha256`` and ``duration`` (in seconds; None where it is
        not known).

    Raises
    ------
    UserError
        If the manifest cannot be read or names a track twice.
    """
    rows = read_columns(manifest, list(MANIFEST_COLUMNS)).sort_by("track_id").to_pylist()
    for row, following in itertools.pairwise(rows):
        if row["track_id"] == following["track_id"]:
            raise UserError(
                f"{manifest} names track {row['track_id']} twice; scan the corpus again"
            )
    return [
        {
            "track_id": row["track_id"],
            "key": row_key([row[column] for column in source], settings, code),
            "path": row["path"],
            "sha256": row["sha256"],
            "duration": row["duration"],
        }
        for row in rows
    ]


def _earlier_rows(path, columns):
    """Return rows of an earlier run by (track_id, key); none where there was no earlier run."""
    rows = read_columns(path, columns).to_pylist() if Path(path).exists() else []
    return {(row["track_id"], row["key"]): row for row in rows}


def _kept_rows(path, keep):
    """Yield one-row tables of the rows named in `keep`, as they lie in the file."""
    if not keep:
        return
    with open_shard(path) as file:
        for group in range(file.num_row_groups):
            table = file.read_row_group(group)
            ids, keys = table["track_id"].to_pylist(), table["key"].to_pylist()
            for i, identity in enumerate(zip(ids, keys, strict=True)):
                if identity in keep:
                    yield table.slice(i, 1)
            del table  # before the next group is read


def _computed_rows(todo, compute, schema, refused, what):
    """Yield one-row tables of the tracks that `compute` accepts; append the others to `refused`."""
    for candidate in progress(todo, what):
        try:
            columns = compute(candidate)
        except AudioError as error:
            refused.append({**candidate, "reason": str(error)})
            continue
        except Exception as error:
            error.add_note(f"while computing {what} of {candidate['path']}")
            raise
        identity = {"track_id": candidate["track_id"], "key": candidate["key"]}
        digest = content_digest(columns)
        yield _one_row({**identity, "digest": digest, **columns}, schema)


def _one_row(row, schema):
    """Return a table of one row over the values' own bytes.

    Arrow's converters of Python objects do the same, but import pandas: 40 MB in every worker.
    """
    return pa.Table.from_arrays([_one_value(row[f.name], f.type) for f in schema], schema=schema)


def _one_value(value, kind):
    if kind in (pa.string(), pa.large_binary()):
        data = value.encode() if isinstance(value, str) else value
        offsets = np.array([0, len(data)], np.int32 if kind == pa.string() else np.int64)
        buffers = [None, pa.py_buffer(offsets), pa.py_buffer(data)]
    else:
        buffers = [None, pa.py_buffer(np.array([value], kind.to_pandas_dtype()))]
    return pa.Array.from_buffers(kind, 1, buffers)


def _write_row_group(writer, rows, joined):
    # A function of its own, so that the rows of one group are freed before the next is read.
    tables, n_rows = [], 0
    while together := list(itertools.islice(rows, joined)):
        n_rows += len(together)
        # A row of its own stays a chunk of its own: pages end after whole rows, at the same rows
        # whether they were computed or kept, and no second copy of the group is made.
        tables.append(together[0] if joined == 1 else pa.concat_tables(together).combine_chunks())
    if tables:
        writer.write_table(pa.concat_tables(tables))
    return n_rows
