"""Tests and intervals against formulas by hand, scipy, baycomp, explicit resamples, simulation."""

import importlib
import json
from pathlib import Path

import numpy as np
import pytest
from baycomp import CorrelatedTTest
from scipy import integrate, special, stats

from agf.evaluation import metrics, statistics
from agf.keyed_random import generator

ROOT = Path(__file__).parents[2]
DIFFERENCES = np.array([0.02, -0.01, 0.03, 0.01, 0.0])
RATIO = 0.25


@pytest.fixture
def false_positives(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module("false_positives")


def test_corrected_t_by_hand():
    # Mean 0.01; squared deviations 1, 4, 4, 0, 1 of 1e-4: s^2 = 2.5e-4; error^2 = s^2 (1/5 + 1/4).
    error = np.sqrt(2.5e-4 * 0.45)
    quantile = 2.7764451051977987  # t with 4 degrees of freedom at 0.975, from a printed table
    test = statistics.corrected_t(DIFFERENCES, RATIO)
    assert test.mean == pytest.approx(0.01, abs=1e-15)
    assert test.low == pytest.approx(0.01 - quantile * error, abs=1e-12)
    assert test.high == pytest.approx(0.01 + quantile * error, abs=1e-12)
    # With 4 degrees of freedom the distribution function has a closed form.
    t = 0.01 / error
    x = t / np.sqrt(4 + t**2)
    assert test.p == pytest.approx(1 - 1.5 * (x - x**3 / 3), abs=1e-12)


def test_corrected_t_without_overlap_is_the_paired_t():
    a = np.random.default_rng(0).normal(size=(10, 7))
    b = np.random.default_rng(1).normal(size=(10, 7))
    expected = stats.ttest_rel(a, b)
    np.testing.assert_allclose(statistics.corrected_t(a - b, 0).p, expected.pvalue, atol=1e-12)


def test_interval_leaves_zero_out_exactly_where_p_is_below_five_per_cent():
    drawn = np.random.default_rng(0).normal(0.8, 1, size=(10, 500))
    test = statistics.corrected_t(drawn, 0.1)
    outside = (test.low > 0) | (test.high < 0)
    np.testing.assert_array_equal(outside, test.p < 0.05)
    assert 50 < outside.sum() < 450


def test_one_split_has_a_mean_and_nothing_else():
    test = statistics.corrected_t([0.03], RATIO)
    assert test.mean == 0.03
    assert np.isnan(test[1:]).all()
    assert np.isnan(statistics.rope_probabilities([0.03], RATIO, True)).all()
    assert np.isnan(statistics.detectable_difference([0.03], RATIO))


def test_two_splits_by_hand():
    # s^2 = 2e-4, error^2 = 2e-4 * 0.75; with one degree of freedom t is Cauchy's distribution.
    t = 0.02 / np.sqrt(1.5e-4)
    test = statistics.corrected_t([0.01, 0.03], RATIO)
    assert test.p == pytest.approx(1 - 2 * np.arctan(t) / np.pi, abs=1e-12)
    assert test.high - test.mean == pytest.approx(12.706204736174694 * np.sqrt(1.5e-4), abs=1e-10)


@pytest.mark.parametrize(("value", "p"), [(0.0, 1), (0.03125, 0), (-0.03125, 0)])
def test_equal_differences_give_a_point_and_no_warning(value, p):
    # Values that are exact in binary, so that the variance is exactly 0.
    test = statistics.corrected_t([value] * 3, RATIO)
    assert test == (value, value, value, p)
    assert statistics.detectable_difference([value] * 3, RATIO) == 0
    better, equal, worse = statistics.rope_probabilities([value] * 3, RATIO, True)
    assert (better, equal, worse) == (value < -0.005, value == 0, value > 0.005)


def test_no_difference_is_refused():
    with pytest.raises(ValueError, match="no differences"):
        statistics.corrected_t([], RATIO)


def test_rope_probabilities_are_baycomps_for_cross_validation():
    # Five folds: one is evaluated for four trained on.
    left, rope, right = CorrelatedTTest.probs(np.zeros(5), DIFFERENCES, rope=0.005)
    got = statistics.rope_probabilities(DIFFERENCES, 1 / 4, lower_is_better=False)
    assert got == pytest.approx((right, rope, left), abs=1e-12)


def test_better_is_lower_for_log_loss_and_higher_for_macro_f1():
    worse_loss = statistics.rope_probabilities(DIFFERENCES, RATIO, lower_is_better=True)
    better_f1 = statistics.rope_probabilities(DIFFERENCES, RATIO, lower_is_better=False)
    assert worse_loss == better_f1[::-1]
    assert better_f1[0] > 0.5 > better_f1[2]
    assert sum(better_f1) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("n_splits", [2, 3, 10, 100])
def test_detectable_difference_has_a_power_of_eighty_per_cent(n_splits):
    differences = np.random.default_rng(n_splits).normal(0, 0.02, n_splits)
    detectable = statistics.detectable_difference(differences, RATIO)
    error = differences.std(ddof=1) * np.sqrt(1 / n_splits + RATIO)
    shift, df = detectable / error, n_splits - 1
    critical = stats.t.ppf(0.975, df)

    def rejects(s):
        """Density of s / sigma times the chance that the mean is then beyond its threshold."""
        density = stats.chi.pdf(s * np.sqrt(df), df) * np.sqrt(df)
        beyond = special.ndtr(shift - critical * s) + special.ndtr(-shift - critical * s)
        return density * beyond

    power, _ = integrate.quad(rejects, 0, 10, points=[shift / critical, 1], limit=200)
    assert power == pytest.approx(0.8, abs=1e-6)
    promised = statistics.power_of_corrected_t(detectable, differences.std(ddof=1), n_splits, RATIO)
    assert promised == pytest.approx(0.8, abs=1e-9)


def test_power_at_no_difference_is_the_level():
    assert statistics.power_of_corrected_t(0, 1, 10, RATIO) == pytest.approx(0.05, abs=1e-6)


def test_holm_by_hand():
    # Sorted 0.01, 0.02, 0.04, 0.3 by 4, 3, 2, 1: 0.04, 0.06, 0.08, 0.3, NaN does not count.
    got = statistics.holm([0.3, 0.01, np.nan, 0.04, 0.02])
    np.testing.assert_allclose(got, [0.3, 0.04, np.nan, 0.08, 0.06], atol=1e-12)


def test_holm_keeps_the_order_and_stops_at_one():
    np.testing.assert_allclose(statistics.holm([0.02, 0.021, 0.9]), [0.06, 0.06, 0.9], atol=1e-12)
    np.testing.assert_allclose(statistics.holm([0.6, 0.7]), [1, 1])
    assert np.isnan(statistics.holm([np.nan])).all()


def predictions(n_tracks=200, n_genres=6, n_artists=30, seed=5):
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.full(n_genres, 0.3), n_tracks)
    probabilities[0] = np.eye(n_genres)[0]  # a sure one, which is clipped where it is wrong
    labels = rng.integers(0, n_genres - 1, n_tracks)
    labels[:3] = [1, 5, 5]  # the last genre is a rare one of two artists
    return probabilities, labels, rng.integers(0, n_artists, n_tracks), n_artists


