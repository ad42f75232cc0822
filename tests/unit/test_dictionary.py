"""Dictionaries against scikit-learn, on vectors whose words are known, and by hand."""

import logging

import faiss
import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.datasets import make_blobs
from sklearn.linear_model import orthogonal_mp
from sklearn.metrics import adjusted_rand_score

from agf.errors import UserError
from agf.targets.dictionary import (
    assign_words,
    code_sparsely,
    draw_frames,
    find_words,
    fit_dictionary,
    fit_mixture,
    frames_per_track,
    learn_dictionary,
    most_probable_components,
    most_vectors,
)


def test_inertia_is_close_to_scikit_learn():
    vectors, _ = make_blobs(3000, n_features=5, centers=30, random_state=0)
    centroids = fit_dictionary(vectors, 60, 25, seed=0, task="m")
    _, inertia = assign_words(vectors, centroids)
    expected = KMeans(60, init="random", n_init=3, max_iter=25, random_state=0).fit(vectors)
    assert inertia < 1.05 * expected.inertia_


def test_every_vector_counts():
    """One centroid is the mean of all vectors; of a subsample of 256 it would not be."""
    vectors = np.random.default_rng(0).normal(size=(5000, 3))
    centroids = fit_dictionary(vectors, 1, 5, seed=0, task="m")
    np.testing.assert_allclose(centroids[0], vectors.mean(axis=0), atol=1e-5)


def test_fewer_vectors_than_words_is_said(caplog):
    vectors = np.arange(12, dtype=float).reshape(4, 3)
    with caplog.at_level(logging.WARNING):
        centroids = fit_dictionary(vectors, 2048, 5, seed=0, task="e")
    np.testing.assert_array_equal(centroids, vectors)
    assert "2048 words asked for" in caplog.text
    assert "4 words used" in caplog.text


def test_few_vectors_for_each_word():
    vectors = np.random.default_rng(0).normal(size=(90, 4))
    assert fit_dictionary(vectors, 64, 5, seed=0, task="e").shape == (64, 4)


def test_dictionary_has_the_same_bytes_with_one_and_two_threads():
    vectors = np.random.default_rng(0).normal(size=(20_000, 25))
    threads = faiss.omp_get_max_threads()
    results = []
    for n_threads in (1, 2, 1):
        faiss.omp_set_num_threads(n_threads)
        results.append(fit_dictionary(vectors, 64, 5, seed=3, task="m").tobytes())
    faiss.omp_set_num_threads(threads)
    assert results[0] == results[1] == results[2]


def test_seed_and_task_change_the_initial_centroids():
    vectors = np.random.default_rng(0).normal(size=(500, 4))
    first = fit_dictionary(vectors, 32, 2, seed=0, task="m")
    assert not np.array_equal(first, fit_dictionary(vectors, 32, 2, seed=1, task="m"))
    assert not np.array_equal(first, fit_dictionary(vectors, 32, 2, seed=0, task="d"))


def test_nearest_word_by_hand():
    words, inertia = assign_words(
        np.array([[0.0, 1.0], [4.0, 0.0], [5.0, 2.0]]), np.array([[0.0, 0.0], [5.0, 0.0]])
    )
    assert words.tolist() == [0, 1, 1]
    assert inertia == 1.0 + 1.0 + 4.0


def test_frames_are_shared_out_evenly():
    shares = frames_per_track([2, 100, 100, 50], 32, seed=0, task="m")
    assert shares.tolist() == [2, 10, 10, 10]


def test_left_over_frames_go_to_tracks_that_have_more():
    shares = frames_per_track([2, 100, 100, 50], 34, seed=0, task="m")
    assert shares.sum() == 34
    assert shares[0] == 2
    assert sorted(shares[1:]) == [10, 11, 11]


def test_fewer_frames_to_draw_than_tracks():
    shares = frames_per_track(np.full(50, 9), 7, seed=0, task="m")
    assert shares.sum() == 7
    assert shares.max() == 1


def test_all_frames_where_there_are_too_few():
    assert frames_per_track([3, 0, 4], 100, seed=0, task="m").tolist() == [3, 0, 4]


