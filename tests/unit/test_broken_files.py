"""Every way in which a file can be broken, through the making of a shard of good and bad ones."""

import hashlib
import os
import shutil
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile

from agf.errors import UserError
from agf.features.audio import AudioError, decode
from agf.features.essentia_shards import extract_essentia_shard
from agf.features.mel_shards import extract_mel_shard
from agf.features.reading import read_essentia

RATE = 44100
SECONDS = 4
MEL = {
    "sample_rate": 22050,
    "n_fft": 1024,
    "hop_length": 512,
    "n_mels": 32,
    "top_db": 80.0,
    "min_seconds": 2.0,
    "max_duration": None,
    "offset": "middle",
}
EXCERPT = {"max_duration": 2.0, "offset": "middle"}
CONSTANT = {"bitrate_mode": "CONSTANT", "compression_level": 0.5}
VARIABLE = {"bitrate_mode": "VARIABLE"}
REAL = Path(__file__).parents[3] / "shared/corpora/magnatune/audio"


@cache
def music(seconds, rate=RATE, channels=2):
    """A melody of decaying tones with a drum, a little different in every channel."""
    t = np.arange(int(seconds * rate)) / rate
    pitch = 220.0 * 2 ** (np.array([0, 4, 7, 12, 9, 5])[(t / 0.5).astype(int) % 6] / 12)
    tone = np.sin(2 * np.pi * np.cumsum(pitch) / rate) * np.exp(-(t % 0.5) * 4)
    noise = np.random.default_rng(0).normal(size=(len(t), channels))
    drum = noise * np.exp(-(t % 0.5) * 60)[:, None]
    return 0.4 * tone[:, None] * np.linspace(0.5, 1.0, channels) + 0.1 * drum + 0.005 * noise


def save(path, signal, rate=RATE, **options):
    # Block by block: libsndfile's Ogg coder overflows the stack on one long write.
    with soundfile.SoundFile(path, "w", rate, signal.shape[1], **options) as file:
        for start in range(0, len(signal), 8192):
            file.write(signal[start : start + 8192])


def edit(path, change):
    path.write_bytes(change(path.read_bytes()))


def without_first_frame(data):
    """The first frame of an MP3 that soundfile writes is the one that states the length."""
    assert data[36:40] in (b"Info", b"Xing")
    return data[data.find(data[:2], 4) :]


def cut(part):
    return lambda data: data[: int(len(data) * part)]


def stated_frames(factor):
    """Change the number of frames in the Xing or Info header, whose flags say that it is there."""

    def change(data):
        assert data[36:40] in (b"Info", b"Xing") and data[43] & 1
        frames = int.from_bytes(data[44:48], "big")
        return data[:44] + int(frames * factor).to_bytes(4, "big") + data[48:]

    return change


def overwritten(filler):
    def change(data):
        middle = len(data) // 2
        return data[:middle] + filler + data[middle + len(filler) :]

    return change


def id3_tag(content_bytes):
    size = content_bytes.to_bytes(4, "big")
    assert content_bytes < 128
    return b"ID3\x04\x00\x00" + size + bytes(content_bytes)


def spoiled(change, seconds=SECONDS, options=CONSTANT):
    def make(path):
        save(path, music(seconds), **options)
        edit(path, change)

    return make


def recording(seconds=SECONDS, rate=RATE, channels=2, **options):
    return lambda path: save(path, music(seconds, rate, channels), rate, **options)


def level(gain):
    return lambda path: save(path, music(SECONDS) * gain)


def not_finite(path):
    signal = music(SECONDS).copy()
    signal[1000] = np.nan
    save(path, signal, subtype="FLOAT")


NOISE = np.random.default_rng(0).bytes(4000)

# name: (how it is made, seconds by the metadata, what the reason begins with)
BROKEN = {
    "empty.mp3": (Path.touch, None, "unreadable: the file is empty"),
    "page.mp3": (lambda path: path.write_text("<html>404</html>" * 99), None, "unreadable"),
    "tag_alone.mp3": (lambda path: path.write_bytes(id3_tag(100)), None, "unreadable"),
    "noise.mp3": (lambda path: path.write_bytes(NOISE), None, "unreadable"),
    "cut_constant.mp3": (spoiled(cut(0.6)), None, "truncated: 2.3"),
    "cut_variable.mp3": (spoiled(cut(0.6), SECONDS, VARIABLE), None, "truncated: 2."),
    "cut_no_header.mp3": (
        spoiled(lambda data: cut(0.6)(without_first_frame(data))),
        SECONDS,
        "truncated: 2.43 s of 4.00 s by the metadata",
    ),
    "states_twice.mp3": (spoiled(stated_frames(2)), None, "truncated: 4.0"),
    "states_half.mp3": (
        spoiled(stated_frames(0.6)),
        SECONDS,
        "truncated: 2.38 s of 4.00 s by the metadata",
    ),
    "zeros_inside.mp3": (spoiled(overwritten(bytes(4000))), None, "damaged"),
    "noise_inside.mp3": (spoiled(overwritten(NOISE)), None, "damaged"),
    "page_inside.mp3": (spoiled(overwritten(b"<html>404" * 500)), None, "damaged"),
    "noise_variable.mp3": (spoiled(overwritten(NOISE), SECONDS, VARIABLE), None, "damaged"),
    "noise_inside.flac": (spoiled(overwritten(NOISE), SECONDS, {}), None, "damaged"),
    "cut.flac": (spoiled(cut(0.6), SECONDS, {}), None, "damaged"),
    "cut.wav": (
        spoiled(cut(0.6), SECONDS, {}),
        SECONDS,
        "truncated: 2.40 s of 4.00 s by the metadata",
    ),
    "nan.wav": (not_finite, None, "damaged: samples that are not finite"),
    "silent.mp3": (level(0), None, "silent: peak 0"),
    "silent.wav": (level(1e-4), None, "silent: peak"),
    "short.mp3": (recording(1), None, "too short: 1.00 s, 2 s needed"),
    "no_samples.wav": (recording(0), None, "too short: 0.00 s"),
    # A clip of 30 s, whose track lasts 250 s by FMA's metadata: the scan expects 30 s.
    "fma_clip.mp3": (
        spoiled(lambda data: cut(12 / 30)(without_first_frame(data)), 30),
        30.0,
        "truncated: 11.99 s of 30.00 s by the metadata",
    ),
}

