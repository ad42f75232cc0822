"""Writing files so that a half-written one is never taken for whole."""

import glob
import json
import os
from contextlib import contextmanager
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.parquet as pq


@contextmanager
def replacing(path):
    """Yield a temporary path beside `path` that becomes `path` when the block ends well.

    Parameters
    ----------
    path : str or pathlib.Path
        The file to write; its folder is made where it is missing.

    Yields
    ------
    pathlib.Path
        Where to write. It is removed when the block raises.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_left_over(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield temporary
        os.replace(temporary, path)
    except Exception as error:
        # What runs out of disk while it writes does not know its file.
        error.add_note(f"while writing {path}")
        raise
    finally:
        temporary.unlink(missing_ok=True)


def _remove_left_over(path):
    """Remove what killed processes left beside `path`."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*"):
        number = left.name.rpartition(".")[2]
        if number.isdecimal() and not psutil.pid_exists(int(number)):
            left.unlink(missing_ok=True)


def write_parquet(table, path, **options):
    """Write an Arrow table, a pandas frame or a dict of columns as one Parquet file.

    Parameters
    ----------
    table : pyarrow.Table, pandas.DataFrame or dict of str to array
        What to write. The index of a frame is not written.
    path : str or pathlib.Path
        The Parquet file, replaced as a whole.
    **options
        Passed on to :func:`pyarrow.parquet.write_table`.
    """
    if isinstance(table, dict):
        table = pa.table(table)
    elif not isinstance(table, pa.Table):
        table = pa.Table.from_pandas(table, preserve_index=False)
    with replacing(path) as temporary:
        pq.write_table(table, temporary, **{"compression": "zstd", **options})


def write_json(value, path):
    """Write `value` as indented JSON with a closing newline; NaN and infinity are refused."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_text(text, path):
    """Write `text` as UTF-8, replaced as a whole."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