def test_frames_are_drawn_once_each_and_in_order():
    frames = np.arange(1000.0)[:, None]
    drawn = draw_frames(frames, 200, seed=0, task="m", track_id=7)[:, 0]
    assert len(set(drawn)) == 200
    assert (np.diff(drawn) > 0).all()
    # Uniform over the track: the mean of 200 of 1000 frames has a standard error of 18.
    assert abs(drawn.mean() - 499.5) < 80
    assert not np.array_equal(drawn, draw_frames(frames, 200, seed=0, task="m", track_id=8)[:, 0])


@pytest.mark.parametrize("method", ["kmeans", "gmm"])
def test_separated_blobs_are_words(method):
    vectors, blobs = blobs_of_frames()
    dictionary = learn_dictionary(method, vectors, 4, 25, seed=0, task="m")
    rows, words, weights, inertia = find_words(method, vectors, dictionary)
    assert rows.tolist() == list(range(len(vectors)))
    assert (weights == 1).all()
    assert adjusted_rand_score(blobs, words) == 1
    means = np.stack([vectors[words == word].mean(axis=0) for word in range(4)])
    np.testing.assert_allclose(dictionary["centroids"], means, atol=1e-4)
    assert inertia == pytest.approx(((vectors - means[words]) ** 2).sum(), rel=1e-5)


def test_mixture_tells_a_narrow_component_from_a_wide_one_where_kmeans_cannot():
    """Both have the same mean; the narrow one has standard deviation 0.1, the wide one 10."""
    draw = np.random.default_rng(0)
    component = np.repeat([0, 1], 1000)
    vectors = draw.normal(0, np.array([0.1, 10.0])[component][:, None], (2000, 4))
    found = {}
    for method in ("kmeans", "gmm"):
        dictionary = learn_dictionary(method, vectors, 2, 100, seed=0, task="m")
        found[method] = find_words(method, vectors, dictionary)[1]
    assert adjusted_rand_score(component, found["gmm"]) > 0.98
    assert adjusted_rand_score(component, found["kmeans"]) < 0.2
    np.testing.assert_allclose(np.sort(dictionary["proportions"]), [0.5, 0.5], atol=0.02)
    added = 1e-3 * vectors.var(axis=0).mean()
    narrow = dictionary["variances"][dictionary["variances"].sum(axis=1).argmin()]
    np.testing.assert_allclose(narrow, 0.01 + added, rtol=0.2)


def test_mixture_by_hand():
    """At 2 the wide component is more probable, though the mean of the narrow one is nearer."""
    words, inertia = most_probable_components(
        np.array([[0.0], [2.0]]), np.array([[0.0], [5.0]]), np.array([[0.1], [9.0]]), [0.5, 0.5]
    )
    assert words.tolist() == [0, 1]
    assert inertia == 9.0


def test_mixture_in_many_dimensions_with_few_vectors_for_each_component():
    """A component of one vector has the variance that is added; nothing is infinite."""
    vectors = np.random.default_rng(0).normal(size=(30, 2000))
    dictionary = fit_mixture(vectors, 20, 10, seed=0, task="e")
    assert all(np.isfinite(tensor).all() for tensor in dictionary.values())
    assert dictionary["variances"].min() > 0.9e-3
    words, _ = most_probable_components(vectors, **dictionary)
    kmeans, _ = assign_words(vectors, fit_dictionary(vectors, 20, 10, seed=0, task="e"))
    assert words.tolist() == kmeans.tolist()


def test_mixture_of_equal_vectors():
    dictionary = fit_mixture(np.ones((10, 3)), 4, 5, seed=0, task="m")
    assert all(np.isfinite(tensor).all() for tensor in dictionary.values())


def test_mixture_of_one_vector():
    with pytest.raises(UserError, match="Task e has one vector"):
        fit_mixture(np.ones((1, 3)), 8, 5, seed=0, task="e")


