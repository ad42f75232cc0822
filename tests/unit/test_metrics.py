"""Scores against scikit-learn and against values computed by hand."""

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics

from agf.evaluation import metrics

# Three tracks, two genres: -ln(0.8), -ln(0.5), -ln(0.1).
BY_HAND = np.array([[0.8, 0.2], [0.5, 0.5], [0.9, 0.1]]), np.array([0, 1, 1])


def random_predictions(n_tracks=400, n_genres=16, seed=3):
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.full(n_genres, 0.3), n_tracks)
    return probabilities, rng.integers(0, n_genres, n_tracks)


def test_log_loss_by_hand():
    assert metrics.log_loss(*BY_HAND) == pytest.approx(-np.log(0.8 * 0.5 * 0.1) / 3, abs=1e-12)


def test_log_loss_is_sklearns():
    probabilities, labels = random_predictions()
    # scikit-learn clips at the machine's epsilon; above 1e-8 both are the same function.
    probabilities = 0.999 * probabilities + 0.001 / 16
    expected = sklearn.metrics.log_loss(labels, probabilities, labels=np.arange(16))
    assert metrics.log_loss(probabilities, labels) == pytest.approx(expected, abs=1e-12)


def test_log_loss_clips_a_sure_mistake_at_1e_minus_8():
    loss = metrics.log_loss(np.array([[1.0, 0.0]]), np.array([1]))
    assert loss == pytest.approx(8 * np.log(10), abs=1e-12)


def test_log_loss_of_sure_and_right_is_zero():
    assert metrics.log_loss(np.eye(3), np.arange(3)) == 0


@pytest.mark.parametrize("n_tracks", [5, 20, 400])
def test_macro_f1_is_sklearns_also_where_genres_do_not_occur(n_tracks):
    probabilities, labels = random_predictions(n_tracks)
    predicted = probabilities.argmax(axis=1)
    expected = sklearn.metrics.f1_score(labels, predicted, average="macro", zero_division=0)
    assert metrics.macro_f1(probabilities, labels) == pytest.approx(expected, abs=1e-12)


def test_accuracy_is_sklearns():
    probabilities, labels = random_predictions()
    expected = sklearn.metrics.accuracy_score(labels, probabilities.argmax(axis=1))
    assert metrics.accuracy(probabilities, labels) == pytest.approx(expected, abs=1e-12)


def test_per_genre_is_sklearns():
    probabilities, labels = random_predictions()
    f1, support = metrics.per_genre(probabilities, labels)
    _, _, expected_f1, expected_support = sklearn.metrics.precision_recall_fscore_support(
        labels, probabilities.argmax(axis=1), labels=np.arange(16), zero_division=0
    )
    np.testing.assert_allclose(f1, expected_f1, atol=1e-12)
    np.testing.assert_array_equal(support, expected_support)


def test_genre_that_occurs_nowhere_has_no_f1_and_does_not_count():
    probabilities = np.array([[0.7, 0.2, 0.1], [0.2, 0.7, 0.1]])
    f1, support = metrics.per_genre(probabilities, np.array([0, 1]))
    assert np.isnan(f1[2]) and support[2] == 0
    assert metrics.macro_f1(probabilities, np.array([0, 1])) == 1


@pytest.mark.parametrize(
    ("probabilities", "labels", "message"),
    [
        (np.zeros((0, 4)), np.zeros(0, int), "nothing to score"),
        (np.array([[np.nan, 1.0]]), np.array([0]), "NaN or infinity, first in row 0"),
        (np.array([0.4, 0.6]), np.array([0]), "shape"),
        (np.array([[0.4, 0.6]]), np.array([[0]]), "shape"),
        (np.array([[0.4, 0.6]]), np.array([0, 1]), "1 rows of probabilities but 2 labels"),
        (np.array([[0.4, 0.6]]), np.array([2]), "between 0 and 1"),
        (np.array([[0.4, 0.6]]), np.array([-1]), "between 0 and 1"),
        (np.array([[0.4, 0.6]]), np.array([0.0]), "integers"),
        (np.array([[0.4, 0.3]]), np.array([0]), "sum to 1"),
        (np.array([[-0.4, 1.4]]), np.array([0]), "between 0 and 1"),
    ],
)
@pytest.mark.parametrize(
    "score",
    [metrics.validate, metrics.log_loss, metrics.macro_f1, metrics.accuracy, metrics.per_genre],
)
def test_invalid_input_is_refused(score, probabilities, labels, message):
    with pytest.raises(ValueError, match=message):
        score(probabilities, labels)


def prediction_frame():
    return pd.DataFrame(
        {
            "track_id": [2, 5, 10],
            "genre_top": ["Rock", "Folk", "Folk"],
            "Rock": [0.8, 0.5, 0.9],
            "Folk": [0.2, 0.5, 0.1],
            "Spoken": [0.0, 0.0, 0.0],
        }
    )


def test_evaluate_predictions_by_hand():
    # Predicted: Rock, Rock (the first of equals), Rock. Rock: TP 1, FP 2. Folk: FN 2.
    assert metrics.evaluate_predictions(prediction_frame()) == {
        "log_loss": pytest.approx(-np.log(0.8 * 0.5 * 0.1) / 3, abs=1e-12),
        "macro_f1": pytest.approx((2 * 1 / (2 * 1 + 2) + 0) / 2, abs=1e-12),
        "accuracy": pytest.approx(1 / 3, abs=1e-12),
        "n_tracks": 3,
        "f1": {"Rock": 0.5, "Folk": 0.0, "Spoken": None},
        "support": {"Rock": 1, "Folk": 2, "Spoken": 0},
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"genre_top": ["Rock", "Folk", "Polka"]}, "no probability column for genre 'Polka'"),
        ({"genre_top": ["Rock", "Folk", None]}, "no probability column for genre 'null'"),
        ({"track_id": [2, 5, 5]}, "track 5 more than once"),
        ({"Rock": [0.8, np.nan, 0.9]}, "first in row 1"),
    ],
)
def test_evaluate_predictions_refuses(change, message):
    with pytest.raises(ValueError, match=message):
        metrics.evaluate_predictions(prediction_frame().assign(**change))


def test_evaluate_predictions_names_a_missing_column():
    with pytest.raises(ValueError, match="no column 'genre_top'"):
        metrics.evaluate_predictions(prediction_frame().drop(columns="genre_top"))
