"""Shards: what is computed, what is kept, and what lies in the files."""

import hashlib
import logging

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile

from agf.errors import UserError
from agf.features import mel_shards, shards
from agf.features.audio import decode
from agf.features.essentia import descriptor_names, essentia_descriptors
from agf.features.essentia_shards import extract_essentia_shard
from agf.features.mel import dequantise, mel_spectrogram_db, quantise
from agf.features.mfcc import mfcc_from_db
from agf.features.mfcc_shards import MFCC_SCHEMA, extract_mfcc_shard
from agf.features.reading import iterate_mels, read_essentia, read_frames

MEL = {
    "sample_rate": 8000,
    "n_fft": 512,
    "hop_length": 256,
    "n_mels": 32,
    "top_db": 80.0,
    "min_seconds": 1.0,
    "max_duration": None,
    "offset": "middle",
}
MFCC = {"n_mfcc": 13, "top_db": 80.0}
ESSENTIA = {"max_duration": None, "offset": "middle"}


def clip(folder, track_id, seconds=1.5):
    t = np.arange(int(seconds * 8000)) / 8000
    noise = np.random.default_rng(track_id).normal(size=len(t))
    y = 0.3 * np.sin(2 * np.pi * (200 + 7 * track_id) * t) + 0.02 * noise
    path = f"{track_id:06d}.wav"
    soundfile.write(folder / path, y, 8000)
    return path


@pytest.fixture
def corpus(tmp_path):
    """Five tracks, the fourth of which is no audio."""
    for track_id in (2, 3, 5, 11):
        clip(tmp_path, track_id)
    (tmp_path / "000007.wav").write_text("no audio")
    write_manifest(tmp_path, [2, 3, 5, 7, 11])
    return tmp_path


def write_manifest(folder, track_ids, durations=None):
    paths = [f"{track_id:06d}.wav" for track_id in track_ids]
    sums = [hashlib.sha256((folder / path).read_bytes()).hexdigest() for path in paths]
    table = pa.table(
        {
            "track_id": pa.array(track_ids, pa.int64()),
            "path": paths,
            "sha256": sums,
            "duration": pa.array(durations or [None] * len(paths), pa.float64()),
        }
    )
    pq.write_table(table, folder / "manifest.parquet")


def mel_paths(folder):
    out = folder / "mel" / "003-of-008.parquet"
    return out, out.with_name("003-of-008.rejected.parquet")


def extract_mel(folder, settings=MEL, code="1"):
    out, rejected = mel_paths(folder)
    return mel_shards.extract_mel_shard(
        folder / "manifest.parquet", folder, out, rejected, settings, code
    )


def read_mel(paths):
    rows = sorted(iterate_mels(paths), key=lambda row: row[0])
    ids, _, max_db, spectrograms = zip(*rows, strict=True) if rows else ([], [], [], [])
    return np.array(ids), list(spectrograms), np.array(max_db, np.float32)


def counts(computed, kept, rejected):
    return {"computed": computed, "kept": kept, "rejected": rejected}


def forbid_decoding(monkeypatch):
    def refuse(*args):
        raise AssertionError(f"decoded {args[0]}")

    monkeypatch.setattr(mel_shards, "decode", refuse)


def test_key_depends_on_audio_settings_and_code_alone():
    key = shards.row_key("a", {"x": 1, "y": 2}, "c")
    assert key == shards.row_key("a", {"y": 2, "x": 1}, "c")
    others = [("b", {"x": 1, "y": 2}, "c"), ("a", {"x": 2, "y": 1}, "c"), ("a", {"x": 1}, "d")]
    assert key not in {shards.row_key(*other) for other in others}


def test_mel_shard_holds_what_the_contract_says(corpus, caplog):
    caplog.set_level(logging.INFO)
    assert extract_mel(corpus) == counts(4, 0, 1)
    assert caplog.messages[-1] == "shard 003 mel: 4 computed, 0 kept, 1 rejected"
    out, rejected = mel_paths(corpus)
    table = pq.read_table(out)
    assert table.schema.equals(mel_shards.MEL_SCHEMA)
    assert table["track_id"].to_pylist() == [2, 3, 5, 11]
    for row in table.to_pylist():
        samples = decode(corpus / f"{row['track_id']:06d}.wav", 8000)
        db = mel_spectrogram_db(samples, MEL)
        q, max_db = quantise(db, 80.0)
        assert row["n_frames"] == len(q)
        assert row["max_db"] == max_db
        assert row["mel"] == q.tobytes()
    (refusal,) = pq.read_table(rejected).to_pylist()
    assert refusal["track_id"] == 7 and refusal["path"] == "000007.wav"
    assert refusal["reason"].startswith("unreadable")
    assert set(refusal) == {"track_id", "key", "path", "reason"}


