"""A folder of tagged files becomes tracks; what cannot be used is there with a reason."""

import errno
import hashlib
import logging
import os
import struct
import unicodedata
from pathlib import Path

import mutagen
import mutagen.id3
import mutagen.mp4
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile

from agf.corpus import folder
from agf.corpus.audio_files import find_audio
from agf.corpus.folder import read_folder, stable_id
from agf.errors import UserError

RATE = 48000
SECONDS = 1.0
SUFFIXES = ("mp3", "ogg", "opus", "flac", "wav")
FRAMES = {
    "artist": mutagen.id3.TPE1,
    "album_artist": mutagen.id3.TPE2,
    "album": mutagen.id3.TALB,
    "genre": mutagen.id3.TCON,
    "title": mutagen.id3.TIT2,
}
TYPES = {
    "track_id": pa.int64(),
    "path": pa.string(),
    "artist_id": pa.int64(),
    "artist": pa.string(),
    "album_id": pa.int64(),
    "album": pa.string(),
    "title": pa.string(),
    "genre_top": pa.string(),
    "genres": pa.list_(pa.int64()),
    "duration": pa.float64(),
    "subset": pa.string(),
    "official_split": pa.string(),
    "reason": pa.string(),
}
TAGS = {
    "artist": ["Nina Simone"],
    "album_artist": ["Various Artists"],
    "album": ["Jazz im Überfluß"],
    "genre": ["Jazz", "Soul"],
    "title": ["Sinnerman"],
}


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """One second of noise in every format, without tags, as bytes by suffix."""
    noise = 0.1 * np.random.default_rng(0).normal(size=(int(SECONDS * RATE), 2))
    place, clips = tmp_path_factory.mktemp("clips"), {}
    for suffix in SUFFIXES:
        options = {"format": "OGG", "subtype": "OPUS"} if suffix == "opus" else {}
        soundfile.write(place / f"clip.{suffix}", noise, RATE, **options)
        clips[suffix] = (place / f"clip.{suffix}").read_bytes()
    return clips


@pytest.fixture
def tree(tmp_path):
    (tmp_path / "music").mkdir()
    return tmp_path / "music"


@pytest.fixture
def put(tree, clips):
    """Return a function that writes a clip with tags (lists of values) into the tree."""

    def put(name, /, **tags):
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(clips[path.suffix[1:].lower()])
        file = mutagen.File(path)
        if file.tags is None:
            file.add_tags()
        for tag, values in tags.items():
            values = [values] if isinstance(values, str) else values
            if isinstance(file.tags, mutagen.id3.ID3):
                file.tags.add(FRAMES[tag](encoding=3, text=values))
            else:
                file.tags[tag.replace("album_artist", "albumartist")] = values
        file.save()
        return path

    return put


@pytest.fixture
def read(tree, tmp_path):
    """Return a function that reads the tree; given text, it is the file of tags."""

    def read(tags=None):
        tags_file = None
        if tags is not None:
            tags_file = tmp_path / "tags.csv"
            tags_file.write_bytes(tags if isinstance(tags, bytes) else tags.encode())
        files, _ = find_audio(tree)
        tracks, genres = read_folder(tree, files, tags_file, tmp_path / "cache.parquet")
        by_path = {row["path"]: row for row in tracks.to_dict("records")}
        assert len(by_path) == len(tracks)
        assert by_path.keys() >= {file.path for file in files}
        return by_path, dict(zip(genres.genre_id, genres.title, strict=True))

    return read


def reasons(tracks):
    return {path: track["reason"] for path, track in tracks.items()}


def names(track, genres):
    return [genres[genre] for genre in track["genres"]]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_tags_of_every_format(put, read, suffix):
    put(f"Disc 1/a.{suffix}", **TAGS)
    tracks, genres = read()
    track = tracks[f"Disc 1/a.{suffix}"]
    assert track["reason"] is None
    assert (track["artist"], track["title"]) == ("Nina Simone", "Sinnerman")
    assert track["album"] == "Jazz im Überfluß"
    assert track["genre_top"] == "Jazz" and names(track, genres) == ["Jazz", "Soul"]
    assert track["duration"] == pytest.approx(SECONDS, abs=0.1)
    assert track["subset"] is None and track["official_split"] is None


