"""Decoding against librosa.load, and every way in which a file can be broken."""

import tracemalloc

import librosa
import numpy as np
import pytest
import soundfile

from agf.features.audio import AudioError, decode, mean_of_channels

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


@pytest.mark.parametrize("n_channels", [1, 2, 3, 6])
def test_mean_of_channels_has_the_bits_of_numpy(n_channels):
    block = np.random.default_rng(0).normal(size=(1000, n_channels)).astype(np.float32)
    out = np.empty(1000, np.float32)
    assert mean_of_channels(block, out) is out
    np.testing.assert_array_equal(out, block.mean(axis=1))
    np.testing.assert_array_equal(mean_of_channels(block), out)


@pytest.mark.parametrize("taken_at_its_word", [1, 60_000, 1 << 16, 200_000])
def test_a_file_longer_than_what_its_header_is_trusted_with(
    tmp_path, monkeypatch, taken_at_its_word
):
    path = write(tmp_path / "a.mp3", music(8))
    monkeypatch.setattr("agf.features.audio.TRUSTED_FRAMES", taken_at_its_word)
    np.testing.assert_array_equal(decode(path, RATE), librosa.load(path, sr=RATE)[0])


def test_header_that_states_years(tmp_path):
    """Memory is taken for what is there, not for what the header promises."""
    path = write(tmp_path / "a.mp3", music(8), **CONSTANT)
    data = path.read_bytes()
    assert data[36:40] == b"Info" and data[43] & 1  # the flag: a number of frames follows
    path.write_bytes(data[:44] + (1 << 31).to_bytes(4, "big") + data[48:])
    assert soundfile.info(path).duration > 365 * 86400
    tracemalloc.start()
    with pytest.raises(
        AudioError, match=r"^truncated: 8\.\d\d s of 5609\d{4}\.\d\d s by its header"
    ):
        decode(path, RATE)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20e6


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


def mp3(path, seconds, **options):
    return write(path, music(seconds), **options)


CONSTANT = {"bitrate_mode": "CONSTANT", "compression_level": 0.5}
VARIABLE = {"bitrate_mode": "VARIABLE"}


@pytest.mark.parametrize(
    "name, options", [("a.mp3", CONSTANT), ("a.mp3", VARIABLE), ("a.flac", {}), ("a.wav", {})]
)
@pytest.mark.parametrize("offset, start", [("middle", 4.5), (0, 0), (6.25, 6.25)])
def test_excerpt_equals_the_same_samples_of_the_whole(tmp_path, name, options, offset, start):
    path = write(tmp_path / name, music(12), **options)
    whole, excerpt = decode(path, RATE), decode(path, RATE, max_duration=3, offset=offset)
    begin = round(start * RATE)
    np.testing.assert_array_equal(excerpt, whole[begin : begin + 3 * RATE])


def test_excerpt_of_an_mp3_without_length_in_its_header(tmp_path):
    path = mp3_without_xing_header(tmp_path / "a.mp3")
    whole = decode(path, RATE)
    start = (len(whole) - 3 * RATE) // 2
    excerpt = decode(path, RATE, max_duration=3)
    np.testing.assert_array_equal(excerpt, whole[start : start + 3 * RATE])


def test_mp3_whose_estimated_length_is_far_too_long(tmp_path):
    """Variable bit rate, silence first, no header: libsndfile expects several times the length."""
    signal = music(8)
    signal[: 3 * RATE] = 0
    path = write(tmp_path / "a.mp3", signal, **VARIABLE)
    data = path.read_bytes()
    path.write_bytes(data[data.find(data[:2], 4) :])
    assert soundfile.info(path).duration > 16
    whole = decode(path, RATE)
    assert len(whole) == pytest.approx(8 * RATE, abs=3000)
    start = (len(whole) - 3 * RATE) // 2
    np.testing.assert_array_equal(
        decode(path, RATE, max_duration=3), whole[start : start + 3 * RATE]
    )


def test_long_mp3_without_length_in_its_header_is_not_taken_for_truncated(tmp_path):
    """The estimate exceeds the file by some 0.1 %: by 0.2 s after three minutes."""
    signal = np.tile(music(10, 22050, 1), (18, 1))
    path = write(tmp_path / "a.mp3", signal, 22050, **CONSTANT)
    data = path.read_bytes()
    path.write_bytes(data[data.find(data[:2], 4) :])
    with soundfile.SoundFile(path) as file:
        assert file.frames - len(file.read()) > 0.1 * 22050
    assert len(decode(path, 22050)) == pytest.approx(180 * 22050, abs=3000)