def test_rerun_decodes_nothing_and_gives_the_same_bytes(corpus, monkeypatch):
    extract_mel(corpus)
    before = [path.read_bytes() for path in mel_paths(corpus)]
    forbid_decoding(monkeypatch)
    assert extract_mel(corpus) == counts(0, 4, 1)
    assert [path.read_bytes() for path in mel_paths(corpus)] == before


def test_bytes_do_not_depend_on_what_was_kept(corpus):
    write_manifest(corpus, [3, 7, 11])
    extract_mel(corpus)
    write_manifest(corpus, [2, 3, 5, 7, 11])
    assert extract_mel(corpus) == counts(2, 2, 1)
    piecewise = [path.read_bytes() for path in mel_paths(corpus)]
    for path in mel_paths(corpus):
        path.unlink()
    extract_mel(corpus)
    assert [path.read_bytes() for path in mel_paths(corpus)] == piecewise


def test_digest_is_of_the_content_alone(corpus):
    extract_mel(corpus)
    rows = pq.read_table(mel_paths(corpus)[0]).to_pylist()
    assert len({row["digest"] for row in rows}) == 4
    for row in rows:
        numbers = np.array([row["n_frames"], row["max_db"]], np.float64).tobytes()
        assert row["digest"] == hashlib.sha256(numbers + row["mel"]).hexdigest()
    extract_mel(corpus, code="2")
    again = pq.read_table(mel_paths(corpus)[0]).to_pylist()
    assert [row["digest"] for row in again] == [row["digest"] for row in rows]
    assert not {row["key"] for row in again} & {row["key"] for row in rows}


@pytest.mark.parametrize(
    "columns",
    [
        {"n": 2, "x": 0.5, "b": b"ab"},
        {"n": 1, "x": 0.25, "b": b"ab"},
        {"n": 1, "x": 0.5, "b": b"ac"},
    ],
)
def test_every_value_moves_the_digest(columns):
    row = {"n": 1, "x": 0.5, "b": b"ab"}
    assert shards.content_digest(row) == shards.content_digest(dict(row))
    assert shards.content_digest(columns) != shards.content_digest(row)


def test_corrected_duration_is_judged_anew(corpus):
    ids = [2, 3, 5, 7, 11]
    write_manifest(corpus, ids, [1.5, 1.5, None, 1.5, 30.0])
    assert extract_mel(corpus) == counts(3, 0, 2)
    reasons = pq.read_table(mel_paths(corpus)[1])["reason"].to_pylist()
    assert reasons[1] == "truncated: 1.50 s of 30.00 s by the metadata"
    digests = pq.read_table(mel_paths(corpus)[0])["digest"].to_pylist()
    write_manifest(corpus, ids, [1.5, 1.0, None, 1.5, 1.5])
    assert extract_mel(corpus) == counts(2, 2, 1)
    after = pq.read_table(mel_paths(corpus)[0])["digest"].to_pylist()
    assert after[:3] == digests and len(after) == 4


def test_excerpt_of_long_tracks(corpus):
    settings = MEL | {"max_duration": 1.2}
    assert extract_mel(corpus, settings) == counts(4, 0, 1)
    samples = soundfile.read(corpus / "000005.wav", dtype="float32")[0][1200:10800]
    q, max_db = quantise(mel_spectrogram_db(samples, MEL), 80.0)
    row = pq.read_table(mel_paths(corpus)[0]).to_pylist()[2]
    assert row["track_id"] == 5 and row["n_frames"] == 38
    assert row["mel"] == q.tobytes() and row["max_db"] == max_db


def test_new_changed_repaired_and_removed_tracks(corpus):
    extract_mel(corpus)
    clip(corpus, 4)
    clip(corpus, 5, seconds=2.0)
    clip(corpus, 7)
    write_manifest(corpus, [3, 4, 5, 7, 11])
    assert extract_mel(corpus) == counts(3, 2, 0)
    out, rejected = mel_paths(corpus)
    table = pq.read_table(out, columns=["track_id", "n_frames"])
    assert table["track_id"].to_pylist() == [3, 4, 5, 7, 11]
    assert table["n_frames"].to_pylist() == [47, 47, 63, 47, 47]
    assert pq.read_table(rejected).num_rows == 0