def test_the_frames_have_the_types_of_the_scan(put, read, tree, tmp_path):
    put("a.mp3", **TAGS)
    put("b.flac")
    tracks, genres = read_folder(tree, find_audio(tree)[0], None, tmp_path / "cache.parquet")
    assert list(tracks.columns) == list(TYPES)
    table = pa.Table.from_pandas(tracks, schema=pa.schema(TYPES), preserve_index=False)
    bare = next(row for row in table.to_pylist() if row["path"] == "b.flac")
    track_id = int(hashlib.sha256(b"b.flac").hexdigest()[:13], 16)
    assert bare == dict.fromkeys(TYPES) | {
        "track_id": track_id,
        "path": "b.flac",
        "title": "b",
        "genres": [],
        "duration": SECONDS,
        "reason": "no artist: and no genre",
    }
    assert tracks.track_id.is_monotonic_increasing and genres.genre_id.is_monotonic_increasing
    assert tracks.track_id.dtype == "int64" and tracks.artist_id.dtype == "Int64"
    assert set(genres.title) == {"Jazz", "Soul"}
    assert list(genres.columns) == ["genre_id", "title", "parent", "top_level"]
    assert list(genres.parent) == [0, 0] and list(genres.top_level) == list(genres.genre_id)


def test_riff_info_fills_what_the_id3_chunk_lacks(tree, put, read):
    for name in ("info.wav", "both.wav"):
        with soundfile.SoundFile(tree / name, "w", RATE, 1) as file:
            file.artist, file.genre, file.album, file.title = "Björk", "Pop", "Post", "Hyperballad"
            file.write(np.full(RATE, 0.1))
    both = mutagen.File(tree / "both.wav")
    both.add_tags()
    both.tags.add(mutagen.id3.TPE1(encoding=3, text="Sugarcubes"))
    both.save()
    tracks, _ = read()
    shown = {path: [track[k] for k in ("artist", "album")] for path, track in tracks.items()}
    assert shown == {"info.wav": ["Björk", "Post"], "both.wav": ["Sugarcubes", "Post"]}
    assert tracks["info.wav"]["genre_top"] == "Pop" and tracks["info.wav"]["reason"] is None


def id3v1(artist, album, title, genre):
    fields = (title.ljust(30, "\0"), artist.ljust(30, "\0"), album.ljust(30, "\0"))
    return b"TAG" + "".join(fields).encode("latin-1") + b"1969" + bytes(30) + bytes([genre])


def id3v22(**frames):
    body = b"".join(
        name.encode() + (len(text) + 1).to_bytes(3, "big") + b"\0" + text.encode("latin-1")
        for name, text in frames.items()
    )
    return b"ID3\2\0\0" + bytes([0, 0, len(body) >> 7, len(body) & 127]) + body


def test_older_versions_of_id3(tree, clips, put, read):
    (tree / "v1.mp3").write_bytes(clips["mp3"] + id3v1("Café Tacvba", "Re", "La Ingrata", 17))
    data = id3v22(TP1="Café Tacvba", TAL="Re", TT2="La Ingrata", TCO="(17)")
    (tree / "v22.mp3").write_bytes(data + clips["mp3"])
    v23 = mutagen.File(put("v23.mp3", artist="Café Tacvba", genre="(17)", title="La Ingrata"))
    v23.tags.update_to_v23()
    v23.save(v2_version=3)
    tracks, _ = read()
    for track in tracks.values():
        assert (track["artist"], track["title"]) == ("Café Tacvba", "La Ingrata")
        assert (track["genre_top"], track["reason"]) == ("Rock", None)
    assert (tree / "v23.mp3").read_bytes()[:4] == b"ID3\3"
    assert len({track["artist_id"] for track in tracks.values()}) == 1


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ("17", ["Rock"]),
        ("(17)", ["Rock"]),
        ("(4)Eurodisco", ["Disco", "Eurodisco"]),
        ("(17);(9)", ["Rock", "Metal"]),
        ("Rock; Pop ;rock", ["Rock", "Pop"]),
        (["Rock", "Pop;Jazz"], ["Rock", "Pop", "Jazz"]),
        ("Old-Time / Historic", ["Old-Time / Historic"]),
        ("Folk, World, & Country", ["Folk, World, & Country"]),
        ("  Trip  Hop ", ["Trip Hop"]),
        (["Other", "Ska"], ["Ska"]),
        ("12", []),
        ("(255)", []),
        (["unknown", "NONE", " ; "], []),
        ([], []),
    ],
)
@pytest.mark.parametrize("suffix", ["mp3", "ogg"])
def test_genres(put, read, suffix, values, expected):
    put(f"a.{suffix}", artist="A", genre=values)
    tracks, genres = read()
    track = tracks[f"a.{suffix}"]
    assert names(track, genres) == expected
    assert track["genre_top"] == (expected[0] if expected else None)
    assert track["reason"] == (None if expected else "no genre")
    assert len(genres) == len(expected)


