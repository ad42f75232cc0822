"""Bringing feature dimensions to one scale before distances between vectors are taken.

Source: Kim, Won, Serra and Liem (WWW'18), section 3.2, for the quantile normalisation of Essentia
descriptors. Everything is fitted on the vectors it is applied to.
"""

import numpy as np
from sklearn.preprocessing import QuantileTransformer

_BLOCK = 256
"""Columns normalised at once: bounds the memory to a fraction of the matrix."""


def standard_scaling(vectors):
    """Mean and standard deviation of each dimension.

    Parameters
    ----------
    vectors : np.ndarray, shape (n_vectors, n_dimensions)
        Feature vectors.

    Returns
    -------
    mean, scale : np.ndarray of float32, shape (n_dimensions,)
        The scale of a dimension that never changes is 1.
    """
    mean = vectors.mean(axis=0, dtype=np.float64)
    scale = vectors.std(axis=0, dtype=np.float64)
    return mean.astype(np.float32), np.where(scale > 0, scale, 1.0).astype(np.float32)


def quantile_normalise(matrix, n_quantiles):
    """Give every descriptor a standard normal distribution over tracks.

    Parameters
    ----------
    matrix : np.ndarray of float64, shape (n_tracks, n_descriptors)
        Descriptors, all finite.
    n_quantiles : int
        Quantiles between which ranks are interpolated; as many as tracks where there are fewer.

    Returns
    -------
    normalised : np.ndarray of float32, shape (n_tracks, n_descriptors)
        Normal scores, within about +-5.2.
    quantiles : np.ndarray of float64, shape (min(n_quantiles, n_tracks), n_descriptors)
        The descriptors' quantiles at evenly spaced probabilities from 0 to 1.
    """
    n_tracks, n_descriptors = matrix.shape
    n_quantiles = min(n_quantiles, n_tracks)
    normalised = np.empty(matrix.shape, dtype=np.float32)
    quantiles = np.empty((n_quantiles, n_descriptors))
    for start in range(0, n_descriptors, _BLOCK):
        columns = slice(start, start + _BLOCK)
        # Without subsample=None scikit-learn draws 10,000 rows for the quantiles.
        transformer = QuantileTransformer(
            n_quantiles=n_quantiles, output_distribution="normal", subsample=None
        )
        normalised[:, columns] = transformer.fit_transform(matrix[:, columns])
        quantiles[:, columns] = transformer.quantiles_
    return normalised, quantiles
