"""Progress of long work: lines in a job's log, one live line where it is run by hand."""

import logging
import sys
import time

from tqdm import tqdm

logger = logging.getLogger(__name__)


def progress(items, what, total=None, start=0, status=None, every=10.0):
    """Yield from `items` and tell how far the work is and when it is expected to end.

    A job's progress goes to its log. Without a log and on a terminal, that is by hand, it is one
    live line.

    Parameters
    ----------
    items : iterable
        The work.
    what : str
        Names the work, for example ``"mel 003-of-008"``.
    total : int, optional
        Number of items, those before `start` included; ``len(items)`` where that is known.
    start : int
        Items that an earlier run has done.
    status : callable, optional
        Returns a few words on the last item, after at least one is done.
    every : float
        Seconds between two lines in the log. The last line is always written.

    Yields
    ------
    object
        Each item of `items`.
    """
    total = start + len(items) if total is None else total
    by_hand = sys.stderr.isatty() and not logging.getLogger().hasHandlers()
    began = last = time.monotonic()
    with tqdm(desc=what, total=total, initial=start, disable=not by_hand) as line:
        for done, item in enumerate(items, start + 1):
            yield item
            if by_hand:
                if status:
                    line.set_postfix_str(status(), refresh=False)
                line.update()
                continue
            now = time.monotonic()
            if now - last < every and done != total:
                continue
            last = now
            rate = (done - start) / max(now - began, 1e-9)
            left = (total - done) / rate
            end = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(time.time() + left))
            notes = f", {status()}" if status else f", {rate:.1f}/s"
            logger.info("%s: %d of %d%s, expected end %s", what, done, total, notes, end)