@pytest.mark.parametrize(
    ("artist", "album_artist", "expected"),
    [
        ("Can", "Various Artists", "Can"),
        ([], "Can", "Can"),
        ("  ", "Can", "Can"),
        ("Unknown Artist", "Can", "Can"),
        ("VARIOUS ARTISTS", "v.a.", None),
        ([], "Various", None),
        (["Can", "Brian Eno"], [], "Can"),
        ("Various  Cruelties", [], "Various Cruelties"),
        ("AC/DC; Guest", [], "AC/DC; Guest"),
        ([], [], None),
    ],
)
def test_artists(put, read, artist, album_artist, expected):
    put("a.flac", artist=artist, album_artist=album_artist, genre="Rock")
    track = read()[0]["a.flac"]
    assert track["artist"] == expected
    assert track["reason"] == (None if expected else "no artist")
    assert pd.isna(track["artist_id"]) == (expected is None)


def test_one_name_in_many_spellings_is_one(put, read):
    spellings = ["sigur rós", "Sigur Rós", "Sigur  Ro\u0301s", "SIGUR RÓS"]
    for number, artist in enumerate(spellings):
        put(
            f"{number}.ogg",
            artist=artist,
            album="( )",
            genre=["post-rock", "Post-Rock"][number % 2],
        )
    tracks, genres = read()
    assert {track["artist"] for track in tracks.values()} == {"Sigur Rós"}
    assert len({track["artist_id"] for track in tracks.values()}) == 1
    assert len({track["album_id"] for track in tracks.values()}) == 1
    # Two and two: the spelling of the first path.
    assert list(genres.values()) == ["post-rock"]
    assert {track["genre_top"] for track in tracks.values()} == {"post-rock"}


def test_albums_are_told_apart_by_their_artist(put, read):
    put("1.ogg", artist="Queen", album="Greatest Hits", genre="Rock")
    put("2.ogg", artist="ABBA", album="Greatest Hits", genre="Pop")
    put("3.ogg", artist="ABBA", album="greatest hits ", album_artist="Abba", genre="Pop")
    put("4.ogg", artist="Queen", album="Hits", album_artist="Various Artists", genre="Rock")
    put("5.ogg", artist="ABBA", album="Hits", album_artist="Various Artists", genre="Rock")
    put("6.ogg", artist="ABBA", genre="Rock")
    album = {path[0]: track["album_id"] for path, track in read()[0].items()}
    assert album["1"] != album["2"] == album["3"]
    assert album["4"] == album["5"] != album["1"]
    assert pd.isna(album["6"]) and read()[0]["6.ogg"]["album"] is None


def test_ids_are_hashes_that_no_other_file_changes(put, read, tree):
    put("a/1.mp3", artist="Can", album="Tago Mago", genre="Rock")
    put("a/2.mp3", artist="Neu!", genre="Krautrock")
    first, _ = read()
    sha = {
        text: int(hashlib.sha256(text.encode()).hexdigest()[:13], 16)
        for text in ("a/1.mp3", "can", "can\0tago mago", "rock")
    }
    one = first["a/1.mp3"]
    assert [one["track_id"], one["artist_id"], one["album_id"], *one["genres"]] == [*sha.values()]
    assert all(value < 2**52 for value in sha.values())

    put("a/0.mp3", artist="Amon Düül", genre="Rock")
    put("0/0.mp3", artist="CAN", album="Ege Bamyasi", genre="Rock")
    (tree / "a" / "2.mp3").unlink()
    second, _ = read()
    # Only the common spelling may be another one, the ids may not.
    assert second["a/1.mp3"] == one | {"artist": "CAN"}
    assert second["0/0.mp3"]["artist_id"] == one["artist_id"]

    put("a/1.mp3", artist="Faust", genre="Rock", title="Krautrock")
    third, _ = read()
    assert third["a/1.mp3"]["track_id"] == one["track_id"]
    assert third["a/1.mp3"]["artist_id"] == int(hashlib.sha256(b"faust").hexdigest()[:13], 16)
    (tree / "a" / "1.mp3").rename(tree / "a" / "renamed.mp3")
    assert read()[0]["a/renamed.mp3"]["track_id"] != one["track_id"]


