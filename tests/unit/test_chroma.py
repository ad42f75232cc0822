"""Chroma of known notes, and its shards."""

import hashlib

import numpy as np
import pandas as pd
import pytest
import soundfile

from agf.errors import UserError
from agf.features.chroma import chroma
from agf.features.chroma_shards import extract_chroma_shard
from agf.features.mel_shards import extract_mel_shard
from agf.features.reading import read_frames
from agf.files import write_parquet

RATE = 44100
SETTINGS = {"sample_rate": RATE, "n_fft": 8192, "hop_length": 4096}
EXCERPT = {"min_seconds": 1.0, "max_duration": 3.0, "offset": "middle"}
MEL = EXCERPT | {"sample_rate": RATE, "n_fft": 2048, "hop_length": 1024, "n_mels": 128}
MEL |= {"top_db": 80.0}


def note(midi, seconds=2.0, harmonics=1):
    t = np.arange(int(seconds * RATE)) / RATE
    f = 440 * 2 ** ((midi - 69) / 12)
    return sum(np.sin(2 * np.pi * k * f * t) / k for k in range(1, harmonics + 1)) * 0.3


@pytest.mark.parametrize("midi", [57, 60, 66, 69, 76, 83])
def test_a_note_sounds_in_its_pitch_class(midi):
    frames = chroma(note(midi).astype(np.float32), SETTINGS)
    assert frames.shape == (1 + 2 * RATE // 4096, 12) and frames.dtype == np.float32
    inner = frames[2:-2]
    assert (inner.argmax(axis=1) == midi % 12).all()
    np.testing.assert_allclose(inner.max(axis=1), 1, rtol=1e-6)


def test_octaves_are_one_class_and_loudness_does_not_matter():
    low, high = (chroma(note(midi).astype(np.float32), SETTINGS)[3] for midi in (64, 76))
    np.testing.assert_allclose(low, high, atol=0.1)
    loud = note(64, harmonics=4).astype(np.float32)
    np.testing.assert_allclose(chroma(loud, SETTINGS), chroma(loud / 50, SETTINGS), atol=1e-4)


def test_a_chord_sounds_in_all_its_classes():
    chord = sum(note(midi) for midi in (60, 64, 67)).astype(np.float32)
    frame = chroma(chord, SETTINGS)[5]
    assert set(np.argsort(frame)[-3:]) == {0, 4, 7}


def test_silence_is_zero():
    assert (chroma(np.zeros(RATE, np.float32), SETTINGS) == 0).all()


@pytest.fixture
def shard(tmp_path):
    """Two tracks with a spectrogram, and one too short for it."""
    for track_id, (midi, seconds) in {1: (60, 4.0), 2: (67, 2.0), 3: (62, 0.5)}.items():
        soundfile.write(tmp_path / f"{track_id}.wav", note(midi, seconds), RATE)
    manifest = {
        "track_id": [1, 2, 3],
        "path": ["1.wav", "2.wav", "3.wav"],
        "duration": np.full(3, np.nan),
    }
    manifest["sha256"] = [
        hashlib.sha256((tmp_path / path).read_bytes()).hexdigest() for path in manifest["path"]
    ]
    write_parquet(pd.DataFrame(manifest), tmp_path / "manifest.parquet")
    mel = tmp_path / "mel" / "000-of-001.parquet"
    rejected = mel.with_suffix(".rejected.parquet")
    extract_mel_shard(tmp_path / "manifest.parquet", tmp_path, mel, rejected, MEL, "code")
    return tmp_path, mel


def extract(shard, settings=SETTINGS, code="code"):
    folder, mel = shard
    out = folder / "chroma" / "000-of-001.parquet"
    counts = extract_chroma_shard(
        folder / "manifest.parquet", mel, folder, out, settings | EXCERPT, code
    )
    return out, counts


def test_every_track_with_a_spectrogram_gets_chroma(shard):
    out, counts = extract(shard)
    assert counts == {"computed": 2, "kept": 0, "rejected": 0}
    ids, frames = read_frames([out], "chroma")
    assert ids.tolist() == [1, 2]
    # Of the longer one, the middle three seconds.
    assert [f.shape for f in frames] == [(1 + 3 * RATE // 4096, 12), (1 + 2 * RATE // 4096, 12)]
    assert [int(f[5].argmax()) for f in frames] == [0, 7]


def test_rows_are_kept_until_a_setting_changes(shard):
    extract(shard)
    assert extract(shard)[1]["kept"] == 2
    assert extract(shard, SETTINGS | {"hop_length": 2048})[1]["computed"] == 2


def test_a_file_that_is_gone_is_no_reason_to_go_on_without_it(shard):
    (shard[0] / "2.wav").unlink()
    with pytest.raises(UserError, match=r"2\.wav"):
        extract(shard)