def test_resampled_scores_are_those_of_the_resampled_tracks():
    probabilities, labels, artists, n_artists = predictions()
    sums = statistics.sum_by_artist(probabilities, labels, artists, n_artists)
    weights = statistics.draw_artists(n_artists, 50, np.random.default_rng(0))
    scores = statistics.resampled_scores(sums, weights)
    f1 = statistics.resampled_f1(sums, weights)
    for i, row in enumerate(weights):
        # Each artist's tracks as often as the artist was drawn.
        drawn = np.concatenate(
            [np.flatnonzero(artists == a) for a in np.repeat(np.arange(n_artists), row.astype(int))]
        )
        resample = probabilities[drawn], labels[drawn]
        for name in ("log_loss", "macro_f1", "accuracy"):
            expected = getattr(metrics, name)(*resample)
            assert scores[name][i] == pytest.approx(expected, abs=1e-12)
        np.testing.assert_allclose(f1[i], metrics.per_genre(*resample)[0], atol=1e-12)


def test_genre_that_a_resample_lacks_does_not_count_in_its_macro_f1():
    # Two artists: one has genre 0 and is right, the other genre 1 and is right.
    sums = statistics.sum_by_artist(np.eye(2), np.array([0, 1]), np.array([0, 1]), 2)
    weights = np.array([[2.0, 0.0]])
    assert np.isnan(statistics.resampled_f1(sums, weights)[0, 1])
    assert statistics.resampled_scores(sums, weights)["macro_f1"][0] == 1