# name: (how it is made, seconds it holds, seconds by the metadata)
GOOD = {
    "constant.mp3": (recording(SECONDS, **CONSTANT), SECONDS, SECONDS),
    "variable.mp3": (recording(SECONDS, **VARIABLE), SECONDS, None),
    "mono.mp3": (recording(SECONDS, 22050, 1), SECONDS, SECONDS + 0.5),
    "low_rate.mp3": (recording(SECONDS, 8000, 1), SECONDS, None),
    "no_header.mp3": (spoiled(without_first_frame), SECONDS, SECONDS),
    "tagged.mp3": (spoiled(lambda data: id3_tag(120) + data), SECONDS, None),
    "closing_tag.mp3": (spoiled(lambda data: data + b"TAG" + bytes(125)), SECONDS, None),
    "states_half_unknown.mp3": (spoiled(stated_frames(0.6)), 0.6 * SECONDS, None),
    "mono.wav": (recording(SECONDS, channels=1), SECONDS, None),
    "six.wav": (recording(SECONDS, channels=6), SECONDS, None),
    "six.flac": (recording(SECONDS, channels=6), SECONDS, None),
    "float.wav": (recording(SECONDS, subtype="FLOAT"), SECONDS, None),
    "08.wav": (recording(SECONDS, 8000), SECONDS, None),
    "11.flac": (recording(SECONDS, 11025), SECONDS, None),
    "16.wav": (recording(SECONDS, 16000), SECONDS, None),
    "48.flac": (recording(SECONDS, 48000), SECONDS, None),
    "96.wav": (recording(SECONDS, 96000), SECONDS, None),
    "96.flac": (recording(SECONDS, 96000), SECONDS, None),
    "vorbis.ogg": (recording(), SECONDS, SECONDS),
    "opus.opus": (recording(SECONDS, 48000, format="OGG", subtype="OPUS"), SECONDS, SECONDS),
}

NAMES = sorted([*BROKEN, *GOOD])


def write_manifest(folder, names, durations):
    def sha256(path):
        return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "none"

    table = pa.table(
        {
            "track_id": pa.array([NAMES.index(name) for name in names], pa.int64()),
            "path": names,
            "sha256": [sha256(folder / name) for name in names],
            "duration": pa.array(durations, pa.float64()),
        }
    )
    pq.write_table(table, folder / "manifest.parquet")
    return folder / "manifest.parquet"


def extract_mel(folder, names, durations, settings=MEL):
    """Return the counts, the rows and the reasons, both by file name."""
    out, rejected = folder / "mel" / "000-of-001.parquet", folder / "mel" / "rejected.parquet"
    manifest = write_manifest(folder, names, durations)
    counts = extract_mel_shard(manifest, folder, out, rejected, settings, "1")
    rows = {NAMES[row["track_id"]]: row for row in pq.read_table(out).to_pylist()}
    reasons = {row["path"]: row["reason"] for row in pq.read_table(rejected).to_pylist()}
    return counts, rows, reasons


def extract_essentia(folder, settings):
    """Return the descriptors and the reasons, both by file name."""
    out = folder / "essentia" / "000-of-001.parquet"
    rejected = out.with_name("rejected.parquet")
    mel = folder / "mel" / "000-of-001.parquet"
    arguments = (folder / "manifest.parquet", mel, folder, out, rejected, settings, "1")
    extract_essentia_shard(*arguments)
    ids, names, values = read_essentia([out])
    reasons = {row["path"]: row["reason"] for row in pq.read_table(rejected).to_pylist()}
    rows = {
        NAMES[i]: dict(zip(names, row, strict=True)) for i, row in zip(ids, values, strict=True)
    }
    return rows, reasons


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("audio")
    for name, (make, *_) in {**BROKEN, **GOOD}.items():
        make(folder / name)
    return folder


