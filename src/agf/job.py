"""What every script of the workflow does around its one call: a log, and no traceback for users."""

import faulthandler
import logging
import os
import sys
from contextlib import contextmanager, suppress
from pathlib import Path

from agf.errors import UserError
from agf.faults import describe_fault
from agf.lifeline import end_with_run
from agf.locks import try_lock


@contextmanager
def job(log):
    """Log to the file `log` while a job runs; end it with one sentence on a user's mistake.

    The job ends with the run that started it, see :func:`agf.lifeline.end_with_run`. A lock
    beside its log keeps a second job from making the same files at the same time.

    Parameters
    ----------
    log : str or pathlib.Path
        The job's log file, written anew.

    Raises
    ------
    SystemExit
        With status 1 where the block raises. The log has one sentence on a user's mistake
        (:class:`agf.errors.UserError`) or a fault of the machine (:mod:`agf.faults`); any other
        exception is a fault of the program, whose traceback it has. What the log cannot take, on a
        full disk or because another job holds it, goes to standard error.
    """
    end_with_run()
    with _open_locked(Path(log)) as file:
        handler = logging.StreamHandler(file)
        # Logging's own answer to a log that cannot be written is a traceback.
        handler.handleError = lambda record: print(handler.format(record), file=sys.stderr)
        logging.basicConfig(
            handlers=[handler],
            level=logging.INFO,
            format="%(asctime)s %(message)s",
            datefmt="%H:%M:%S",
            force=True,
        )
        logging.captureWarnings(True)
        # A mapped file that a disk or network drive no longer gives ends a process by a signal.
        faulthandler.enable(file)
        try:
            yield
        except UserError as error:
            logging.error("%s", error)
            sys.exit(1)
        except KeyboardInterrupt:
            logging.error("The job was interrupted.")
            sys.exit(130)
        except Exception as error:
            sentence = describe_fault(error)
            if sentence:
                logging.error("%s", sentence)
            else:
                logging.exception("This is a fault of the program, not of its input:")
            sys.exit(1)
        finally:
            faulthandler.disable()


@contextmanager
def _open_locked(log):
    """Yield an empty log, which no other job writes meanwhile."""
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        # Not the log itself: Snakemake removes it before it starts a job, and a lock goes with the
        # file, not with the name.
        lock = try_lock(log.with_name(f".{log.name}.lock"))
        if lock is None:
            print(
                f"{log} is held by another job that makes the same files, of another run in this "
                "folder or of one that was killed; wait for that job or end it, then run again.",
                file=sys.stderr,
            )
            sys.exit(1)
        # Names of files may hold bytes that are no UTF-8.
        file = open(log, "w", encoding="utf-8", errors="backslashreplace")  # noqa: SIM115
    except OSError as error:
        sentence = describe_fault(error, log)
        if sentence is None:
            raise
        print(sentence, file=sys.stderr)
        sys.exit(1)
    try:
        yield file
    finally:
        # What a full disk did not take has gone to standard error.
        with suppress(OSError):
            file.close()
        with suppress(OSError):
            os.unlink(lock.name)
        lock.close()
