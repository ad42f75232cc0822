"""Random draws that depend on a seed and a name only, never on the order of the work."""

import hashlib

import numpy as np


def random_key(seed, *names):
    """Return a 63-bit integer that is a function of `seed` and `names` alone.

    Parameters
    ----------
    seed : int
        The run's seed.
    *names : str or int
        What is drawn: a network, a purpose, an epoch.

    Returns
    -------
    int
        Between 0 and 2**63 - 1, fit for ``torch.manual_seed`` and numpy's generators.
    """
    text = "\x1f".join(str(part) for part in (seed, *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def generator(seed, *names):
    """Return numpy's counter-based Philox generator, keyed by `seed` and `names`."""
    return np.random.Generator(np.random.Philox(random_key(seed, *names)))


def seed_of_draw(seed, split):
    """Return the seed of all that is fitted in one draw of a split.

    Parameters
    ----------
    seed : int
        A seed of the run.
    split : str
        Name of the split, or of a folder that begins with it: ``random``, ``artist-2``,
        ``artist-2.gmm``.

    Returns
    -------
    int
        `seed` itself in the first draw, a fresh one in every other.
    """
    _, _, number = split.partition(".")[0].partition("-")
    return random_key(seed, "draw", number) if number else seed