def test_atoms_are_the_directions_of_which_vectors_are_made():
    """Every vector is one of six orthogonal directions, with either sign, and a little noise."""
    draw = np.random.default_rng(0)
    directions = np.linalg.qr(draw.normal(size=(6, 6)))[0]
    which = draw.integers(0, 6, 1200)
    sizes = draw.uniform(5, 10, 1200) * draw.choice([-1, 1], 1200)
    vectors = sizes[:, None] * directions[which] + draw.normal(0, 0.01, (1200, 6))
    dictionary = learn_dictionary("sparse_coding", vectors, 6, 25, seed=0, task="m")
    likeness = np.abs(dictionary["atoms"] @ directions.T)
    np.testing.assert_allclose(likeness.max(axis=0), 1, atol=0.01)
    assert sorted(likeness.argmax(axis=1)) == list(range(6))
    rows, words, weights, inertia = find_words("sparse_coding", vectors, dictionary)
    codes = np.zeros((1200, 6))
    codes[rows, words] = weights
    assert (likeness[codes.argmax(axis=1)].argmax(axis=1) == which).all()
    np.testing.assert_allclose(codes.max(axis=1), np.abs(sizes), atol=0.6)
    # Five of six orthogonal atoms leave at most what the sixth has.
    assert inertia < 1200 * 0.05


def test_codes_are_those_of_scikit_learn():
    draw = np.random.default_rng(0)
    atoms = draw.normal(size=(40, 12))
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    vectors = draw.normal(size=(30_000, 12))
    chosen, coefficients, residuals = code_sparsely(vectors, atoms, 3)
    # Blocks have 6,553 vectors: the first and the last are looked at.
    for some in (slice(100), slice(-100, None)):
        expected = orthogonal_mp(atoms.T, vectors[some].T, n_nonzero_coefs=3).T
        codes = np.zeros((100, 40))
        np.put_along_axis(codes, chosen[some], coefficients[some], axis=1)
        np.testing.assert_allclose(codes, expected, atol=1e-7)
        np.testing.assert_allclose(residuals[some], vectors[some] - expected @ atoms, atol=1e-7)


def test_vector_that_is_an_atom_has_one_word():
    dictionary = {"atoms": np.eye(7), "centre": np.ones(7)}
    rows, words, weights, inertia = find_words(
        "sparse_coding", np.array([[1, 1, -2, 1, 1, 1, 1.0], [1, 1, 1, 1, 1, 1, 1]]), dictionary
    )
    assert (rows.tolist(), words.tolist()) == ([0], [2])
    np.testing.assert_allclose(weights, [3], atol=1e-6)
    assert inertia < 1e-12


def test_atoms_do_not_tell_a_vector_from_its_mirror_image():
    vectors = np.random.default_rng(0).normal(size=(1, 7))
    dictionary = {"atoms": np.eye(7), "centre": np.zeros(7)}
    plus, minus = (find_words("sparse_coding", sign * vectors, dictionary) for sign in (1, -1))
    assert plus[1].tolist() == minus[1].tolist()
    assert plus[2].tolist() == minus[2].tolist()


@pytest.mark.parametrize("method", ["gmm", "sparse_coding"])
def test_fewer_vectors_than_words_is_said_by_other_methods(method, caplog):
    vectors = np.random.default_rng(0).normal(size=(4, 3))
    with caplog.at_level(logging.WARNING):
        dictionary = learn_dictionary(method, vectors, 2048, 5, seed=0, task="e")
    assert len(dictionary["atoms" if method == "sparse_coding" else "centroids"]) == 4
    assert "4 words used" in caplog.text
    rows, words, weights, _ = find_words(method, vectors, dictionary)
    assert set(rows.tolist()) == {0, 1, 2, 3}
    assert (weights > 0).all() and words.max() < 4


@pytest.mark.parametrize("method", ["gmm", "sparse_coding"])
def test_dictionary_depends_on_seed_and_task_alone(method):
    vectors = np.random.default_rng(0).normal(size=(600, 5))

    def learn(seed, task):
        dictionary = learn_dictionary(method, vectors, 16, 3, seed, task)
        return b"".join(tensor.tobytes() for tensor in dictionary.values())

    assert learn(0, "m") == learn(0, "m")
    assert len({learn(0, "m"), learn(1, "m"), learn(0, "d")}) == 3


def test_vectors_to_learn_from_are_bounded_for_all_but_kmeans():
    assert most_vectors("kmeans", 2048) is None
    for method in ("gmm", "sparse_coding"):
        assert most_vectors(method, 128) == 128 * 256
        assert most_vectors(method, 2048) == 65_536
        # As many descriptors as words would have to be, to be held as often.
        assert most_vectors(method, 2048, 4374) == 2**27 // 4374


def blobs_of_frames():
    return make_blobs(400, n_features=5, centers=20 * np.eye(4, 5), random_state=0)
