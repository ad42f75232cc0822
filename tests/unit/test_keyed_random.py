"""Draws are functions of seed and name."""

import numpy as np

from agf.keyed_random import generator, random_key


def test_keys_depend_on_seed_names_and_their_borders():
    keys = [
        random_key(*parts)
        for parts in [(0,), (1,), (0, "a"), (0, "a", "b"), (0, "ab"), (0, "b", "a"), (0, "a", 1)]
    ]
    assert len(set(keys)) == len(keys)
    assert all(0 <= key < 2**63 for key in keys)


def test_draws_do_not_depend_on_the_order_of_work():
    first = [generator(3, name).random(4) for name in ("x", "y")]
    second = [generator(3, name).random(4) for name in ("y", "x")]
    assert np.array_equal(first[0], second[1]) and np.array_equal(first[1], second[0])
    assert not np.array_equal(first[0], first[1])
