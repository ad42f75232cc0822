"""Locks that end with the process that holds them, however it ends."""

import errno
import fcntl
import os
import socket
from contextlib import suppress
from pathlib import Path

from agf.errors import UserError

WITHOUT_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)
"""Errors of a file system without locks: there Snakemake's own lock of the folder has to do."""

RUN_LOCK = "logs/run.lock"
"""Below ``results/{corpus}``: held by the run that is at work there. The file stays."""


def try_lock(path):
    """Open a file, made where it is missing, and lock it.

    Parameters
    ----------
    path : str or pathlib.Path
        The file, in a folder that is there. Its content stays.

    Returns
    -------
    io.TextIOWrapper or None
        The open file, whose lock ends with it; None where another process holds the lock.
    """
    while True:
        file = open(path, "r+" if os.path.exists(path) else "a+", encoding="utf-8")  # noqa: SIM115
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return None
        except OSError as error:
            if error.errno not in WITHOUT_LOCKS:
                file.close()
                raise
            return file
        # Whoever held the lock a moment ago may have removed the file that was opened here.
        with suppress(FileNotFoundError):
            if os.path.samestat(os.stat(path), os.fstat(file.fileno())):
                return file
        file.close()


def hold_run(results):
    """Take the results of a corpus for the run of this process, until it ends.

    Snakemake's own lock is one for the whole folder, and the end of a run removes it, of whatever
    corpus: it cannot keep a second run of this corpus out.

    Parameters
    ----------
    results : str or pathlib.Path
        ``results/{corpus}``.

    Returns
    -------
    io.TextIOWrapper
        To be kept open as long as the run lasts.

    Raises
    ------
    UserError
        Where another run holds them.
    """
    path = Path(results, RUN_LOCK)
    path.parent.mkdir(parents=True, exist_ok=True)
    file = try_lock(path)
    if file is None:
        raise UserError(
            f"Another run is at work on {results} ({_holder(path)}): wait for it or end it, then "
            "run again."
        )
    file.seek(0)
    file.truncate()
    file.write(f"process {os.getpid()} on {socket.gethostname()}")
    file.flush()
    return file


def running(results):
    """Return which run is at work on the results of a corpus, None where there is none.

    Parameters
    ----------
    results : str or pathlib.Path
        ``results/{corpus}``.

    Returns
    -------
    str or None
        ``process 123 on HOST``.
    """
    path = Path(results, RUN_LOCK)
    with suppress(FileNotFoundError), open(path, encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _holder(path)
        except OSError as error:
            if error.errno not in WITHOUT_LOCKS:
                raise
    return None


def _holder(path):
    return path.read_text(encoding="utf-8") or "which has just begun"
