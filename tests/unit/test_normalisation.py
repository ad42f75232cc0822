"""Normalisation against scikit-learn and against ranks taken by hand."""

import numpy as np
from scipy.stats import norm
from sklearn.preprocessing import QuantileTransformer, StandardScaler

from agf.targets.normalisation import quantile_normalise, standard_scaling


def test_standard_scaling_equals_scikit_learn():
    vectors = np.random.default_rng(0).normal(3, [1, 5, 100], (400, 3))
    vectors[:, 1] = 7
    mean, scale = standard_scaling(vectors)
    expected = StandardScaler().fit(vectors)
    np.testing.assert_allclose(mean, expected.mean_, rtol=1e-6)
    np.testing.assert_allclose(scale, expected.scale_, rtol=1e-6)


def test_blocks_of_columns_equal_one_transform():
    """600 columns are three blocks."""
    matrix = np.random.default_rng(0).lognormal(size=(210, 600))
    normalised, quantiles = quantile_normalise(matrix, 1000)
    expected = QuantileTransformer(n_quantiles=210, output_distribution="normal", subsample=None)
    np.testing.assert_allclose(normalised, expected.fit_transform(matrix), rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(quantiles, expected.quantiles_)


def test_no_row_is_left_out_of_the_quantiles():
    """scikit-learn by default draws 10,000 rows."""
    matrix = np.random.default_rng(0).lognormal(size=(10_500, 1))
    _, quantiles = quantile_normalise(matrix, 101)
    np.testing.assert_allclose(quantiles, np.percentile(matrix, np.arange(101), axis=0), rtol=1e-12)


def test_ranks_by_hand():
    """Five tracks stand at the quantiles 0, 1/4, 1/2, 3/4 and 1 whatever their values."""
    normalised, _ = quantile_normalise(np.array([[1e18], [-2.0], [0.5], [3.0], [0.6]]), 1000)
    inner = norm.ppf([0.25, 0.5, 0.75])
    np.testing.assert_allclose(normalised[[2, 4, 3], 0], inner, atol=1e-6)
    assert normalised[0, 0] > 5
    assert normalised[1, 0] < -5