def test_two_names_with_one_id_are_refused(put, read, monkeypatch):
    put("a.mp3", artist="Can", genre="Rock")
    put("b.mp3", artist="Neu!", genre="Rock")
    monkeypatch.setattr(folder, "stable_id", lambda text: len(text))
    with pytest.raises(UserError, match=r"The paths 'a\.mp3' and 'b\.mp3' have the same id"):
        read()
    assert stable_id("can") != stable_id("neu!")


def test_broken_files_have_a_reason(tree, clips, put, read, caplog):
    (tree / "empty.mp3").touch()
    (tree / "page.mp3").write_text("<html>404 Not Found</html>" * 200)
    (tree / "page.ogg").write_text("<html>404 Not Found</html>" * 200)
    (tree / "page.m4a").write_text("<html>404 Not Found</html>" * 200)
    (tree / "aac.m4a").write_bytes(b"\0\0\0\x1cftypM4A \0\0\0\0M4A mp42isom")
    # The ID3 header promises 256 MB of tags.
    (tree / "tags.mp3").write_bytes(b"ID3\4\0\0\x7f\x7f\x7f\x7f" + clips["mp3"])
    (tree / "cut.flac").write_bytes(clips["flac"][:20])
    put("good.mp3", artist="Can", genre="Rock")
    tracks, _ = read()
    given = reasons(tracks)
    unreadable = "unreadable: its tags or its header cannot be read ("
    for name in ("page.mp3", "tags.mp3", "cut.flac"):
        assert given.pop(name).startswith(unreadable)
        assert f"{name}'" in caplog.text
    assert given == {
        "empty.mp3": "unreadable: the file is empty",
        "page.ogg": "unreadable: neither audio nor tags are recognised in it",
        "page.m4a": "unreadable: neither audio nor tags are recognised in it",
        "aac.m4a": "unreadable: m4a cannot be decoded here, convert it to flac or wav",
        "good.mp3": None,
    }


def test_the_users_tags_make_up_for_unreadable_ones_only(tree, read):
    (tree / "page.mp3").write_text("<html>" * 200)
    (tree / "half.mp3").write_text("<html>" * 200)
    (tree / "empty.mp3").touch()
    (tree / "aac.m4a").write_bytes(b"\0\0\0\x1cftypM4A \0\0\0\0M4A mp42isom")
    rows = "page.mp3,Can,Rock\nhalf.mp3,Can,\nempty.mp3,Can,Rock\naac.m4a,Can,Rock\n"
    given = reasons(read("path,artist,genre\n" + rows)[0])
    assert given["page.mp3"] is None  # whether it is audio is for the decoder to say
    assert given["half.mp3"].startswith("unreadable: its tags")
    assert given["empty.mp3"] == "unreadable: the file is empty"
    assert given["aac.m4a"].startswith("unreadable: m4a")


def box(name, *parts):
    body = b"".join(parts)
    return struct.pack(">I4s", len(body) + 8, name) + body


def m4a():
    """The boxes of an MP4 file with one sound track of two seconds, without samples."""
    mdhd = box(b"mdhd", struct.pack(">IIIIIHH", 0, 0, 0, RATE, 2 * RATE, 0, 0))
    hdlr = box(b"hdlr", bytes(8), b"soun", bytes(13))
    trak = box(b"trak", box(b"mdia", mdhd, hdlr))
    return box(b"ftyp", b"M4A \0\0\0\0M4A ") + box(b"moov", trak)


def test_m4a_is_read_where_the_decoder_knows_it(tree, read, monkeypatch):
    path = tree / "a.m4a"
    path.write_bytes(m4a())
    file = mutagen.mp4.MP4(path)
    file.add_tags()
    file.tags["\xa9ART"], file.tags["aART"], file.tags["\xa9alb"] = "Air", "Air", "Moon Safari"
    file.tags["\xa9gen"], file.tags["\xa9nam"] = ["Electronic", "Downtempo"], "La femme d'argent"
    file.save()
    assert read()[0]["a.m4a"]["reason"].startswith("unreadable: m4a cannot be decoded here")
    (tree.parent / "cache.parquet").unlink()
    monkeypatch.setattr(folder, "_decodes", lambda path: True)
    tracks, genres = read()
    track = tracks["a.m4a"]
    assert (track["reason"], track["duration"]) == (None, 2.0)
    assert [track["artist"], track["album"], track["title"]] == [
        "Air",
        "Moon Safari",
        "La femme d'argent",
    ]
    assert names(track, genres) == ["Electronic", "Downtempo"]


