"""Mel-frequency cepstral coefficients of a dB mel spectrogram."""

from functools import lru_cache

import numpy as np


def mfcc_from_db(db, n_mfcc):
    """Return MFCCs: the orthonormal type-II cosine transform of each frame over its mel bands.

    Equals ``librosa.feature.mfcc(S=db.T, n_mfcc=n_mfcc).T``.

    Parameters
    ----------
    db : numpy.ndarray, shape (n_frames, n_mels), float32
        Mel spectrogram in dB.
    n_mfcc : int
        Number of coefficients, the zeroth (the level) included.

    Returns
    -------
    numpy.ndarray, shape (n_frames, n_mfcc), float32
    """
    return db @ _cosines(db.shape[1], n_mfcc)


def delta_mfcc(mfcc):
    """Return the difference of subsequent frames of one track.

    The paper's dMFCC, a plain first-order difference, not the smoothed slope that
    ``librosa.feature.delta`` fits.

    Parameters
    ----------
    mfcc : numpy.ndarray, shape (n_frames, n_mfcc)

    Returns
    -------
    numpy.ndarray, shape (n_frames - 1, n_mfcc)
    """
    return mfcc[1:] - mfcc[:-1]


@lru_cache(maxsize=1)
def _cosines(n_mels, n_mfcc):
    bands, orders = np.arange(n_mels)[:, None], np.arange(n_mfcc)[None, :]
    cosines = np.sqrt(2 / n_mels) * np.cos(np.pi * orders * (bands + 0.5) / n_mels)
    cosines[:, 0] = np.sqrt(1 / n_mels)
    return cosines.astype(np.float32)