@pytest.fixture(scope="module")
def shard(folder):
    durations = {name: duration for name, (_, duration, _) in BROKEN.items()}
    durations |= {name: duration for name, (_, _, duration) in GOOD.items()}
    return extract_mel(folder, NAMES, [durations[name] for name in NAMES])


def test_tracks_in_are_computed_or_rejected(shard):
    counts, rows, reasons = shard
    assert counts == {"computed": len(GOOD), "kept": 0, "rejected": len(BROKEN)}
    assert sorted([*rows, *reasons]) == NAMES


@pytest.mark.parametrize("name", BROKEN)
def test_reason_of_a_broken_file(shard, name):
    assert shard[2][name].startswith(BROKEN[name][2]), shard[2][name]


@pytest.mark.parametrize("name", GOOD)
def test_good_file_is_unharmed(shard, name):
    _, rows, _ = shard
    seconds = GOOD[name][1]
    # One frame per hop, centred: the first at 0. MP3 may hold a coder's padding besides.
    n_frames = 1 + seconds * MEL["sample_rate"] / MEL["hop_length"]
    assert rows[name]["n_frames"] == pytest.approx(n_frames, abs=4)
    assert len(rows[name]["mel"]) == rows[name]["n_frames"] * MEL["n_mels"]
    assert np.frombuffer(rows[name]["mel"], np.uint8).max() == 255


def test_good_files_alone_give_the_same_rows(shard, folder, tmp_path):
    for name in GOOD:
        shutil.copy(folder / name, tmp_path / name)
    names = sorted(GOOD)
    _, rows, reasons = extract_mel(tmp_path, names, [GOOD[name][2] for name in names])
    assert reasons == {} and rows == shard[1]


def test_what_passes_mel_passes_essentia(shard, folder):
    rows, reasons = extract_essentia(folder, EXCERPT | {"max_duration": None})
    assert reasons == {} and sorted(rows) == sorted(GOOD)
    for name in GOOD:
        # Two tones a second.
        assert rows[name]["rhythm.onset_rate"] == pytest.approx(2, abs=0.7), name


def test_excerpts_pass_mel_and_essentia(folder):
    names = ["96.flac", "no_header.mp3", "opus.opus", "six.wav", "variable.mp3", "vorbis.ogg"]
    _, rows, reasons = extract_mel(folder, names, [None] * len(names), MEL | EXCERPT)
    assert reasons == {}
    assert {row["n_frames"] for row in rows.values()} == {87}
    described, reasons = extract_essentia(folder, EXCERPT)
    assert reasons == {} and sorted(described) == names
    for name, row in described.items():
        assert row["metadata.audio_properties.length"] == pytest.approx(2, abs=1e-3), name


MISSING = {
    "missing.mp3": (lambda path: None, "missing: no such file"),
    "folder.mp3": (Path.mkdir, "missing: a folder or device"),
    "pipe.mp3": (os.mkfifo, "missing: a folder or device"),
}


@pytest.mark.parametrize("name", MISSING)
def test_what_is_no_file_is_no_verdict_on_a_track(tmp_path, name):
    make, reason = MISSING[name]
    recording(1)(tmp_path / "short.mp3")
    manifest = write_manifest(tmp_path, ["short.mp3"], [None])
    table = pq.read_table(manifest).set_column(1, "path", pa.array([name]))
    pq.write_table(table, manifest)
    make(tmp_path / name)
    with pytest.raises(AudioError, match=f"^{reason}"):
        decode(tmp_path / name, RATE)
    out = tmp_path / "mel.parquet"
    with pytest.raises(UserError, match=rf"/{name} was there .* cannot be read now \(no such file"):
        extract_mel_shard(manifest, tmp_path, out, tmp_path / "rejected.parquet", MEL, "1")
    assert not out.exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_file_without_permission(tmp_path):
    recording(4)(tmp_path / "short.mp3")
    (tmp_path / "short.mp3").chmod(0)
    with pytest.raises(AudioError, match=r"^missing: no permission"):
        decode(tmp_path / "short.mp3", RATE)


REAL_DAMAGE = {
    "cut": (cut(0.4), "truncated"),
    "zeros inside": (overwritten(bytes(8000)), "damaged"),
    "noise inside": (overwritten(NOISE * 2), "damaged"),
}


@pytest.mark.skipif(not REAL.is_dir(), reason="the real clips are not there")
@pytest.mark.parametrize("damage", REAL_DAMAGE)
def test_real_clips(tmp_path, damage):
    change, kind = REAL_DAMAGE[damage]
    clips = sorted(REAL.glob("*/*.mp3"))[::60]
    assert len(clips) >= 3
    names = NAMES[: 2 * len(clips)]
    for clip, good, bad in zip(clips, names[::2], names[1::2], strict=True):
        shutil.copy(clip, tmp_path / good)
        (tmp_path / bad).write_bytes(change(clip.read_bytes()))
    counts, rows, reasons = extract_mel(tmp_path, names, [29.0] * len(names))
    assert counts == {"computed": len(clips), "kept": 0, "rejected": len(clips)}
    assert sorted(rows) == names[::2]
    assert {reason.split(":")[0] for reason in reasons.values()} == {kind}
