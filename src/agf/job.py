"""What every script of the workflow does around its one call: a log, and no traceback for users."""

import errno
import fcntl
import logging
import sys
from contextlib import contextmanager
from pathlib import Path

from agf.errors import UserError
from agf.lifeline import end_with_run


@contextmanager
def job(log):
    """Log to the file `log` while a job runs; end it with one sentence on a user's mistake.

    The job ends with the run that started it, see :func:`agf.lifeline.end_with_run`. Its log is
    locked while it runs, so that no second job makes the same files at the same time.

    Parameters
    ----------
    log : str or pathlib.Path
        The job's log file, written anew.

    Raises
    ------
    SystemExit
        With status 1 where the block raises :class:`agf.errors.UserError`; its message is in the
        log. Any other exception is a fault of the program: its traceback goes to the log. Where
        another job holds the log, the message goes to standard error.
    """
    end_with_run()
    with _open_locked(Path(log)) as file:
        logging.basicConfig(
            stream=file,
            level=logging.INFO,
            format="%(asctime)s %(message)s",
            datefmt="%H:%M:%S",
            force=True,
        )
        logging.captureWarnings(True)
        try:
            yield
        except UserError as error:
            logging.error("%s", error)
            sys.exit(1)
        except Exception:
            logging.exception("This is a fault of the program, not of its input:")
            sys.exit(1)


def _open_locked(log):
    """Open an empty log that no other job holds."""
    log.parent.mkdir(parents=True, exist_ok=True)
    # Not emptied before it is locked: it may be another job's.
    file = open(log, "a", encoding="utf-8")  # noqa: SIM115
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(
            f"{log} is held by another job that makes the same files, of another run in this "
            "folder or of one that was killed; wait for that job or end it, then run again.",
            file=sys.stderr,
        )
        sys.exit(1)
    except OSError as error:
        # A file system without locks: there Snakemake's own lock of the folder has to do.
        if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
            raise
    file.truncate(0)
    return file
