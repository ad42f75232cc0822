"""Decoding against librosa.load, and every way in which a file can be broken."""

import librosa
import numpy as np
import pytest
import soundfile

from agf.features.audio import AudioError, decode

RATE = 44100


def music(seconds, rate=RATE, channels=2):
    """A plucked chord over noise, a little different in every channel."""
    t = np.arange(int(seconds * rate)) / rate
    chord = sum(np.sin(2 * np.pi * f * t) for f in (220.0, 277.2, 329.6)) * np.exp(-(t % 0.5) * 4)
    noise = np.random.default_rng(0).normal(size=(len(t), channels))
    return 0.2 * chord[:, None] * np.linspace(0.5, 1.0, channels) + 0.01 * noise


def write(path, signal, rate=RATE, **options):
    soundfile.write(path, signal, rate, **options)
    return path


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.mp3"])
def test_stereo_equals_librosa_load_to_the_bit(tmp_path, name):
    path = write(tmp_path / name, music(3))
    samples = decode(path, RATE)
    assert samples.dtype == np.float32
    np.testing.assert_array_equal(samples, librosa.load(path, sr=RATE, mono=True)[0])


@pytest.mark.parametrize("rate", [8000, 22050, 96000])
def test_resampling_equals_librosa_load(tmp_path, rate):
    path = write(tmp_path / "a.wav", music(2, rate), rate)
    samples, expected = decode(path, RATE), librosa.load(path, sr=RATE)[0]
    assert abs(len(samples) - 2 * RATE) <= 1
    n = min(len(samples), len(expected))
    np.testing.assert_array_equal(samples[:n], expected[:n])


def test_resampling_keeps_pitch_and_level(tmp_path):
    t = np.arange(2 * 96000) / 96000
    path = write(tmp_path / "a.wav", 0.5 * np.sin(2 * np.pi * 1000 * t), 96000, subtype="FLOAT")
    samples = decode(path, RATE)[RATE // 2 : RATE // 2 + RATE]
    spectrum = np.abs(np.fft.rfft(samples)) / (len(samples) / 2)
    assert spectrum.argmax() == 1000
    assert spectrum.max() == pytest.approx(0.5, abs=1e-4)


@pytest.mark.parametrize("channels", [1, 2, 6])
def test_channels_are_averaged(tmp_path, channels):
    signal = music(2, channels=channels).astype(np.float32)
    path = write(tmp_path / "a.wav", signal, subtype="FLOAT")
    np.testing.assert_allclose(decode(path, RATE), signal.mean(axis=1), atol=1e-7)


def test_missing_file(tmp_path):
    with pytest.raises(AudioError, match=r"^missing"):
        decode(tmp_path / "none.mp3", RATE)


def test_empty_file(tmp_path):
    path = tmp_path / "a.mp3"
    path.write_bytes(b"")
    with pytest.raises(AudioError, match=r"^unreadable: the file is empty"):
        decode(path, RATE)


def test_html_page_instead_of_audio(tmp_path):
    path = tmp_path / "a.mp3"
    path.write_text("<html><body>404 Not Found</body></html>" * 100)
    with pytest.raises(AudioError, match=r"^unreadable"):
        decode(path, RATE)


def test_random_bytes(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(np.random.default_rng(0).bytes(50_000))
    with pytest.raises(AudioError, match=r"^unreadable"):
        decode(path, RATE)


def test_truncated_mp3_that_libsndfile_reads_without_complaint(tmp_path):
    path = write(tmp_path / "a.mp3", music(8))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    assert 0 < len(soundfile.read(path)[0]) < 5 * RATE
    with pytest.raises(AudioError, match=r"^truncated: .* of 8\.00 s by its header"):
        decode(path, RATE)


def mp3_without_xing_header(path):
    """An MP3 of constant bit rate whose first frame, which holds the length, is cut off."""
    write(path, music(8), bitrate_mode="CONSTANT", compression_level=0.5)
    data = path.read_bytes()
    assert data.find(b"Info") == 36
    second_frame = data.find(data[:2], 4)
    path.write_bytes(data[second_frame:])
    return path


def test_truncated_mp3_without_length_in_its_header(tmp_path):
    path = mp3_without_xing_header(tmp_path / "a.mp3")
    assert len(decode(path, RATE, duration=8.0)) == pytest.approx(8 * RATE, abs=3000)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    assert len(decode(path, RATE)) == pytest.approx(4 * RATE, abs=3000)  # nothing to compare with
    with pytest.raises(AudioError, match=r"^truncated: .* of 8\.00 s by the metadata"):
        decode(path, RATE, duration=8.0)


def test_truncated_wav_against_the_metadata(tmp_path):
    path = write(tmp_path / "a.wav", music(4))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(AudioError, match=r"^truncated: 2\.00 s of 4\.00 s by the metadata"):
        decode(path, RATE, duration=4.0)
    assert len(decode(path, RATE, duration=2.9)) == pytest.approx(2 * RATE, abs=20)


@pytest.mark.parametrize("name", ["a.mp3", "a.flac"])
@pytest.mark.parametrize("filler", ["zeros", "noise"])
def test_overwritten_middle(tmp_path, name, filler):
    path = write(tmp_path / name, music(8))
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    noise = np.random.default_rng(0).bytes(4000)
    data[middle : middle + 4000] = bytes(4000) if filler == "zeros" else noise
    path.write_bytes(data)
    with pytest.raises(AudioError, match=r"^damaged: decoding stops near [345]"):
        decode(path, RATE)


def test_digital_silence_and_coder_noise(tmp_path):
    with pytest.raises(AudioError, match=r"^silent: peak 0"):
        decode(write(tmp_path / "a.mp3", np.zeros((2 * RATE, 2))), RATE)
    quiet = music(2) * (9e-5 / np.abs(music(2)).max())
    with pytest.raises(AudioError, match=r"^silent"):
        decode(write(tmp_path / "b.wav", quiet, subtype="FLOAT"), RATE)
    assert decode(write(tmp_path / "c.wav", quiet * 10, subtype="FLOAT"), RATE).size == 2 * RATE


def test_opposite_channels_cancel_to_silence(tmp_path):
    left = music(2, channels=1)
    with pytest.raises(AudioError, match=r"^silent"):
        decode(write(tmp_path / "a.wav", np.hstack([left, -left]), subtype="FLOAT"), RATE)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_finite(tmp_path, value):
    signal = music(2)
    signal[1000] = value
    with pytest.raises(AudioError, match=r"^damaged: samples that are not finite"):
        decode(write(tmp_path / "a.wav", signal, subtype="FLOAT"), RATE)


def test_too_short(tmp_path):
    path = write(tmp_path / "a.wav", music(2))
    assert len(decode(path, RATE, min_seconds=2)) == 2 * RATE
    with pytest.raises(AudioError, match=r"^too short: 2\.00 s, 2\.5 s needed"):
        decode(path, RATE, min_seconds=2.5)
    with pytest.raises(AudioError, match=r"^too short: 0\.00 s"):
        decode(write(tmp_path / "b.wav", np.zeros((0, 2))), RATE, min_seconds=0)