def test_an_mp3_called_m4a_is_taken_for_what_it_is(tree, put, read):
    put("a.mp3", artist="Can", genre="Rock").rename(tree / "a.m4a")
    assert read()[0]["a.m4a"]["reason"] is None


@pytest.mark.parametrize("error", [RecursionError("deep"), ValueError("bad\nvalue"), KeyError(3)])
def test_no_fault_of_a_parser_stops_the_scan(put, read, monkeypatch, caplog, error):
    put("good.mp3", artist="Can", genre="Rock")
    put("hostile.mp3", artist="Can", genre="Rock")
    parse = mutagen.File

    def fragile(path):
        if Path(path).name == "hostile.mp3":
            raise error
        return parse(path)

    monkeypatch.setattr(mutagen, "File", fragile)
    given = reasons(read()[0])
    assert given["good.mp3"] is None
    text = " ".join(str(error).split())
    assert given["hostile.mp3"] == f"unreadable: its tags or its header cannot be read ({text})"
    assert "hostile.mp3" in caplog.text


def test_files_with_random_damage_are_all_accounted_for(tree, clips, put, read):
    random = np.random.default_rng(1)
    for suffix in SUFFIXES:
        good = put(f"good.{suffix}", **TAGS).read_bytes()
        for number in range(20):
            data = np.frombuffer(good, np.uint8).copy()
            near = random.integers(0, min(len(data), 400), 12)
            data[near] = random.integers(0, 256, 12)
            (tree / f"{number}.{suffix}").write_bytes(
                data[: random.integers(1, len(data))].tobytes()
            )
    tracks, _ = read()
    assert len(tracks) == 21 * len(SUFFIXES)
    assert all(tracks[f"good.{suffix}"]["reason"] is None for suffix in SUFFIXES)
    kinds = ("unreadable: ", "no artist", "no genre")
    assert all(reason is None or reason.startswith(kinds) for reason in reasons(tracks).values())


def test_a_second_scan_opens_new_and_changed_files_only(put, read, tree, tmp_path, monkeypatch):
    for number in range(4):
        put(f"{number}.mp3", artist=f"Artist {number}", genre="Rock", album="A", title="T")
    (tree / "page.mp3").write_text("<html>" * 200)
    (tree / "aac.m4a").write_bytes(b"\0\0\0\x1cftypM4A \0\0\0\0M4A mp42isom")
    opened, parse, sound = [], mutagen.File, soundfile.SoundFile
    monkeypatch.setattr(mutagen, "File", lambda path: opened.append(path.name) or parse(path))
    monkeypatch.setattr(soundfile, "SoundFile", lambda p: opened.append(p.name) or sound(p))
    first = read()
    assert sorted(opened) == ["0.mp3", "1.mp3", "2.mp3", "3.mp3", "aac.m4a", "page.mp3"]
    opened.clear()
    second = read()
    assert opened == []
    assert repr(second) == repr(first)  # by text, since NaN is not itself

    put("new.mp3", artist="New", genre="Rock")
    os.utime(put("2.mp3", artist="Changed", genre="Rock"), ns=(1, 1))
    (tree / "3.mp3").unlink()
    opened.clear()
    tracks, _ = read()
    assert sorted(opened) == ["2.mp3", "new.mp3"]
    assert tracks["2.mp3"]["artist"] == "Changed" and "3.mp3" not in tracks
    paths = pq.read_table(tmp_path / "cache.parquet")["path"].to_pylist()
    assert sorted(paths) == ["0.mp3", "1.mp3", "2.mp3", "aac.m4a", "new.mp3", "page.mp3"]


