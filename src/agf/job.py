"""What every script of the workflow does around its one call: a log, and no traceback for users."""

import logging
import sys
from contextlib import contextmanager
from pathlib import Path

from agf.errors import UserError


@contextmanager
def job(log):
    """Log to the file `log` while a job runs; end it with one sentence on a user's mistake.

    Parameters
    ----------
    log : str or pathlib.Path
        The job's log file, written anew.

    Raises
    ------
    SystemExit
        With status 1 where the block raises :class:`agf.errors.UserError`; its message is in the
        log. Any other exception is a fault of the program: its traceback goes to the log.
    """
    Path(log).parent.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(
        filename=log,
        filemode="w",
        encoding="utf-8",
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
