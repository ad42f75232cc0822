"""LDA, NMF and clusters on bags whose topics are known."""

import logging

import numpy as np
import pytest
from scipy.sparse import csr_array

from agf.targets.topics import cluster_artists, fit_groups, fit_nmf, fit_topics, rank_words


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


@pytest.mark.parametrize("method", ["lda", "nmf", "kmeans"])
def test_planted_groups_of_artists_are_found(method):
    """Three groups of twelve artists; eight words in ten are of the group's own vocabulary."""
    draw = np.random.default_rng(0)
    groups = np.arange(36) % 3
    words = np.full((3, 30), 0.2 / 20)
    for group in range(3):
        words[group, 10 * group : 10 * group + 10] = 0.8 / 10
    bags = np.array([draw.multinomial(draw.integers(100, 2000), words[g]) for g in groups])
    topics, components, quality = fit_groups(method, csr_array(bags.astype(float)), 3, 200, 0, "m")
    np.testing.assert_allclose(topics.sum(axis=1), 1, atol=1e-12)
    assert (topics >= 0).all()
    best = topics.argmax(axis=1)
    topic_of = best[:3]
    assert sorted(topic_of) == [0, 1, 2]
    assert (best == topic_of[groups]).all()
    if method == "kmeans":
        assert set(topics.ravel()) == {0.0, 1.0}
    # The ten words that weigh most in a topic are the group's own.
    top, _ = rank_words(components, 10)
    for group in range(3):
        assert set(top[topic_of[group]]) == set(range(10 * group, 10 * group + 10))
    name = {"lda": "perplexity", "nmf": "nmf_relative_error", "kmeans": "group_inertia"}[method]
    assert quality[name] > 0
    assert [value for value in quality.values() if value is not None] == [quality[name]]


def test_nmf_by_hand():
    """Artist 0 has words 0 and 1, artist 1 word 2, artist 2 a third of the first and the second."""
    bags = np.array([[3.0, 1, 0], [0, 0, 8], [1.5, 0.5, 1]])
    topics, components, error = fit_nmf(csr_array(bags), 2, 2000, seed=0, task="m")
    first = topics[0].argmax()
    np.testing.assert_allclose(topics[:, first], [1, 0, 2 / 3], atol=2e-3)
    np.testing.assert_allclose(components[first], [0.75, 0.25, 0], atol=2e-3)
    np.testing.assert_allclose(components[1 - first], [0, 0, 1], atol=2e-3)
    assert error < 2e-3


def test_relative_error_of_nmf_is_what_one_factor_leaves():
    """By Eckart and Young: the best matrix of rank 1 leaves the smaller singular values."""
    bags = np.random.default_rng(0).uniform(1, 3, (8, 5))
    singular = np.linalg.svd(bags, compute_uv=False)
    expected = np.sqrt((singular[1:] ** 2).sum() / (singular**2).sum())
    assert fit_nmf(csr_array(bags), 1, 500, 0, "m")[2] == pytest.approx(expected, rel=1e-3)


def test_artist_without_weight_in_any_factor_has_all_equally(caplog):
    """The factors go to the artists with words 0 and 1; none is left for the one with word 2."""
    bags = np.zeros((11, 3))
    bags[:5, 0] = 100
    bags[5:10, 1] = 50
    bags[10, 2] = 0.01
    with caplog.at_level(logging.WARNING):
        topics, _, _ = fit_nmf(csr_array(bags), 2, 500, seed=0, task="m")
    assert topics[10].tolist() == [0.5, 0.5]
    np.testing.assert_allclose(topics[:10].max(axis=1), 1, atol=1e-3)
    assert "no NMF factor has weight in 1 artists" in caplog.text


def test_distance_between_artists_is_that_of_relative_frequencies():
    """Artists 0 and 1 have the same frequencies, once a hundred times as often."""
    bags = csr_array(np.array([[1.0, 1, 0], [100, 100, 0], [0, 1, 1], [0, 90, 110]]))
    topics, components, inertia = cluster_artists(bags, 2, seed=0, task="m")
    clusters = topics.argmax(axis=1)
    assert clusters[0] == clusters[1] != clusters[2] == clusters[3]
    np.testing.assert_allclose(components[clusters[0]], [50.5, 50.5, 0])
    # Half the squared distance of artists 2 and 3; the cluster of 0 and 1 has none.
    half = ((np.sqrt([0.5, 0.5]) - np.sqrt([0.45, 0.55])) ** 2).sum() / 2
    assert inertia == pytest.approx(half)


@pytest.mark.parametrize("bags", [[[1.0, 2.0], [3.0, 0.0]], [[1.0, 2.0]] * 5])
@pytest.mark.parametrize("method", ["nmf", "kmeans"])
def test_other_methods_with_more_topics_than_artists(method, bags):
    topics, components, _ = fit_groups(method, csr_array(bags), 40, 5, 0, "s")
    assert topics.shape == (len(bags), 40)
    assert components.shape == (40, 2)
    np.testing.assert_allclose(topics.sum(axis=1), 1, atol=1e-12)
    assert np.isfinite(rank_words(components, 2)[1]).all()


def test_empty_groups_are_said(caplog):
    with caplog.at_level(logging.WARNING):
        cluster_artists(csr_array([[1.0, 2.0], [3.0, 0.0]]), 40, 0, "s")
    assert "40 groups asked for, but 2 artists fill 2" in caplog.text


@pytest.mark.parametrize("method", ["nmf", "kmeans"])
def test_other_methods_depend_on_the_seed_alone(method):
    bags = csr_array(np.random.default_rng(0).poisson(1.0, (40, 30)).astype(float))
    first, again, other = (fit_groups(method, bags, 35, 5, seed, "m")[0] for seed in (0, 0, 1))
    assert first.tobytes() == again.tobytes()
    assert not np.allclose(first, other)


def test_words_of_an_empty_topic_have_no_weight():
    words, weights = rank_words(np.array([[0.0, 0.0], [1.0, 3.0]]), 2)
    assert weights.tolist() == [[0, 0], [0.75, 0.25]]
    assert words.tolist() == [[0, 1], [1, 0]]