def test_a_cache_that_is_damaged_or_of_other_versions_is_made_anew(
    put, read, tmp_path, monkeypatch
):
    put("a.mp3", artist="Can", genre="Rock")
    cache = tmp_path / "cache.parquet"
    cache.write_bytes(b"no parquet")
    assert read()[0]["a.mp3"]["artist"] == "Can"
    good = cache.read_bytes()
    stale = pq.read_table(cache)
    stale = stale.set_column(3, "artist", pa.array(["Stale"])).replace_schema_metadata(
        {"readers": "mutagen 1.0"}
    )
    pq.write_table(stale, cache)
    assert read()[0]["a.mp3"]["artist"] == "Can"
    assert cache.read_bytes() == good


def test_a_file_that_cannot_be_opened_is_tried_again(put, read, monkeypatch):
    put("a.mp3", artist="Can", genre="Rock")

    def locked(path):
        try:
            raise PermissionError(13, "Permission denied")
        except OSError as error:
            raise mutagen.MutagenError(error) from error

    with monkeypatch.context() as patch:
        patch.setattr(mutagen, "File", locked)
        assert reasons(read()[0]) == {"a.mp3": "unreadable: Permission denied"}
        tracks, _ = read("path,artist,genre\na.mp3,Can,Rock\n")
        assert reasons(tracks) == {"a.mp3": "unreadable: Permission denied"}
    assert reasons(read()[0]) == {"a.mp3": None}


