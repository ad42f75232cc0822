"""MFCC against librosa and scipy."""

import librosa
import numpy as np
import pytest
import scipy.fft

from agf.features.mfcc import delta_mfcc, mfcc_from_db


def spectrogram(n_frames=50, n_mels=128):
    return np.random.default_rng(0).uniform(-60, 20, (n_frames, n_mels)).astype(np.float32)


@pytest.mark.parametrize("n_mels, n_mfcc", [(128, 25), (128, 128), (40, 13)])
def test_equals_librosa_and_scipy(n_mels, n_mfcc):
    db = spectrogram(n_mels=n_mels)
    mfcc = mfcc_from_db(db, n_mfcc)
    assert mfcc.shape == (50, n_mfcc) and mfcc.dtype == np.float32
    np.testing.assert_allclose(mfcc, librosa.feature.mfcc(S=db.T, n_mfcc=n_mfcc).T, atol=2e-3)
    exact = scipy.fft.dct(db.astype(float), axis=1, norm="ortho")[:, :n_mfcc]
    np.testing.assert_allclose(mfcc, exact, atol=2e-3)


def test_flat_spectrum_has_only_the_zeroth_coefficient():
    mfcc = mfcc_from_db(np.full((1, 128), -20.0, np.float32), 25)
    assert mfcc[0, 0] == pytest.approx(-20 * np.sqrt(128), rel=1e-6)
    np.testing.assert_allclose(mfcc[0, 1:], 0, atol=1e-3)


def test_full_transform_keeps_the_energy():
    db = spectrogram()
    np.testing.assert_allclose(
        (mfcc_from_db(db, 128) ** 2).sum(axis=1), (db.astype(float) ** 2).sum(axis=1), rtol=1e-5
    )


def test_delta_is_the_difference_of_subsequent_frames():
    mfcc = np.array([[1.0, 10.0], [4.0, 8.0], [9.0, 8.5]], np.float32)
    np.testing.assert_array_equal(delta_mfcc(mfcc), [[3.0, -2.0], [5.0, 0.5]])
    assert delta_mfcc(mfcc[:1]).shape == (0, 2)
