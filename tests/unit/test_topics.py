"""LDA on bags whose topics are known."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from agf.targets.topics import fit_topics, rank_words


def test_disjoint_vocabularies_are_two_topics():
    """Artists 0-9 use words 0-4 only, artists 10-19 words 5-9 only."""
    draw = np.random.default_rng(0)
    bags = np.zeros((20, 10))
    bags[:10, :5] = draw.integers(5, 30, (10, 5))
    bags[10:, 5:] = draw.integers(5, 30, (10, 5))
    topics, components, perplexity = fit_topics(csr_array(bags), 2, 30, seed=0, task="m")
    np.testing.assert_allclose(topics.sum(axis=1), 1, atol=1e-12)
    first = topics[0].argmax()
    assert (topics[:10, first] > 0.95).all()
    assert (topics[10:, 1 - first] > 0.95).all()
    # A topic's word probabilities are the relative frequencies in its artists' bags.
    frequencies = bags[:10].sum(axis=0) / bags[:10].sum()
    np.testing.assert_allclose(components[first] / components[first].sum(), frequencies, atol=0.01)
    # Five words, near equally frequent, for every artist.
    assert 4.5 < perplexity < 6


def test_one_topic_by_hand():
    """With one topic every artist has it, and the pseudo-counts are the counts plus the prior 1."""
    bags = csr_array(np.array([[2.0, 0.0, 1.0], [1.0, 3.0, 0.0]]))
    topics, components, _ = fit_topics(bags, 1, 5, seed=0, task="m")
    np.testing.assert_allclose(topics, [[1.0], [1.0]])
    np.testing.assert_allclose(components, [[4.0, 4.0, 2.0]])


def test_more_topics_than_artists_still_sum_to_one():
    topics, components, _ = fit_topics(csr_array([[1.0, 2.0], [3.0, 0.0]]), 40, 5, 0, "s")
    assert topics.shape == (2, 40)
    assert components.shape == (40, 2)
    np.testing.assert_allclose(topics.sum(axis=1), 1, atol=1e-12)


def test_topics_depend_on_the_seed_alone():
    bags = csr_array(np.random.default_rng(0).poisson(1.0, (12, 30)).astype(float))
    first, again, other = (fit_topics(bags, 4, 5, seed, "m")[0] for seed in (0, 0, 1))
    assert first.tobytes() == again.tobytes()
    assert not np.allclose(first, other)


def test_words_ranked_by_probability():
    words, weights = rank_words(np.array([[1.0, 6.0, 3.0], [2.0, 2.0, 0.0]]), 2)
    assert words.tolist() == [[1, 2], [0, 1]]
    np.testing.assert_allclose(weights, [[0.6, 0.3], [0.5, 0.5]])


def test_more_ranks_than_words():
    assert rank_words(np.array([[1.0, 3.0]]), 10)[0].tolist() == [[1, 0]]


@pytest.mark.parametrize("task", ["m", "s"])
def test_random_start_is_named_after_the_task(task):
    bags = csr_array(np.random.default_rng(0).poisson(1.0, (12, 30)).astype(float))
    assert not np.allclose(fit_topics(bags, 4, 5, 0, task)[0], fit_topics(bags, 4, 5, 0, "d")[0])
