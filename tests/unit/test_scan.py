"""The scan loses no track and notices every change of the audio folder."""

import hashlib
import os
import shutil

import pandas as pd
import pyarrow.parquet as pq
import pytest
from test_fma import ROW, write_tracks

from agf.corpus.audio_files import audio_fingerprint
from agf.corpus.fma import audio_path
from agf.corpus.manifest import shard_name, shard_names
from agf.corpus.scan import scan_corpus
from agf.errors import UserError


@pytest.fixture
def data_dir(tmp_path):
    """Twelve tracks: 3 without a file, 4 without an artist, 5 without a genre."""
    metadata = tmp_path / "data" / "fma_metadata"
    metadata.mkdir(parents=True)
    rows = [ROW | {"track_id": track} for track in range(12)]
    rows[0] |= {"artist_id": 2, "artist": "Another", "genre_top": "Rock"}
    rows[1] |= {"genre_top": "Rock"}
    rows[2] |= {"artist_id": 2, "artist": "Another"}
    rows[4] |= {"artist_id": None}
    rows[5] |= {"genre_top": None}
    write_tracks(metadata / "tracks.csv", rows)
    genres = "genre_id,#tracks,parent,title,top_level\n21,9,0,Hip-Hop,21\n"
    (metadata / "genres.csv").write_text(genres)
    for track in range(12):
        if track != 3:
            path = tmp_path / "data" / "audio" / audio_path(track)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"clip %d" % track)
    return tmp_path / "data"


SETTINGS = {
    "source": "fma",
    "subset": "large",
    "duplicates": "reject",
    "min_genre_tracks": 1,
    "shards": 3,
}


def scan(data_dir, out, **settings):
    scan_corpus(SETTINGS | settings, data_dir, "audio", None, out, out / "cache")
    return pq.read_table(out / "scan.parquet").to_pandas()


def manifests(out):
    return [row for path in sorted(out.glob("shards/*")) for row in pq.read_table(path).to_pylist()]


def test_every_track_is_a_candidate_or_has_a_reason(data_dir, tmp_path):
    tracks = scan(data_dir, tmp_path / "out")
    reasons = dict(zip(tracks.track_id, tracks.reason, strict=True))
    given = {track: reason for track, reason in reasons.items() if isinstance(reason, str)}
    assert given == {3: "missing: no such file", 4: "no artist", 5: "no genre"}
    candidates = manifests(tmp_path / "out")
    assert sorted(row["track_id"] for row in candidates) == [0, 1, 2, 6, 7, 8, 9, 10, 11]
    for row in candidates:
        assert row["sha256"] == hashlib.sha256(b"clip %d" % row["track_id"]).hexdigest()
        assert (data_dir / row["path"]).is_file()


def test_a_shard_depends_on_the_track_alone(data_dir, tmp_path):
    assert shard_names(3) == ["000-of-003", "001-of-003", "002-of-003"]
    digest = int(hashlib.sha256(b"155320").hexdigest(), 16)
    assert shard_name(155320, 256) == f"{digest % 256:03d}-of-256"
    scan(data_dir, tmp_path / "out")
    for name in shard_names(3):
        rows = pq.read_table(tmp_path / "out" / "shards" / f"{name}.parquet").to_pylist()
        assert all(shard_name(row["track_id"], 3) == name for row in rows)


def test_shards_from_known_hashes():
    # sha256 of "1" ends in b (11), of "2" in 5, of "3" in e (14).
    names = [shard_name(track, 8) for track in (1, 2, 3)]
    assert names == ["003-of-008", "005-of-008", "006-of-008"]


def test_shards_are_even():
    names = [shard_name(track, 8) for track in range(8000)]
    sizes = [names.count(name) for name in shard_names(8)]
    assert min(sizes) > 880 and max(sizes) < 1120


def test_one_changed_clip_changes_one_manifest(data_dir, tmp_path):
    out = tmp_path / "out"
    scan(data_dir, out)
    before = {path.name: path.read_bytes() for path in out.glob("shards/*")}
    (data_dir / "audio" / audio_path(7)).write_bytes(b"another clip")
    scan(data_dir, out)
    changed = [p.name for p in out.glob("shards/*") if p.read_bytes() != before[p.name]]
    assert changed == [f"{shard_name(7, 3)}.parquet"]


def test_touching_changes_the_fingerprint_but_no_manifest(data_dir, tmp_path):
    out = tmp_path / "out"
    scan(data_dir, out)
    before = {path.name: path.read_bytes() for path in out.glob("shards/*")}
    fingerprint = audio_fingerprint(data_dir / "audio")
    assert fingerprint == audio_fingerprint(data_dir / "audio")
    os.utime(data_dir / "audio" / audio_path(7), (1, 1))
    assert fingerprint != audio_fingerprint(data_dir / "audio")
    scan(data_dir, out)
    assert before == {path.name: path.read_bytes() for path in out.glob("shards/*")}


def test_byte_identical_files_are_one_track(data_dir, tmp_path):
    for track in (8, 10):
        (data_dir / "audio" / audio_path(track)).write_bytes(b"clip 2")
    tracks = scan(data_dir, tmp_path / "out").set_index("track_id")
    assert pd.isna(tracks.reason[2])
    assert list(tracks.reason[[8, 10]]) == ["duplicate of 2", "duplicate of 2"]
    assert tracks.sha256[8] == tracks.sha256[2] == hashlib.sha256(b"clip 2").hexdigest()
    assert {row["track_id"] for row in manifests(tmp_path / "out")} == {0, 1, 2, 6, 7, 9, 11}
    kept = scan(data_dir, tmp_path / "out", duplicates="keep")
    assert set(kept.track_id[kept.reason.isna()]) == {0, 1, 2, 6, 7, 8, 9, 10, 11}


