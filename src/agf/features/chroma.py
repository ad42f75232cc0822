"""Chroma: how much of each pitch class sounds, by librosa."""

import librosa
import numpy as np


def chroma(samples, settings):
    """Return the chroma of a signal: for each frame the power of the twelve pitch classes.

    ``librosa.feature.chroma_stft`` for a tuning of A4 = 440 Hz; it would estimate the tuning of
    each track, in which a short excerpt and a pure drum track go wrong.

    Parameters
    ----------
    samples : numpy.ndarray, shape (n_samples,), float32
        Mono signal.
    settings : dict
        ``sample_rate`` (Hz), ``n_fft`` and ``hop_length`` (samples).

    Returns
    -------
    numpy.ndarray, shape (1 + n_samples // hop_length, 12), float32
        From C to B, 1 for the strongest of a frame. All 0 in digital silence.
    """
    return librosa.feature.chroma_stft(
        y=samples,
        sr=settings["sample_rate"],
        n_fft=settings["n_fft"],
        hop_length=settings["hop_length"],
        tuning=0.0,
    ).T.astype(np.float32)