def test_other_settings_or_code_compute_all(corpus):
    extract_mel(corpus)
    assert extract_mel(corpus, MEL | {"n_mels": 16}) == counts(4, 0, 1)
    assert extract_mel(corpus, MEL | {"n_mels": 16}, code="2") == counts(4, 0, 1)


def test_moved_file_keeps_its_rejection_under_the_new_path(corpus, monkeypatch):
    extract_mel(corpus)
    (corpus / "000007.wav").rename(corpus / "000009.wav")
    manifest = pq.read_table(corpus / "manifest.parquet").to_pylist()
    manifest[3]["path"] = "000009.wav"
    pq.write_table(pa.Table.from_pylist(manifest), corpus / "manifest.parquet")
    forbid_decoding(monkeypatch)
    assert extract_mel(corpus) == counts(0, 4, 1)
    assert pq.read_table(mel_paths(corpus)[1])["path"].to_pylist() == ["000009.wav"]


def test_a_file_out_of_reach_rejects_no_track(corpus):
    (corpus / "000005.wav").rename(corpus / "elsewhere.wav")
    with pytest.raises(UserError, match=r"000005\.wav was there .*run again"):
        extract_mel(corpus)
    assert not mel_paths(corpus)[0].exists() and not mel_paths(corpus)[1].exists()
    (corpus / "elsewhere.wav").rename(corpus / "000005.wav")
    assert extract_mel(corpus) == counts(4, 0, 1)


def test_a_file_that_gives_other_bytes_than_were_scanned_rejects_no_track(corpus):
    whole = (corpus / "000005.wav").read_bytes()
    (corpus / "000005.wav").write_bytes(whole[:30])
    with pytest.raises(UserError, match=r"000005\.wav is not the file that was scanned \(unread"):
        extract_mel(corpus)
    (corpus / "000005.wav").write_bytes(whole)
    assert extract_mel(corpus) == counts(4, 0, 1)


def test_unexpected_error_leaves_the_old_file_and_names_the_track(corpus, monkeypatch):
    extract_mel(corpus)
    before = mel_paths(corpus)[0].read_bytes()
    clip(corpus, 13)
    write_manifest(corpus, [2, 13])
    forbid_decoding(monkeypatch)
    with pytest.raises(AssertionError) as error:
        extract_mel(corpus)
    assert "000013.wav" in error.value.__notes__[0]
    assert mel_paths(corpus)[0].read_bytes() == before
    assert {path.name for path in mel_paths(corpus)[0].parent.iterdir()} == {
        path.name for path in mel_paths(corpus)
    }


def test_empty_shard(tmp_path):
    write_manifest(tmp_path, [])
    assert extract_mel(tmp_path) == counts(0, 0, 0)
    out, rejected = mel_paths(tmp_path)
    assert pq.read_table(out).schema.equals(mel_shards.MEL_SCHEMA)
    assert pq.read_table(rejected).schema.equals(shards.REJECTED_SCHEMA)
    ids, spectrograms, max_db = read_mel([out])
    assert len(ids) == len(spectrograms) == len(max_db) == 0


def test_rows_lie_in_plain_groups_of_64(tmp_path):
    candidates = [{"track_id": i, "key": str(i), "path": str(i)} for i in range(130)]

    def compute(candidate):
        return {"n_frames": 1, "max_db": 0.0, "mel": bytes([candidate["track_id"]] * 32)}

    out = tmp_path / "000-of-001.parquet"
    arguments = (out, None, compute, mel_shards.MEL_SCHEMA, "mel")
    assert shards.update_shard(candidates, *arguments, **shards.BINARY_OPTIONS)["computed"] == 130
    candidates[100]["key"] = "changed"
    result = shards.update_shard(candidates, *arguments, **shards.BINARY_OPTIONS)
    assert result == counts(1, 129, 0)
    metadata = pq.ParquetFile(out).metadata
    assert [metadata.row_group(i).num_rows for i in range(3)] == [64, 64, 2]
    column = metadata.row_group(0).column(5)
    assert column.path_in_schema == "mel" and column.compression == "UNCOMPRESSED"
    assert not any("DICTIONARY" in encoding for encoding in column.encodings)
    ids, spectrograms, _ = read_mel([out])
    assert [int(q[0, 0]) for q in spectrograms] == ids.tolist() == list(range(130))