def test_a_clip_is_expected_to_last_30_seconds_at_most(data_dir, tmp_path):
    table = (data_dir / "fma_metadata" / "tracks.csv").read_text()
    assert ROW["duration"] == 168
    scan(data_dir, tmp_path / "out")
    assert {row["duration"] for row in manifests(tmp_path / "out")} == {30.0}
    (data_dir / "fma_metadata" / "tracks.csv").write_text(table.replace("168", "12"))
    scan(data_dir, tmp_path / "out")
    assert {row["duration"] for row in manifests(tmp_path / "out")} == {12.0}


def test_a_file_that_cannot_be_opened_is_a_rejected_track(data_dir, tmp_path, monkeypatch):
    closed = str(data_dir / "audio" / audio_path(6))
    real = open

    def refuse(path, *arguments, **options):
        if str(path) == closed:
            raise PermissionError(13, "Permission denied")
        return real(path, *arguments, **options)

    monkeypatch.setattr("builtins.open", refuse)
    tracks = scan(data_dir, tmp_path / "out").set_index("track_id")
    assert tracks.reason[6] == "missing: not readable"


def test_a_drive_that_fails_ends_the_scan_and_rejects_nothing(data_dir, tmp_path, monkeypatch):
    lost = str(data_dir / "audio" / audio_path(6))
    real = open

    def fail(path, *arguments, **options):
        if str(path) == lost:
            raise OSError(5, "Input/output error")
        return real(path, *arguments, **options)

    monkeypatch.setattr("builtins.open", fail)
    with pytest.raises(UserError, match=rf"^{lost} was there .*\(Input/output error\)"):
        scan(data_dir, tmp_path / "out")
    assert not (tmp_path / "out" / "scan.parquet").exists()


def test_a_file_that_may_be_read_again_is_news(data_dir, monkeypatch):
    before = audio_fingerprint(data_dir / "audio")
    closed = str(data_dir / "audio" / audio_path(6))
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) != closed)
    assert audio_fingerprint(data_dir / "audio") != before
    monkeypatch.undo()
    assert audio_fingerprint(data_dir / "audio") == before


def test_the_scan_opens_new_files_only(data_dir, tmp_path, monkeypatch):
    out = tmp_path / "out"
    scan(data_dir, out)
    opened = []
    digest = hashlib.file_digest
    monkeypatch.setattr(
        hashlib, "file_digest", lambda f, name: opened.append(f.name) or digest(f, name)
    )
    scan(data_dir, out)
    assert opened == []
    path = data_dir / "audio" / audio_path(9)
    path.write_bytes(b"another clip")
    scan(data_dir, out)
    assert opened == [str(path)]
    # The same names, sizes and dates in another place are not the same files.
    shutil.copytree(data_dir, tmp_path / "copy", copy_function=shutil.copy2)
    scan(tmp_path / "copy", out)
    assert len(opened) == 1 + 9


def test_tracks_of_a_rare_genre_are_rejected(data_dir, tmp_path):
    tracks = scan(data_dir, tmp_path / "out", min_genre_tracks=2).set_index("track_id")
    assert list(tracks.index[tracks.reason.isna()]) == [0, 1, 2, 6, 7, 8, 9, 10, 11]
    with pytest.raises(UserError, match=r"7 tracks of .* have one top genre, 'Hip-Hop'"):
        scan(data_dir, tmp_path / "out", min_genre_tracks=3)
    (data_dir / "audio" / audio_path(1)).unlink()  # missing tracks do not count
    with pytest.raises(UserError, match=r"7 tracks of .* have one top genre"):
        scan(data_dir, tmp_path / "out", min_genre_tracks=2)


def test_one_artist_is_refused_before_any_work(data_dir, tmp_path):
    path = data_dir / "fma_metadata" / "tracks.csv"
    path.write_text(path.read_text().replace("Another", ROW["artist"]))
    with pytest.raises(UserError, match=r"9 tracks of .* have one artist"):
        scan(data_dir, tmp_path / "out")


def test_a_genre_named_like_a_column_is_refused_before_any_work(data_dir, tmp_path):
    path = data_dir / "fma_metadata" / "tracks.csv"
    path.write_text(path.read_text().replace("Rock", "track_id"))
    with pytest.raises(UserError, match=r"top genre of .* is called 'track_id'"):
        scan(data_dir, tmp_path / "out")


def test_another_collection_under_the_same_name_is_refused(data_dir, tmp_path):
    out = tmp_path / "out"
    scan(data_dir, out)
    other = tmp_path / "other"
    shutil.copytree(data_dir, other)
    for path in sorted((other / "audio").rglob("*.mp3"))[:8]:
        path.write_bytes(b"somebody else's " + path.read_bytes())
    with pytest.raises(UserError, match="has 3 of its 9 files: give corpus another name"):
        scan(other, out)
    # The features are still those of the first folder, whose tracks may come and go.
    for path in sorted((data_dir / "audio").rglob("*.mp3"))[3:]:
        path.unlink()
    assert scan(data_dir, out).reason.isna().sum() == 3


def test_an_empty_audio_folder_is_one_clear_sentence(data_dir, tmp_path):
    for path in (data_dir / "audio").rglob("*.mp3"):
        path.unlink()
    with pytest.raises(UserError, match=r"None of the 12 tracks .*10 missing"):
        scan(data_dir, tmp_path / "out")
