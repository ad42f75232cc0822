"""The 4,374 Essentia descriptors, on signals whose properties are known."""

import tempfile

import numpy as np
import pytest
import soundfile

from agf.features.audio import AudioError
from agf.features.essentia import N_DESCRIPTORS, descriptor_names, essentia_descriptors

RATE = 44100


@pytest.fixture(scope="module")
def tone(tmp_path_factory):
    """Ten seconds of A4 with a click twice a second: 440 Hz, 120 beats a minute."""
    t = np.arange(10 * RATE) / RATE
    noise = np.random.default_rng(0).normal(size=len(t))
    y = 0.3 * np.sin(2 * np.pi * 440 * t) + 0.5 * noise * np.exp(-((t % 0.5) * 200))
    path = tmp_path_factory.mktemp("audio") / "tone.wav"
    soundfile.write(path, np.stack([y, y], axis=1) * 0.5, RATE)
    return path


@pytest.fixture(scope="module")
def descriptors(tone):
    return essentia_descriptors(tone)


def test_names_are_4374_and_follow_the_pattern():
    names = descriptor_names()
    assert len(names) == len(set(names)) == N_DESCRIPTORS == 4374
    for name in (
        "rhythm.bpm",
        "lowlevel.mfcc.mean.12",
        "lowlevel.mfcc.icov.12.0",
        "tonal.thpcp.35",
    ):
        assert name in names
    assert not any("beats_position" in name or name.endswith(".key") for name in names)
    # By index, not by text: 2 comes before 10.
    assert names.index("tonal.thpcp.2") < names.index("tonal.thpcp.10")


def test_parts_sum_as_the_module_says():
    names = descriptor_names()
    assert sum(name.startswith("metadata.audio_properties.") for name in names) == 10
    assert sum(".cov." in name or ".icov." in name for name in names) == 4 * 13 * 13
    assert sum(name.startswith("rhythm.bpm_histogram.") for name in names) == 250
    assert sum(name.startswith("lowlevel.melbands128.") for name in names) == 1280


def test_every_value_is_a_finite_float_in_the_fixed_order(descriptors):
    assert tuple(descriptors) == descriptor_names()
    assert all(type(value) is float for value in descriptors.values())
    assert np.isfinite(list(descriptors.values())).all()


def test_values_describe_the_signal(descriptors):
    assert descriptors["metadata.audio_properties.length"] == pytest.approx(10.0, abs=0.01)
    assert descriptors["metadata.audio_properties.sample_rate"] == RATE
    assert descriptors["metadata.audio_properties.number_channels"] == 2
    assert descriptors["rhythm.bpm"] == pytest.approx(120, abs=1)
    assert descriptors["tonal.tuning_frequency"] == pytest.approx(440, abs=1)
    # Between the clicks all energy is at 440 Hz.
    assert descriptors["lowlevel.spectral_centroid.min"] == pytest.approx(440, abs=40)