def test_joined_rows_are_the_same_whatever_was_kept(tmp_path):
    schema = pa.schema(
        [("track_id", pa.int64()), ("key", pa.string()), ("digest", pa.string())]
        + [(f"c{i}", pa.float64()) for i in range(5)]
    )

    def compute(row):
        return {f"c{i}": row["track_id"] + i / 10 for i in range(5)}

    def update(path, ids):
        rows = [{"track_id": i, "key": f"k{i}", "path": "p"} for i in ids]
        return shards.update_shard(
            rows, path, None, compute, schema, "essentia", row_group=8, joined=3
        )

    whole, grown = tmp_path / "whole.parquet", tmp_path / "grown.parquet"
    update(whole, range(20))
    update(grown, [0, 1, 5, 9, 10, 17])
    assert update(grown, range(20)) == {"computed": 14, "kept": 6, "rejected": 0}
    assert grown.read_bytes() == whole.read_bytes()
    table = pq.read_table(whole)
    assert table["track_id"].to_pylist() == list(range(20))
    assert table["c4"].to_pylist() == pytest.approx([i + 0.4 for i in range(20)])
    groups = pq.ParquetFile(whole).metadata
    assert [groups.row_group(i).num_rows for i in range(groups.num_row_groups)] == [8, 8, 4]


def test_mfcc_shard_follows_the_mel_shard(corpus, monkeypatch):
    extract_mel(corpus)
    mel, out = mel_paths(corpus)[0], corpus / "mfcc" / "003-of-008.parquet"
    forbid_decoding(monkeypatch)
    assert extract_mfcc_shard(mel, out, MFCC, "1") == counts(4, 0, 0)
    before = out.read_bytes()
    assert extract_mfcc_shard(mel, out, MFCC, "1") == counts(0, 4, 0)
    assert out.read_bytes() == before
    assert pq.read_table(out).schema.equals(MFCC_SCHEMA)
    mel_ids, spectrograms, max_db = read_mel([mel])
    ids, mfccs = read_frames([out], "mfcc")
    assert ids.tolist() == mel_ids.tolist()
    for q, top, mfcc in zip(spectrograms, max_db, mfccs, strict=True):
        assert mfcc.dtype == np.float16
        np.testing.assert_allclose(mfcc, mfcc_from_db(dequantise(q, top, 80.0), 13), rtol=5e-4)


def test_mfcc_follow_the_content_of_the_spectrograms(corpus, caplog):
    caplog.set_level(logging.INFO)
    extract_mel(corpus)
    mel, out = mel_paths(corpus)[0], corpus / "mfcc" / "003-of-008.parquet"
    extract_mfcc_shard(mel, out, MFCC, "1")
    before = out.read_bytes()
    assert extract_mel(corpus, code="2") == counts(4, 0, 1)
    assert extract_mfcc_shard(mel, out, MFCC, "1") == counts(0, 4, 0)
    assert caplog.messages[-1] == "shard 003 mfcc: 0 computed, 4 kept, 0 rejected"
    assert out.read_bytes() == before
    for row in pq.read_table(out).to_pylist():
        content = np.float64(row["n_frames"]).tobytes() + row["mfcc"]
        assert row["digest"] == hashlib.sha256(content).hexdigest()
    assert extract_mel(corpus, MEL | {"max_duration": 1.2}) == counts(4, 0, 1)
    assert extract_mfcc_shard(mel, out, MFCC, "1") == counts(4, 0, 0)


def test_mfcc_of_one_new_track_costs_one_track(corpus):
    extract_mel(corpus)
    mel, out = mel_paths(corpus)[0], corpus / "mfcc" / "003-of-008.parquet"
    extract_mfcc_shard(mel, out, MFCC, "1")
    clip(corpus, 4)
    write_manifest(corpus, [2, 4, 5, 11])
    extract_mel(corpus)
    assert extract_mfcc_shard(mel, out, MFCC, "1") == counts(1, 3, 0)
    assert read_frames([out], "mfcc")[0].tolist() == [2, 4, 5, 11]
    assert extract_mfcc_shard(mel, out, MFCC | {"n_mfcc": 5}, "1") == counts(4, 0, 0)


