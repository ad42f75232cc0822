"""Artist bag-of-words counted by hand."""

import numpy as np

from agf.targets.bag_of_words import artists_with_words, count_per_track, count_words


def test_two_artists_and_three_words_by_hand():
    """Artist 0 has two tracks with words 0 0 2 and 2, artist 1 one track with words 1 1 1."""
    artists = np.array([0, 0, 1, 0, 1, 0, 1])
    words = np.array([0, 0, 1, 2, 1, 2, 1])
    counts = count_words(artists, words, np.ones(7), 2, 3)
    assert counts.toarray().tolist() == [[2, 0, 2], [0, 3, 0]]
    assert count_per_track(counts, [2, 1]).toarray().tolist() == [[1, 0, 1], [0, 3, 0]]


def test_unused_words_and_wordless_artists_keep_their_place():
    bags = count_per_track(count_words([0, 2], [3, 3], [1, 1], 4, 5), [1, 1, 1, 2])
    assert bags.shape == (4, 5)
    assert bags[:, [3]].toarray().ravel().tolist() == [1, 0, 1, 0]
    assert artists_with_words(bags).tolist() == [True, False, True, False]


def test_no_occurrence_at_all():
    assert count_words([], [], [], 2, 3).toarray().tolist() == [[0, 0, 0], [0, 0, 0]]


def test_weights_are_summed_up():
    counts = count_words([0, 0, 1], [2, 2, 0], [0.5, 0.25, 3.0], 2, 3)
    assert counts.toarray().tolist() == [[0, 0, 0.75], [3, 0, 0]]
