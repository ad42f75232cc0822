"""Progress of long work, as lines in the log."""

import logging
import time

logger = logging.getLogger(__name__)


def progress(items, what, total=None, every=10.0):
    """Yield from `items` and log how far the work is.

    Parameters
    ----------
    items : iterable
        The work.
    what : str
        Names the work in the log, for example ``"mel 003-of-008"``.
    total : int, optional
        Number of items; ``len(items)`` where that is known.
    every : float
        Seconds between two lines. The last line is always written.

    Yields
    ------
    object
        Each item of `items`.
    """
    total = len(items) if total is None else total
    start = last = time.monotonic()
    for done, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if now - last >= every or done == total:
            last = now
            rate = done / max(now - start, 1e-9)
            logger.info(
                "%s: %d of %d, %.1f/s, %.0f s left", what, done, total, rate, (total - done) / rate
            )
