"""Spectrograms of long files, piece by piece, against those of the whole."""

import tracemalloc

import numpy as np
import pytest
import soundfile

from agf.features.audio import AudioError, decode, decode_blocks
from agf.features.mel import dequantise, mel_blocks, mel_spectrogram_db, quantise
from agf.predict.model import Model
from agf.predict.spectrogram import open_spectrogram
from agf.predict.track import predict_file

RATE = 22050
SETTINGS = {"sample_rate": RATE, "n_fft": 2048, "hop_length": 512, "n_mels": 64, "top_db": 80.0}
CONFIG = {
    "genres": ["a", "b"],
    "spectrogram": SETTINGS,
    "window": {"frames": 43, "hop_frames": 21},
    "excerpt": {"max_duration": 30, "offset": "middle"},
}


def signal(n, channels=1):
    """Noise that swells: the loudest frame comes near the end."""
    rng = np.random.default_rng(n)
    return (rng.normal(size=(n, channels)) * np.linspace(1e-4, 0.2, n)[:, None]).astype(np.float32)


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of 128 frames and a temporary file from the first byte on."""
    monkeypatch.setattr("agf.features.mel.FRAMES_AT_A_TIME", 128)
    monkeypatch.setattr("agf.predict.spectrogram.SPOOL_BYTES", 1)


@pytest.mark.parametrize("hop_length", [512, 1024, 300])
@pytest.mark.parametrize("n", [1, 1024, 65536, 128 * 512, 300_001])
@pytest.mark.parametrize("piece", [1000, 65536, 1 << 20])
def test_frames_of_pieces_have_the_bits_of_the_whole(small_blocks, n, hop_length, piece):
    settings = {**SETTINGS, "hop_length": hop_length}
    y = signal(n)[:, 0]
    pieces = [y[i : i + piece] for i in range(0, n, piece)]
    blocks = list(mel_blocks(pieces, settings))
    whole = mel_spectrogram_db(y, {**settings, "top_db": np.inf})
    assert len(blocks) == 1 or all(len(block) == 128 for block in blocks[:-1])
    np.testing.assert_array_equal(np.concatenate(blocks), whole)


def test_part_of_a_spectrogram_is_quantised_by_the_maximum_of_the_whole():
    db = np.array([[-90.0, -60.0], [-20.0, 10.0]], np.float32)
    # 256 steps from -70 to 10 dB: -90 is cut off, -60 is 10 of 80 dB above the floor.
    q, max_db = quantise(db[:1], 80.0, np.float32(10))
    assert q.tolist() == [[0, 32]] and max_db == 10
    assert quantise(db, 80.0)[0].tolist() == [[0, 32], [159, 255]]


@pytest.mark.parametrize(
    ("name", "rate", "channels"),
    [
        ("a.wav", 22050, 2),
        ("a.wav", 44100, 1),
        ("a.flac", 8000, 2),
        ("a.mp3", 48000, 2),
        ("a.ogg", 44100, 2),
        ("a.mp3", 22050, 1),
    ],
)
def test_decoded_pieces_have_the_samples_of_the_whole(tmp_path, name, rate, channels):
    path = tmp_path / name
    soundfile.write(path, signal(9 * rate + 7, channels), rate)
    pieces = np.concatenate(list(decode_blocks(path, RATE)))
    np.testing.assert_array_equal(pieces, decode(path, RATE))
    excerpt = np.concatenate(list(decode_blocks(path, RATE, 1.0, 4.0, 2.5)))
    np.testing.assert_array_equal(excerpt, decode(path, RATE, max_duration=4.0, offset=2.5))


def test_what_only_the_end_tells_is_told(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros(4 * RATE), RATE)
    with pytest.raises(AudioError, match="silent"):
        list(decode_blocks(path, RATE))
    soundfile.write(path, signal(RATE // 2), RATE)
    with pytest.raises(AudioError, match="too short"):
        list(decode_blocks(path, RATE))
    bad = signal(4 * RATE)
    bad[5] = np.nan
    soundfile.write(path, bad, RATE, subtype="FLOAT")
    with pytest.raises(AudioError, match="not finite"):
        list(decode_blocks(path, RATE))


def test_frames_read_are_those_of_the_stored_features(tmp_path, small_blocks):
    path = tmp_path / "a.wav"
    soundfile.write(path, signal(20 * RATE, 2), RATE, subtype="FLOAT")
    stored = dequantise(*quantise(mel_spectrogram_db(decode(path, RATE), SETTINGS), 80.0), 80.0)
    with open_spectrogram(path, SETTINGS, 43) as spectrogram:
        assert spectrogram.n_frames == len(stored)
        np.testing.assert_array_equal(spectrogram.read(0, len(stored) + 5), stored)
        np.testing.assert_array_equal(spectrogram.read(700, 64), stored[700:764])


@pytest.fixture
def stand_in():
    """A model that says how loud a window is: the mean of its dB."""
    return Model(CONFIG, lambda windows: (np.tile(windows.mean((1, 2))[:, None], 2), {}))


def test_windows_are_where_the_training_had_them(tmp_path, stand_in):
    path = tmp_path / "a.wav"
    soundfile.write(path, signal(10 * RATE), RATE, subtype="FLOAT")
    stored = dequantise(*quantise(mel_spectrogram_db(decode(path, RATE), SETTINGS), 80.0), 80.0)
    expected = [stored[i : i + 43].mean() for i in range(0, len(stored) - 42, 21)]
    prediction = predict_file(stand_in, path)
    np.testing.assert_allclose(prediction.windows[:, 0], expected, rtol=1e-5)
    # The first window is frames 0 to 42, whose middle is frame 21.
    assert prediction.seconds[:2] == pytest.approx([21 * 512 / RATE, 42 * 512 / RATE])
    assert prediction.duration == pytest.approx(10, abs=512 / RATE)


def test_the_picture_averages_neighbouring_frames(tmp_path, stand_in):
    path = tmp_path / "a.wav"
    soundfile.write(path, signal(240 * RATE), RATE)
    stored = dequantise(*quantise(mel_spectrogram_db(decode(path, RATE), SETTINGS), 80.0), 80.0)
    picture = predict_file(stand_in, path, columns=50).picture
    # Column i has the frames f for which f * 50 // n is i.
    column = np.arange(len(stored)) * 50 // len(stored)
    expected = [stored[column == i].mean(0) for i in range(50)]
    np.testing.assert_allclose(picture, expected, atol=1e-3)
    assert predict_file(stand_in, path).picture is None


def test_memory_does_not_grow_with_the_file(tmp_path, monkeypatch, stand_in):
    monkeypatch.setattr("agf.predict.spectrogram.SPOOL_BYTES", 1 << 20)
    peaks = []
    for minutes in (4, 24):
        path = tmp_path / f"{minutes}.wav"
        with soundfile.SoundFile(path, "w", RATE, 1) as file:
            for _ in range(minutes):
                file.write(signal(60 * RATE)[:, 0])
        tracemalloc.start()
        prediction = predict_file(stand_in, path, columns=1600)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert len(prediction.windows) == (minutes * 60 * RATE // 512 + 1 - 43) // 21 + 1
    # As samples the longer file has 127 MB, as frames 16 MB.
    assert peaks[1] < 1.1 * peaks[0] < 40e6