def test_flattened_covariance_is_symmetric_and_inverted(descriptors):
    def matrix(statistic):
        names = [[f"lowlevel.mfcc.{statistic}.{i}.{j}" for j in range(13)] for i in range(13)]
        return np.array([[descriptors[name] for name in row] for row in names])

    covariance = matrix("cov")
    np.testing.assert_allclose(covariance, covariance.T, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(matrix("icov") @ covariance, np.eye(13), atol=0.05)
    assert descriptors["lowlevel.hfc.stdev"] ** 2 == pytest.approx(
        descriptors["lowlevel.hfc.var"], rel=1e-3
    )


def test_a_second_run_gives_the_same_values(tone, descriptors):
    assert essentia_descriptors(tone) == descriptors


def test_values_of_a_partly_silent_track_do_not_depend_on_tracks_before(tmp_path, tone):
    """Eight seconds of silence make the beat tracker draw random numbers, then music follows."""
    t = np.arange(16 * RATE) / RATE
    pitch = 220.0 * 2 ** (np.array([0, 4, 7, 12, 9, 5])[(t / 0.5).astype(int) % 6] / 12)
    melody = 0.4 * np.sin(2 * np.pi * np.cumsum(pitch) / RATE) * np.exp(-(t % 0.5) * 4)
    noise = np.random.default_rng(0).normal(size=len(t))
    drum = noise * (0.1 * np.exp(-(t % 0.5) * 60) + 0.005)
    soundfile.write(tmp_path / "a.wav", (melody + drum) * (t >= 8), RATE)
    first = essentia_descriptors(tmp_path / "a.wav")
    essentia_descriptors(tone, max_duration=3)
    assert essentia_descriptors(tmp_path / "a.wav") == first


def test_short_mono_clip_with_silence_has_the_same_columns(tmp_path):
    y = np.random.default_rng(0).normal(size=16000) * 0.1
    y[8000:] = 0
    soundfile.write(tmp_path / "a.wav", y, 8000)
    assert tuple(essentia_descriptors(tmp_path / "a.wav")) == descriptor_names()


def test_nothing_is_written_to_the_terminal(tone, capfd):
    essentia_descriptors(tone)
    assert capfd.readouterr() == ("", "")


def test_silent_file_is_refused(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros((2 * RATE, 2)), RATE)
    with pytest.raises(AudioError, match=r"^silent"):
        essentia_descriptors(tmp_path / "a.wav")


def test_excerpt_is_described_as_a_file_of_its_own(tmp_path, tone, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    excerpt = soundfile.read(tone, start=4 * RATE, stop=7 * RATE, dtype="float32")[0]
    values = essentia_descriptors(tone, max_duration=3, offset=4)
    assert list(tmp_path.iterdir()) == []
    soundfile.write(tmp_path / "excerpt.wav", excerpt, RATE, subtype="FLOAT")
    assert values == essentia_descriptors(tmp_path / "excerpt.wav")
    assert values["metadata.audio_properties.length"] == pytest.approx(3, abs=1e-3)


def test_middle_excerpt_has_the_sound_of_the_middle(tmp_path):
    t = np.arange(9 * RATE) / RATE
    frequency = np.where((t >= 3) & (t < 6), 440.0, 3000.0)
    soundfile.write(tmp_path / "a.flac", 0.3 * np.sin(2 * np.pi * frequency * t), RATE)
    values = essentia_descriptors(tmp_path / "a.flac", max_duration=3)
    assert values["lowlevel.spectral_centroid.median"] == pytest.approx(440, abs=40)


def test_longest_piece_beyond_the_end_changes_nothing(tone, descriptors):
    assert essentia_descriptors(tone, max_duration=10) == descriptors


def test_excerpt_that_begins_after_the_end(tone):
    with pytest.raises(AudioError, match=r"^too short: 10\.00 s, excerpt begins at 12 s"):
        essentia_descriptors(tone, max_duration=3, offset=12)


def test_six_channels_are_averaged(tmp_path):
    noise = np.random.default_rng(0).normal(size=(3 * RATE, 6)).astype(np.float32) * 0.1
    soundfile.write(tmp_path / "six.wav", noise, RATE, subtype="FLOAT")
    soundfile.write(tmp_path / "mono.wav", noise.mean(axis=1), RATE, subtype="FLOAT")
    six = essentia_descriptors(tmp_path / "six.wav")
    mono = essentia_descriptors(tmp_path / "mono.wav")
    np.testing.assert_allclose(list(six.values()), list(mono.values()), rtol=0.02, atol=1e-2)


def test_missing_file(tmp_path):
    with pytest.raises(AudioError, match=r"^missing"):
        essentia_descriptors(tmp_path / "none.wav")


def test_reason_of_an_unreadable_file_does_not_hold_its_path(tmp_path):
    (tmp_path / "a.wav").write_text("no audio")
    with pytest.raises(AudioError, match=r"^unreadable") as error:
        essentia_descriptors(tmp_path / "a.wav")
    assert str(tmp_path) not in str(error.value)
