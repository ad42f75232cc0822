"""Genre labels turned into words."""

import numpy as np
import pytest

from agf.errors import UserError
from agf.targets.genre_counts import genre_words

GENRE_IDS = np.array([2, 12, 25, 89])


def test_each_label_is_a_word_of_its_track():
    rows, words = genre_words([5, 6, 7], [[12, 89], [], [2]], GENRE_IDS)
    assert rows.tolist() == [0, 0, 2]
    assert words.tolist() == [1, 3, 0]


def test_tracks_without_labels():
    rows, words = genre_words([5, 6], [None, []], GENRE_IDS)
    assert len(rows) == len(words) == 0


def test_unknown_genre_names_track_and_genre():
    with pytest.raises(UserError, match="Track 6 has the genre 13"):
        genre_words([5, 6], [[12], [2, 13]], GENRE_IDS)