def test_the_length_is_the_headers_or_not_known(tree, clips, put, read):
    put("good.mp3", artist="A", genre="Rock")
    data = clips["mp3"]
    second_frame = data.find(data[:2], 4)
    (tree / "no_xing.mp3").write_bytes(data[second_frame:])
    wav = bytearray(clips["wav"])
    at = wav.find(b"data") + 4
    (tree / "cut.wav").write_bytes(wav[: len(wav) // 2])
    wav[at : at + 4] = b"\xff" * 4
    (tree / "streamed.wav").write_bytes(wav)
    length = {path: track["duration"] for path, track in read()[0].items()}
    assert length["good.mp3"] == pytest.approx(SECONDS, abs=1e-3)
    assert length["cut.wav"] == SECONDS
    assert np.isnan(length["no_xing.mp3"]) and np.isnan(length["streamed.wav"])


def test_the_users_tags_go_before_those_of_the_file(put, read):
    put("x/a.mp3", **TAGS)
    put("b.ogg", artist="Kept", genre="Kept", album="Kept", title="Kept")
    put("c.ogg", artist="Kept", genre="Kept")
    text = (
        "title,path,genre,artist\n"
        '"Four Women, live",x/a.mp3,Blues; Gospel,Nina Simone Trio\n'
        "\n"
        ",./b.ogg, ,\n"
        ",c.ogg,1980,Unknown Artist\n"
    )
    tracks, genres = read(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    a, b, c = (tracks[name] for name in ("x/a.mp3", "b.ogg", "c.ogg"))
    assert [a["artist"], a["title"], a["album"]] == [
        "Nina Simone Trio",
        "Four Women, live",
        "Jazz im Überfluß",
    ]
    assert names(a, genres) == ["Blues", "Gospel"]
    assert [b["artist"], b["genre_top"], b["album"], b["title"]] == ["Kept"] * 4
    assert (c["artist"], c["reason"], c["genre_top"]) == (None, "no artist", "1980")


def test_a_drive_that_goes_away_rejects_no_track(put, read, monkeypatch):
    path = put("a.mp3", artist="Can", genre="Rock")

    def lost(path):
        raise OSError(errno.ESTALE, "Stale file handle")

    monkeypatch.setattr(mutagen, "File", lost)
    with pytest.raises(UserError, match=rf"^{path} was there .*\(Stale file handle\)"):
        read()
    monkeypatch.undo()
    assert reasons(read()[0]) == {"a.mp3": None}


def test_a_row_without_a_file_is_a_rejected_track(put, read):
    put("a.mp3", artist="Can", genre="Rock")
    tracks, _ = read("path,artist,genre\nb/gone.mp3,Can,Rock\n../a.mp3,,\na.mp3,,\n")
    gone = "missing: no such file"
    assert reasons(tracks) == {"a.mp3": None, "b/gone.mp3": gone, "../a.mp3": gone}
    assert tracks["b/gone.mp3"]["artist_id"] == tracks["a.mp3"]["artist_id"]
    assert tracks["b/gone.mp3"]["title"] == "gone"
    assert np.isnan(tracks["b/gone.mp3"]["duration"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("path,artist\na.mp3,Can\n./a.mp3,Can\n", "line 3: 'a.mp3' has a row already"),
        ("path,artist\ne\u0301,Can\n\u00e9,Can\n", "line 3: '\u00e9' has a row already"),
        ("artist,genre\nCan,Rock\n", "no column 'path'"),
        ("path;artist\na.mp3;Can\n", "no column 'path'"),
        ("", "no column 'path'"),
        ("path,artist,mood\na.mp3,Can,calm\n", "unknown column 'mood'"),
        ("path,artist,artist\na.mp3,Can,Can\n", "the column 'artist' twice"),
        ("path,artist\na.mp3\n", "line 2: 1 cells under 2 columns"),
        ("path,artist\n\na.mp3,Can,Rock\n", "line 3: 3 cells under 2 columns"),
        ("path,artist\n,Can\n", "line 2: the path '' must be relative"),
        ("path,artist\n/music/a.mp3,Can\n", "line 2: the path '/music/a.mp3' must be relative"),
        ('path,artist\na.mp3,"Can\nb.mp3,Can\n', "mend the quotes"),
        ('path,artist\na.mp3,"Can" x\n', "line 2: "),
        ("path,artist\na.mp3,Café\n".encode("latin-1"), "not UTF-8"),
        ("path,artist\na.mp3,Can\n".encode("utf-16"), "not UTF-8"),
    ],
)
def test_a_bad_file_of_tags_is_one_clear_sentence(put, read, text, words):
    put("a.mp3", artist="Can", genre="Rock")
    with pytest.raises(UserError, match=r"tags\.csv") as error:
        read(text)
    assert words in str(error.value)


def test_no_file_of_tags(tree, tmp_path):
    with pytest.raises(UserError, match=r"none\.csv cannot be read: No such file"):
        read_folder(tree, [], tmp_path / "none.csv", tmp_path / "cache.parquet")


def test_accents_in_names_are_one_however_encoded(put, read, tree):
    nfc, nfd = "Motörhead/é.mp3", unicodedata.normalize("NFD", "Motörhead/é.mp3")
    put(nfd, genre="Rock")
    tracks, _ = read(f"path,artist\n{nfc},Motörhead\n")
    assert reasons(tracks) == {nfd: None}  # the path opens the file, so it stays as it is
    assert tracks[nfd]["title"] == "é"
    assert tracks[nfd]["track_id"] == int(hashlib.sha256(nfc.encode()).hexdigest()[:13], 16)
    put(nfc, genre="Rock")
    with pytest.raises(UserError, match=r"Two files have the name 'Motörhead/é\.mp3'"):
        read()


def test_line_breaks_in_names_and_tags(put, read):
    put("two\nlines.mp3", artist="A\r\nB\tC", genre="Rock", album="\x07Bell\u2028")
    track = read()[0]["two\nlines.mp3"]
    assert (track["artist"], track["album"], track["title"]) == ("A B C", "Bell", "two lines")
    assert reasons(read('path,title\n"two\nlines.mp3",x\n')[0]) == {"two\nlines.mp3": None}


def test_a_name_that_is_not_utf8_is_rejected_with_escapes(put, tree, tmp_path):
    raw = os.fsencode(tree) + b"/caf\xe9.mp3"
    put("good.mp3", artist="Can", genre="Rock").rename(os.fsdecode(raw))
    put("caf\\xe9.mp3", artist="Can", genre="Rock")
    tracks, _ = read_folder(tree, find_audio(tree)[0], None, tmp_path / "cache.parquet")
    rejected = tracks[tracks.reason.notna()].iloc[0]
    assert rejected.path == "caf\\xe9.mp3"
    assert rejected.reason == "unreadable: its name is not valid UTF-8; rename it"
    assert rejected.track_id == int(hashlib.sha256(b"caf\xe9.mp3").hexdigest()[:13], 16)
    # A file whose name is really written so is another track.
    assert len(tracks) == 2 and len(set(tracks.track_id)) == 2


def test_the_log_counts_the_files_read(put, read, caplog):
    caplog.set_level(logging.INFO)
    put("a.mp3", artist="Can", genre="Rock")
    read()
    read()
    lines = [line for line in caplog.messages if line.startswith("tags: ") and "anew" in line]
    assert lines == ["tags: 1 files read anew, 1 in all", "tags: 0 files read anew, 1 in all"]