def test_artists_are_drawn_as_often_as_there_are_artists():
    weights = statistics.draw_artists(40, 3000, np.random.default_rng(0))
    assert weights.shape == (3000, 40)
    assert (weights.sum(axis=1) == 40).all()
    # The number of times one artist is drawn is binomial: mean 1, variance 1 - 1/40.
    assert np.abs(weights.mean(axis=0) - 1).max() < 5 * np.sqrt(0.975 / 3000)
    assert weights.var(axis=0).mean() == pytest.approx(0.975, abs=0.03)


def test_bootstrap_of_the_mean_over_single_tracks_has_its_standard_error():
    rng = np.random.default_rng(1)
    p = rng.uniform(0.2, 0.9, 400)
    probabilities = np.column_stack([p, 1 - p])
    sums = statistics.sum_by_artist(probabilities, np.zeros(400, int), np.arange(400), 400)
    scores = statistics.resampled_scores(sums, statistics.draw_artists(400, 4000, rng))
    low, high = statistics.percentile_interval(scores["log_loss"])
    error = np.log(p).std() / np.sqrt(400)
    assert high - low == pytest.approx(2 * 1.96 * error, rel=0.06)


def test_bootstrap_is_wider_where_artists_repeat_themselves():
    # The same tracks as of 20 artists whose ten tracks are equally easy, and as of 200 artists.
    rng = np.random.default_rng(2)
    p = np.repeat(rng.uniform(0.2, 0.9, 20), 10)
    probabilities, labels = np.column_stack([p, 1 - p]), np.zeros(200, int)
    widths = []
    for artists, n in ((np.repeat(np.arange(20), 10), 20), (np.arange(200), 200)):
        sums = statistics.sum_by_artist(probabilities, labels, artists, n)
        weights = statistics.draw_artists(n, 2000, np.random.default_rng(3))
        losses = statistics.resampled_scores(sums, weights)["log_loss"]
        low, high = statistics.percentile_interval(losses)
        widths.append(high - low)
    assert widths[0] / widths[1] == pytest.approx(np.sqrt(10), rel=0.15)


def test_percentile_interval_leaves_nan_out():
    values = np.append(np.arange(1001.0), np.nan)
    assert statistics.percentile_interval(values) == pytest.approx((25, 975), abs=1e-9)
    assert np.isnan(statistics.percentile_interval(np.array([np.nan]))).all()


def test_pairs_that_share_networks_mislead_wilcoxon_and_not_the_corrected_t(false_positives):
    drawn = false_positives.simulate_differences(
        1500, 10, 0.01, false_positives.CORRELATION, generator(3, "test")
    )
    rates = false_positives.false_positives(drawn)
    # The standard error of a rate of 5 % is 0.006 here.
    assert rates["wilcoxon_over_pairs"] > 0.15
    assert rates["naive_t_of_mean"] > 0.12
    assert rates["corrected_t_of_mean"] < 0.075
    assert rates["corrected_t_of_pair"] < 0.06
    assert rates["any_of_26_without_holm"] > 0.4
    assert rates["any_of_26_with_holm"] < 0.075


def test_pairs_without_shared_networks_do_not_mislead_wilcoxon(false_positives):
    drawn = false_positives.simulate_differences(1500, 2, 0.0, 0.15, generator(4, "test"))
    rates = false_positives.false_positives(drawn)
    assert 0.03 < rates["wilcoxon_over_pairs"] < 0.07


def test_simulated_splits_correlate_as_asked(false_positives):
    first, second = false_positives.correlated_effects((20000,), 2.0, 0.3, 2, generator(1, "test"))
    assert np.corrcoef(first, second)[0, 1] == pytest.approx(0.3, abs=0.03)
    assert first.std() == pytest.approx(2, abs=0.04)


def test_corrected_t_has_the_power_that_detectable_promises(false_positives):
    found = false_positives.simulate_power(4000, 10, generator(5, "test"))
    assert [one["fraction"] for one in found["power"]] == [0.5, 1.0, 1.5]
    assert found["power"][1]["promised"] == pytest.approx(0.8, abs=1e-6)
    for one in found["power"]:
        assert one["simulated"] == pytest.approx(one["promised"], abs=0.03)


def test_the_page_shows_the_simulation_that_is_kept(false_positives):
    kept = ROOT / "benchmarks" / "results" / "false_positives.json"
    result = json.loads(kept.read_text(encoding="utf-8"))
    page = (ROOT / "docs" / "statistics.md").read_text(encoding="utf-8")
    for table in false_positives.render_tables(result).split("\n\n"):
        assert table in page, "copy the tables that benchmarks/false_positives.py prints"
    assert result["command"] in page
