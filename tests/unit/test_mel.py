"""Mel spectrograms against librosa."""

import librosa
import numpy as np
import pytest

from agf.features.mel import dequantise, mel_filterbank, mel_spectrogram_db, quantise

PAPER = {"sample_rate": 44100, "n_fft": 2048, "hop_length": 1024, "n_mels": 128, "top_db": 80.0}
HALF_RATE = PAPER | {"sample_rate": 22050, "n_fft": 1024, "hop_length": 512}


def music(sample_rate, seconds=5.0):
    """Notes with harmonics and decay, a drum, a fade-out and low noise."""
    rng = np.random.default_rng(0)
    t = np.arange(int(seconds * sample_rate)) / sample_rate
    y = 0.003 * rng.normal(size=len(t))
    for start, pitch in zip(np.arange(0, seconds, 0.4), rng.integers(40, 90, 20), strict=False):
        since = np.maximum(t - start, 0)
        tone = sum(
            np.sin(2 * np.pi * k * 440 * 2 ** ((pitch - 69) / 12) * since) / k for k in range(1, 9)
        )
        y += 0.1 * tone * np.exp(-5 * since)
        y += 0.2 * rng.normal(size=len(t)) * np.exp(-60 * since) * (since > 0)
    return (y * np.linspace(1, 0, len(t))).astype(np.float32)


def librosa_db(y, settings):
    power = librosa.feature.melspectrogram(
        y=y,
        sr=settings["sample_rate"],
        n_fft=settings["n_fft"],
        hop_length=settings["hop_length"],
        n_mels=settings["n_mels"],
    )
    return librosa.power_to_db(power, ref=1.0, amin=1e-10, top_db=settings["top_db"]).T


@pytest.mark.parametrize("sample_rate, n_fft, n_mels", [(44100, 2048, 128), (22050, 1024, 40)])
def test_filterbank_equals_librosa(sample_rate, n_fft, n_mels):
    expected = librosa.filters.mel(sr=sample_rate, n_fft=n_fft, n_mels=n_mels)
    filters = mel_filterbank(sample_rate, n_fft, n_mels)
    assert filters.dtype == np.float32
    np.testing.assert_allclose(filters, expected, rtol=0, atol=2e-7 * expected.max())


@pytest.mark.parametrize("settings", [PAPER, HALF_RATE, PAPER | {"n_mels": 50, "top_db": 60.0}])
def test_spectrogram_equals_librosa(settings):
    y = music(settings["sample_rate"])
    db, expected = mel_spectrogram_db(y, settings), librosa_db(y, settings)
    assert db.shape == expected.shape == (1 + len(y) // settings["hop_length"], settings["n_mels"])
    assert db.dtype == np.float32
    assert db.max() - db.min() == pytest.approx(settings["top_db"], abs=1e-4)
    assert np.abs(db - expected).max() < 1e-3


@pytest.mark.parametrize("hop_length", [160, 500, 2048])
def test_hops_of_other_lengths_than_half_a_window(hop_length):
    """Of the first block of frames, and the last, several reach beyond the signal's ends."""
    settings = PAPER | {"hop_length": hop_length}
    y = music(44100, 1.5)
    db, expected = mel_spectrogram_db(y, settings), librosa_db(y, settings)
    assert db.shape == expected.shape
    assert np.abs(db - expected).max() < 1e-3


def test_every_length_about_the_end_of_a_block(monkeypatch):
    monkeypatch.setattr("agf.features.mel.BLOCK_FRAMES", 4)
    y = music(44100, 0.3)
    for n_samples in range(7 * 1024 - 2, 8 * 1024 + 3, 205):
        piece = y[:n_samples]
        db, expected = mel_spectrogram_db(piece, PAPER), librosa_db(piece, PAPER)
        assert db.shape == expected.shape == (1 + n_samples // 1024, 128)
        assert np.abs(db - expected).max() < 1e-3


def test_bands_without_a_frequency_bin_are_at_the_floor():
    settings = PAPER | {"n_fft": 512, "hop_length": 256}
    y = music(44100, 1.0)
    empty = ~mel_filterbank(44100, 512, 128).any(axis=1)
    assert empty.any()
    db = mel_spectrogram_db(y, settings)
    assert (db[:, empty] == db.max() - np.float32(80)).all()
    with pytest.warns(UserWarning, match="Empty filters"):
        assert np.abs(db - librosa_db(y, settings)).max() < 1e-3


def test_signal_shorter_than_a_window():
    y = music(44100, 1.0)[:700]
    db = mel_spectrogram_db(y, PAPER)
    assert db.shape == (1, 128)
    with pytest.warns(UserWarning, match="too large for input signal"):
        assert np.abs(db - librosa_db(y, PAPER)).max() < 1e-3


def test_signal_is_left_as_it_was():
    y = music(44100, 1.0)
    copy = y.copy()
    mel_spectrogram_db(y, PAPER)
    np.testing.assert_array_equal(y, copy)


def test_full_scale_sine_has_the_level_of_its_window():
    # A sine on bin k of a Hann window of length N: power (N / 4)^2 there, a quarter beside it.
    bin_hz = 44100 / 2048
    y = np.sin(2 * np.pi * 100 * bin_hz * np.arange(44100) / 44100).astype(np.float32)
    filters = mel_filterbank(44100, 2048, 128).astype(float)
    power = (2048 / 4) ** 2 * (filters[:, 100] + filters[:, [99, 101]].sum(axis=1) / 4)
    middle = mel_spectrogram_db(y, PAPER)[20]
    heard = power > power.max() * 1e-3
    np.testing.assert_allclose(middle[heard], 10 * np.log10(power[heard]), atol=1e-3)


@pytest.mark.parametrize("top_db", [80.0, 60.0])
def test_quantisation_moves_no_value_by_more_than_half_a_step(top_db):
    db = mel_spectrogram_db(music(44100), PAPER | {"top_db": top_db})
    q, max_db = quantise(db, top_db)
    assert q.dtype == np.uint8 and q.shape == db.shape
    assert q.max() == 255 and q.min() == 0
    assert max_db == db.max()
    error = np.abs(dequantise(q, max_db, top_db) - db).max()
    assert error <= top_db / 510 + 1e-4
    assert 80 / 510 < 0.157


def test_dequantised_values_by_hand():
    db = dequantise(np.array([[0, 51, 255]], np.uint8), 20.0, 80.0)
    np.testing.assert_allclose(db, [[-60.0, -44.0, 20.0]], atol=1e-5)
    assert db.dtype == np.float32


def test_quantising_again_changes_nothing():
    q, max_db = quantise(mel_spectrogram_db(music(22050), HALF_RATE), 80.0)
    again, max_again = quantise(dequantise(q, max_db, 80.0), 80.0)
    np.testing.assert_array_equal(again, q)
    assert max_again == pytest.approx(max_db, abs=1e-4)
