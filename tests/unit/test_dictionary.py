"""The dictionary against scikit-learn's K-means and against distances taken by hand."""

import logging

import faiss
import numpy as np
from sklearn.cluster import KMeans
from sklearn.datasets import make_blobs

from agf.targets.dictionary import assign_words, draw_frames, fit_dictionary, frames_per_track


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
