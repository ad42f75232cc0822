"""Mel spectrograms in dB, and their eight-bit form on disk.

The same numbers as ``librosa.power_to_db(librosa.feature.melspectrogram(...))``, computed without
librosa so that a worker stays small.
"""

from functools import lru_cache

import numpy as np
import scipy.fft

AMIN = 1e-10
"""Power below which the logarithm is not taken (librosa's default)."""

BLOCK_FRAMES = 64
"""Frames transformed at a time: 64 of 2,048 samples with their spectra are 1 MB, which a core's
second-level cache holds."""

FRAMES_AT_A_TIME = 32 * BLOCK_FRAMES
"""Frames that :func:`mel_blocks` yields: 8 MB of samples at the paper's hop length."""

BANDS_PER_GROUP = 16
"""Neighbouring mel bands multiplied together; they share most of their frequency bins."""


def mel_filterbank(sample_rate, n_fft, n_mels):
    """Return triangular filters on Slaney's mel scale, each of unit area.

    Parameters
    ----------
    sample_rate : int
        Hz. The filters span 0 Hz to half of it.
    n_fft : int
        Length of the Fourier transform in samples.
    n_mels : int
        Number of bands.

    Returns
    -------
    numpy.ndarray, shape (n_mels, 1 + n_fft // 2), float32
        One filter per row.

    References
    ----------
    M. Slaney, Auditory Toolbox, Technical Report 1998-010, Interval Research, 1998.
    """
    frequencies = np.arange(1 + n_fft // 2) * (sample_rate / n_fft)
    edges = mel_edges(sample_rate, n_mels)
    lower, centre, upper = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising = (frequencies - lower) / (centre - lower)
    falling = (upper - frequencies) / (upper - centre)
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    return (triangles * (2.0 / (upper - lower))).astype(np.float32)


def mel_edges(sample_rate, n_mels):
    """Return where the filters of :func:`mel_filterbank` begin, peak and end.

    Returns
    -------
    numpy.ndarray, shape (n_mels + 2,), float64
        Hz: filter i begins at edge i, peaks at edge i + 1 and ends at edge i + 2.
    """
    return _mel_to_hz(np.linspace(0.0, _hz_to_mel(sample_rate / 2), n_mels + 2))


def mel_spectrogram_db(y, settings):
    """Return the mel spectrogram of a signal in dB.

    Periodic Hann window, frames centred on multiples of the hop with zeros beyond the ends, power
    spectrum, and everything below the maximum less `top_db` raised to it.

    Parameters
    ----------
    y : numpy.ndarray, shape (n_samples,), float32
        Mono signal.
    settings : dict
        ``sample_rate`` (Hz), ``n_fft`` and ``hop_length`` (samples), ``n_mels``, ``top_db`` (dB).

    Returns
    -------
    numpy.ndarray, shape (1 + n_samples // hop_length, n_mels), float32
        dB relative to a power of 1.
    """
    n_fft, n_mels = settings["n_fft"], settings["n_mels"]
    hop_length = settings["hop_length"]
    window, groups = _transform(settings["sample_rate"], n_fft, n_mels)
    db = np.empty((1 + len(y) // hop_length, n_mels), np.float32)
    # Used again for every block: to get memory from the system costs as much as to compute in it.
    windowed = np.empty((BLOCK_FRAMES, n_fft), np.float32)
    powers = np.empty((BLOCK_FRAMES, 1 + n_fft // 2), np.float32)
    for first in range(0, len(db), BLOCK_FRAMES):
        block = db[first : first + BLOCK_FRAMES]
        frames = _frames(y, first, len(block), n_fft, hop_length)
        np.multiply(frames, window, out=windowed[: len(block)])
        # scipy transforms several rows by one instruction, numpy one row at a time.
        parts = scipy.fft.rfft(windowed[: len(block)]).view(np.float32)
        np.square(parts, out=parts)
        power = np.add(parts[:, ::2], parts[:, 1::2], out=powers[: len(block)])
        for bands, bins, weights in groups:
            block[:, bands] = power[:, bins] @ weights
    np.maximum(db, np.float32(AMIN), out=db)
    np.log10(db, out=db)
    db *= 10
    return np.maximum(db, db.max() - np.float32(settings["top_db"]), out=db)


def mel_blocks(samples, settings):
    """Yield the frames of :func:`mel_spectrogram_db` block by block, before `top_db` cuts them off.

    The maximum that the cut refers to is known when the signal has ended. Memory does not grow with
    the signal, and every value has the bits that the whole signal's spectrogram has.

    Parameters
    ----------
    samples : iterable of numpy.ndarray, shape (n_samples,), float32
        The signal, piece by piece.
    settings : dict
        As in :func:`mel_spectrogram_db`.

    Yields
    ------
    numpy.ndarray, shape (n_frames, n_mels), float32
        dB relative to a power of 1.
    """
    hop_length, half = settings["hop_length"], settings["n_fft"] // 2
    uncut = {**settings, "top_db": np.inf}
    # Frames begin in whole blocks, because the last bit of a product depends on a row's place. As
    # many blocks again come before, whose samples the first frames reach into.
    before = BLOCK_FRAMES * -(-half // (BLOCK_FRAMES * hop_length))
    needed = (before + FRAMES_AT_A_TIME) * hop_length + half
    pieces, n_held, skip = [], 0, 0
    for piece in samples:
        pieces.append(piece)
        n_held += len(piece)
        while n_held >= needed:
            held = np.concatenate(pieces)
            stop = skip + FRAMES_AT_A_TIME
            yield mel_spectrogram_db(held[: stop * hop_length + half], uncut)[skip:stop]
            held = held[(stop - before) * hop_length :]
            pieces, n_held, skip = [held], len(held), before
    held = np.concatenate([*pieces, np.empty(0, np.float32)])
    yield mel_spectrogram_db(held, uncut)[skip:]


def quantise(db, top_db, max_db=None):
    """Code a dB spectrogram in one byte per value, 255 for its maximum.

    Parameters
    ----------
    db : numpy.ndarray, float32
        dB; what is below the maximum less `top_db` gets the code 0.
    top_db : float
        Range of the code in dB.
    max_db : numpy.float32, optional
        The maximum, where `db` is a part of a spectrogram.

    Returns
    -------
    q : numpy.ndarray of uint8, shape of `db`
        Codes; rounding moves no value by more than ``top_db / 510`` dB, 0.157 dB of 80.
    max_db : numpy.float32
        The maximum in dB.
    """
    max_db = np.float32(db.max() if max_db is None else max_db)
    codes = (db - (max_db - np.float32(top_db))) * np.float32(255 / top_db)
    return np.rint(codes).clip(0, 255).astype(np.uint8), max_db


def dequantise(q, max_db, top_db):
    """Return the float32 dB spectrogram behind `q`: ``max_db - top_db + q * top_db / 255``."""
    db = q * np.float32(top_db / 255)
    db += np.float32(max_db) - np.float32(top_db)
    return db


def _frames(y, first, n_frames, n_fft, hop_length):
    """Return frames from the `first` on, shape (n_frames, n_fft), zero beyond the signal's ends."""
    start = first * hop_length - n_fft // 2
    stop = start + (n_frames - 1) * hop_length + n_fft
    piece = y[max(0, start) : stop]
    if len(piece) < stop - start:
        before = max(0, -start)
        piece = np.pad(piece, (before, stop - start - before - len(piece)))
    return np.lib.stride_tricks.sliding_window_view(piece, n_fft)[::hop_length]


@lru_cache(maxsize=1)
def _transform(sample_rate, n_fft, n_mels):
    """Return the Hann window and the filterbank as dense pieces along its diagonal.

    A filter covers a few of the bins, so the matrix is cut into groups of neighbouring bands, each
    with only the bins it needs.
    """
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)).astype(np.float32)
    filters = mel_filterbank(sample_rate, n_fft, n_mels)
    groups = []
    for first in range(0, n_mels, BANDS_PER_GROUP):
        bands = slice(first, min(first + BANDS_PER_GROUP, n_mels))
        used = np.flatnonzero(filters[bands].any(axis=0))
        # A short transform leaves bands at the low end without a single bin; they stay zero.
        bins = slice(used[0], used[-1] + 1) if len(used) else slice(0, 0)
        groups.append((bands, bins, np.ascontiguousarray(filters[bands, bins].T)))
    return window, groups


_HZ_PER_MEL = 200 / 3
_LOG_FROM_HZ = 1000.0
_LOG_FROM_MEL = _LOG_FROM_HZ / _HZ_PER_MEL
_LOG_STEP = np.log(6.4) / 27


def _hz_to_mel(hz):
    if hz < _LOG_FROM_HZ:
        return hz / _HZ_PER_MEL
    return _LOG_FROM_MEL + np.log(hz / _LOG_FROM_HZ) / _LOG_STEP


def _mel_to_hz(mel):
    above = _LOG_FROM_HZ * np.exp(_LOG_STEP * (mel - _LOG_FROM_MEL))
    return np.where(mel < _LOG_FROM_MEL, mel * _HZ_PER_MEL, above)