def test_essentia_shard(corpus, caplog):
    caplog.set_level(logging.INFO)
    write_manifest(corpus, [2, 5, 7])
    extract_mel(corpus)
    out = corpus / "essentia" / "003-of-008.parquet"
    rejected = out.with_name("003-of-008.rejected.parquet")
    arguments = (
        corpus / "manifest.parquet",
        mel_paths(corpus)[0],
        corpus,
        out,
        rejected,
        ESSENTIA,
        "1",
    )
    assert extract_essentia_shard(*arguments) == counts(2, 0, 0)
    assert caplog.messages[-1] == "shard 003 essentia: 2 computed, 0 kept, 0 rejected"
    before = out.read_bytes()
    assert extract_essentia_shard(*arguments) == counts(0, 2, 0)
    assert out.read_bytes() == before
    assert pq.read_schema(out).names == ["track_id", "key", "digest", *descriptor_names()]
    ids, names, values = read_essentia([out])
    assert ids.tolist() == [2, 5] and names == descriptor_names()
    assert values.shape == (2, 4374) and values.dtype == np.float64
    expected = list(essentia_descriptors(corpus / "000005.wav").values())
    np.testing.assert_array_equal(values[1], expected)
    digests = pq.read_table(out)["digest"].to_pylist()
    assert digests == [hashlib.sha256(row.tobytes()).hexdigest() for row in values]
    # The metadata's duration is judged once, with the spectrogram.
    write_manifest(corpus, [2, 5, 7], [1.5, 1.0, None])
    assert extract_essentia_shard(*arguments) == counts(0, 2, 0)
    excerpts = (*arguments[:5], ESSENTIA | {"max_duration": 1.2}, "1")
    assert extract_essentia_shard(*excerpts) == counts(2, 0, 0)
    _, names, values = read_essentia([out])
    length = values[:, names.index("metadata.audio_properties.length")]
    np.testing.assert_allclose(length, 1.2, atol=1e-3)


def test_readers_sort_the_tracks_of_all_shards(tmp_path):
    essentia_schema = pa.schema(
        [("track_id", pa.int64()), ("key", pa.string()), ("digest", pa.string())]
        + [(name, pa.float64()) for name in descriptor_names()]
    )

    def mel(row):
        return {"n_frames": 2, "max_db": row["track_id"] / 2, "mel": bytes([row["track_id"]] * 8)}

    def essentia(row):
        return {name: row["track_id"] + i / 1e4 for i, name in enumerate(descriptor_names())}

    mels, essentias = [], []
    for shard, ids in (("000-of-002", [3, 9, 20]), ("001-of-002", [1, 8, 30])):
        rows = [{"track_id": i, "key": "k", "path": "p"} for i in ids]
        mels.append(tmp_path / "mel" / f"{shard}.parquet")
        essentias.append(tmp_path / "essentia" / f"{shard}.parquet")
        shards.update_shard(rows, mels[-1], None, mel, mel_shards.MEL_SCHEMA, "mel")
        shards.update_shard(rows, essentias[-1], None, essentia, essentia_schema, "essentia")
    ids, spectrograms, max_db = read_mel(mels)
    assert ids.tolist() == [1, 3, 8, 9, 20, 30]
    assert [q.shape for q in spectrograms] == [(2, 4)] * 6
    assert [int(q[1, 3]) for q in spectrograms] == ids.tolist()
    assert max_db.tolist() == [0.5, 1.5, 4.0, 4.5, 10.0, 15.0]
    assert not spectrograms[0].flags.owndata
    ids, _, values = read_essentia(essentias)
    assert values[:, 0].tolist() == ids.tolist() == [1, 3, 8, 9, 20, 30]
    np.testing.assert_allclose(values[:, 4373], ids + 0.4373)


def test_manifest_naming_a_track_twice(corpus):
    write_manifest(corpus, [2, 3, 3])
    with pytest.raises(UserError, match=r"manifest\.parquet names track 3 twice"):
        extract_mel(corpus)


def test_manifest_without_a_column(corpus):
    manifest = pq.read_table(corpus / "manifest.parquet").drop_columns(["sha256"])
    pq.write_table(manifest, corpus / "manifest.parquet")
    with pytest.raises(UserError, match=r"manifest\.parquet has no column sha256"):
        extract_mel(corpus)


def test_earlier_file_that_is_no_parquet(corpus):
    out = mel_paths(corpus)[0]
    out.parent.mkdir()
    out.write_bytes(b"half a file")
    with pytest.raises(UserError, match=r"003-of-008\.parquet .* no Parquet file; delete it"):
        extract_mel(corpus)