@pytest.mark.parametrize("rate", [8000, 22050, 44100])
@pytest.mark.parametrize("mode", ["CONSTANT", "AVERAGE", "VARIABLE"])
def test_bits_kept_in_earlier_frames_are_not_lost(tmp_path, rate, mode):
    """Rests and entries: where the bit reservoir of MP3 is full, and a seek loses what is in it."""
    signal = music(10, rate)
    for rest in (2, 5, 7):
        signal[rest * rate : (rest + 1) * rate] = 0
    path = write(tmp_path / "a.mp3", signal, rate, bitrate_mode=mode)
    at_once = soundfile.read(path, dtype="float32")[0]
    whole = decode(path, rate)
    np.testing.assert_array_equal(whole, (at_once[:, 0] + at_once[:, 1]) / 2)
    for start in (0.3, 2.99, 3.0, 3.01, 6.0, 8.0):
        begin = round(start * rate)
        excerpt = decode(path, rate, max_duration=1.5, offset=start)
        expected = whole[begin : begin + round(1.5 * rate)]
        np.testing.assert_allclose(excerpt, expected, rtol=0, atol=2e-7)


def test_excerpt_is_resampled(tmp_path):
    path = write(tmp_path / "a.wav", music(6, 48000), 48000)
    excerpt = soundfile.read(path, start=2 * 48000, stop=4 * 48000, dtype="float32")[0]
    expected = librosa.resample(excerpt.mean(axis=1), orig_sr=48000, target_sr=RATE)
    samples = decode(path, RATE, max_duration=2)
    assert len(samples) == 2 * RATE
    np.testing.assert_allclose(samples, expected[: 2 * RATE], atol=1e-6)


@pytest.mark.parametrize("seconds, taken", [(3.0, 3.0), (3.05, 3.05), (3.2, 3.0), (2.0, 2.0)])
def test_padding_beyond_the_longest_piece_is_kept(tmp_path, seconds, taken):
    path = write(tmp_path / "a.wav", music(seconds))
    assert len(decode(path, RATE, max_duration=3)) == round(taken * RATE)


def test_offset_without_longest_piece_takes_the_rest(tmp_path):
    path = write(tmp_path / "a.wav", music(5))
    np.testing.assert_array_equal(decode(path, RATE, offset=1.5), decode(path, RATE)[66150:])
    np.testing.assert_array_equal(
        decode(path, RATE, max_duration=30, offset=1.5), decode(path, RATE)[66150:]
    )


def test_excerpt_of_a_file_that_is_too_short(tmp_path):
    path = write(tmp_path / "a.wav", music(12))
    with pytest.raises(AudioError, match=r"^too short: 12\.00 s, excerpt begins at 30 s$"):
        decode(path, RATE, max_duration=30, offset=30)
    with pytest.raises(AudioError, match=r"^too short: 0\.50 s from 11\.50 s on, 1 s needed$"):
        decode(path, RATE, max_duration=30, offset=11.5)


@pytest.mark.parametrize("offset, held", [("middle", "0.96"), (8, "0.00")])
def test_truncation_is_seen_where_the_excerpt_lies(tmp_path, offset, held):
    path = mp3(tmp_path / "a.mp3", 12)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(AudioError, match=rf"^truncated: {held} s of 2\.00 s from .* s on by"):
        decode(path, RATE, max_duration=2, offset=offset)
    assert len(decode(path, RATE, max_duration=2, offset=1)) == 2 * RATE


def test_whole_length_is_held_against_the_metadata_before_an_excerpt_is_taken(tmp_path):
    path = write(tmp_path / "a.wav", music(12))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    for offset in ("middle", 30):
        with pytest.raises(AudioError, match=r"^truncated: 6\.00 s of 12\.00 s by the metadata"):
            decode(path, RATE, duration=12.0, max_duration=3, offset=offset)
    assert len(decode(path, RATE, duration=6.0, max_duration=3)) == 3 * RATE


def test_silence_is_judged_in_the_excerpt(tmp_path):
    signal = music(6)
    signal[2 * RATE : 4 * RATE] = 0
    path = write(tmp_path / "a.wav", signal)
    with pytest.raises(AudioError, match=r"^silent"):
        decode(path, RATE, max_duration=2)
    assert len(decode(path, RATE)) == 6 * RATE


def test_memory_does_not_grow_with_the_file(tmp_path):
    path = tmp_path / "a.wav"
    block = music(20, 8000)
    with soundfile.SoundFile(path, "w", 8000, 2) as file:
        for _ in range(30):
            file.write(block)
    tracemalloc.start()
    samples = decode(path, 8000, max_duration=2)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(samples) == 16000
    assert peak < 2e6  # ten minutes are 38 MB of float32
