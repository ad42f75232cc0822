"""Archives of FMA: unpacked whole, checked file by file, and refused where they are hostile."""

import hashlib
import logging
import os
import shutil
import stat
import struct
import tracemalloc
import zipfile
from collections import namedtuple

import numpy as np
import pytest

from agf.corpus import archive as module
from agf.corpus.archive import unpack
from agf.errors import UserError

CLIPS = {
    f"{track // 1000:03d}/{track:06d}.mp3": np.random.default_rng(track).bytes(1000 + track)
    for track in (2, 5, 140, 3000, 155320)
}


def sha1(content):
    return hashlib.sha1(content).hexdigest()


def checksums(files, line="{sha1}  {name}\n"):
    return "".join(line.format(sha1=sha1(c), name=name) for name, c in files.items()).encode()


def write(path, files, compression=zipfile.ZIP_BZIP2, prefix="fma_medium/", **listed):
    """An archive as FMA's authors make them: README.txt, checksums, then the clips."""
    with zipfile.ZipFile(path, "w", compression) as file:
        if listed.get("checksums", True):
            file.writestr(fma_info(f"{prefix}README.txt"), "Each .mp3 is licensed.", compression)
            content = listed.get("checksums", checksums(files))
            file.writestr(fma_info(f"{prefix}checksums"), content, compression)
        for name, content in files.items():
            file.writestr(f"{prefix}{name}", content)
    return path


def fma_info(name):
    info = zipfile.ZipInfo(name, (2017, 4, 1, 0, 0, 0))
    info.external_attr = 0o444 << 16 | 0o2 << 30
    return info


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def good(tmp_path):
    return write(tmp_path / "fma_medium.zip", CLIPS)


@pytest.mark.parametrize(
    "compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED]
)
@pytest.mark.parametrize("threads", [1, 3])
def test_every_clip_arrives_below_the_folder(tmp_path, compression, threads):
    path = write(tmp_path / "a.zip", CLIPS, compression)
    counts = unpack(path, "fma_medium", tmp_path / "audio", threads=threads)
    assert counts == {"unpacked": len(CLIPS) + 2, "kept": 0}
    found = contents(tmp_path / "audio")
    assert found.pop("README.txt") == b"Each .mp3 is licensed."
    assert found.pop("checksums") == checksums(CLIPS)
    assert found == CLIPS


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("size", [0, 1, module.BLOCK_BYTES - 1, module.BLOCK_BYTES, 3_000_000])
def test_files_of_any_size(tmp_path, method, size):
    noise = np.random.default_rng(size).bytes(size // 2)
    files = {"000/noise.mp3": noise, "000/zeros.mp3": bytes(size)}
    unpack(write(tmp_path / "a.zip", files, method), "fma_medium", tmp_path / "audio")
    assert contents(tmp_path / "audio" / "000") == {"noise.mp3": noise, "zeros.mp3": bytes(size)}


def test_what_is_there_is_kept_and_what_differs_is_written_again(good, tmp_path):
    folder = tmp_path / "audio"
    unpack(good, "fma_medium/", folder)
    (folder / "000" / "000002.mp3").write_bytes(CLIPS["000/000002.mp3"][:-1])
    same_size = bytes(len(CLIPS["003/003000.mp3"]))
    (folder / "003" / "003000.mp3").write_bytes(same_size)
    (folder / "README.txt").write_text("another text of 22 b.. ")
    (folder / "own notes.txt").write_text("kept")
    before = (folder / "155" / "155320.mp3").stat().st_mtime_ns
    assert unpack(good, "fma_medium/", folder) == {"unpacked": 3, "kept": len(CLIPS) - 1}
    assert (folder / "155" / "155320.mp3").stat().st_mtime_ns == before
    found = contents(folder)
    assert found.pop("own notes.txt") == b"kept"
    assert {name: found[name] for name in CLIPS} == CLIPS
    assert found["README.txt"] == b"Each .mp3 is licensed."


def test_a_killed_unpacking_goes_on_where_it_stopped(good, tmp_path, monkeypatch):
    folder, moved = tmp_path / "audio", []
    replace = os.replace

    def killed_at_the_fourth(source, target):
        if len(moved) == 3:
            raise KeyboardInterrupt
        moved.append(target)
        replace(source, target)

    monkeypatch.setattr(os, "replace", killed_at_the_fourth)
    with pytest.raises(KeyboardInterrupt):
        unpack(good, "fma_medium", folder, threads=1)
    assert len(contents(folder)) == 3
    # A process killed by force leaves its temporary file as well.
    (folder / "003").mkdir(exist_ok=True)
    (folder / "003" / ".003000.mp3.unpacking").write_bytes(b"half of")
    monkeypatch.setattr(os, "replace", replace)
    assert unpack(good, "fma_medium", folder) == {"unpacked": len(CLIPS) - 1, "kept": 3}
    found = contents(folder)
    assert len(found) == len(CLIPS) + 2 and {name: found[name] for name in CLIPS} == CLIPS


def test_only_the_named_members(tmp_path):
    files = {"tracks.csv": b"tracks", "genres.csv": b"genres", "features.csv": bytes(10_000)}
    path = write(tmp_path / "fma_metadata.zip", files, prefix="fma_metadata/")
    only = {"tracks.csv", "genres.csv"}
    assert unpack(path, "fma_metadata", tmp_path / "m", only)["unpacked"] == 2
    assert contents(tmp_path / "m") == {"tracks.csv": b"tracks", "genres.csv": b"genres"}
    with pytest.raises(UserError, match=r"fma_metadata\.zip has no member fma_metadata/albums"):
        unpack(path, "fma_metadata", tmp_path / "n", {"tracks.csv", "albums.csv"})
    assert not (tmp_path / "n").exists()


@pytest.mark.parametrize(
    "line", ["{sha1}  {name}\n", "{sha1} *{name}\n", "{sha1}  fma_medium/{name}\r\n"]
)
def test_a_clip_that_is_not_what_its_sha1_says(tmp_path, line):
    listed = checksums(CLIPS | {"000/000005.mp3": b"as it was"}, line)
    path = write(tmp_path / "a.zip", CLIPS, checksums=listed)
    with pytest.raises(UserError, match=r"000/000005\.mp3 is damaged, its sha1 is") as error:
        unpack(path, "fma_medium", tmp_path / "audio", threads=1)
    assert sha1(b"as it was") in str(error.value)
    assert sha1(CLIPS["000/000005.mp3"]) in str(error.value)
    found = contents(tmp_path / "audio")
    assert "000/000005.mp3" not in found
    assert not [name for name in found if "unpacking" in name]


@pytest.mark.parametrize(
    ("listed", "message"),
    [
        (checksums(CLIPS | {"000/000007.mp3": b""}), r"lacks 000/000007\.mp3, which line 6"),
        (b"\n" + checksums(CLIPS) + b"no sha1  000/000002.mp3\n", "line 7 of .* is not a sha1"),
        (checksums(CLIPS) + b"0" * 40 + b"  000/000002.mp3", "two different checksums of 000/0"),
    ],
)
def test_a_list_of_checksums_that_cannot_be_true(tmp_path, listed, message):
    path = write(tmp_path / "a.zip", CLIPS, checksums=listed)
    with pytest.raises(UserError, match=message):
        unpack(path, "fma_medium", tmp_path / "audio")
    assert not (tmp_path / "audio").exists()


def test_files_without_a_line_are_counted_and_named(tmp_path, caplog):
    listed = checksums({name: CLIPS[name] for name in list(CLIPS)[1:]})
    path = write(tmp_path / "a.zip", CLIPS, checksums=listed)
    with caplog.at_level(logging.WARNING):
        unpack(path, "fma_medium", tmp_path / "audio")
    (warning,) = caplog.messages
    assert "2 files have no line" in warning
    assert warning.endswith("000/000002.mp3, README.txt")


def test_no_list_at_all_is_one_warning(tmp_path, caplog):
    path = write(tmp_path / "a.zip", CLIPS, checksums=None)
    with caplog.at_level(logging.WARNING):
        unpack(path, "fma_medium", tmp_path / "audio")
        (tmp_path / "audio" / "000" / "000002.mp3").write_bytes(bytes(1002))
        again = unpack(path, "fma_medium", tmp_path / "audio")
    assert len(caplog.messages) == 2 and "no list checksums" in caplog.messages[0]
    assert again == {"unpacked": 1, "kept": 4}
    assert contents(tmp_path / "audio") == CLIPS


def test_a_list_that_names_itself(tmp_path):
    listed = checksums({"checksums": b"", **CLIPS})
    path = write(tmp_path / "a.zip", CLIPS, checksums=listed)
    unpack(path, "fma_medium", tmp_path / "audio")
    assert contents(tmp_path / "audio")["checksums"] == listed


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("/etc/passwd", "absolute name"),
        ("../evil", "'..' in its name"),
        ("fma_medium/../evil", "'..' in its name"),
        ("fma_medium/000/../../../evil", "'..' in its name"),
        ("fma_medium/./a", "'.' or"),
        ("fma_medium//a", "empty part"),
        ("fma_medium/C:/evil", "colon"),
        ("C:/evil", "colon"),
        ("fma_medium/a.mp3:stream", "colon"),
        ("fma_medium\\evil", "backslash"),
        ("fma_medium/..\\evil", "backslash"),
        ("fma_medium/a\nb", "cannot be printed"),
        ("fma_small/000/000002.mp3", "not below fma_medium/"),
        ("fma_medium2/a", "not below fma_medium/"),
        ("fma_medium", "not below fma_medium/"),
        ("fma_small/", "not below fma_medium/"),
    ],
)
def test_a_name_that_leads_elsewhere_refuses_the_whole_archive(good, tmp_path, name, message):
    with zipfile.ZipFile(good, "a") as file:
        file.writestr(name, b"evil" if not name.endswith("/") else b"")
    refused(good, tmp_path, message)


def refused(path, tmp_path, message, named="its member"):
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UserError) as error:
        unpack(path, "fma_medium", tmp_path / "audio")
    assert message in str(error.value) and named in str(error.value)
    assert path.name in str(error.value) and "\n" not in str(error.value)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_name_with_a_nul(good, tmp_path):
    with zipfile.ZipFile(good, "a") as file:
        file.writestr("fma_medium/aXb", b"evil")
    good.write_bytes(good.read_bytes().replace(b"fma_medium/aXb", b"fma_medium/a\0b"))
    refused(good, tmp_path, "cannot be printed", r"a\x00b")


def test_a_member_of_two_names(good, tmp_path, monkeypatch):
    def renamed(file):
        for info in file.filelist:
            info.filename = info.filename.replace("000005", "000006")
        return file.filelist

    monkeypatch.setattr(zipfile.ZipFile, "infolist", renamed)
    refused(good, tmp_path, "has the name 'fma_medium/000/000006.mp3' as well", CLIP)


def with_mode(name, mode):
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    info.external_attr = mode << 16
    return info


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFSOCK])
def test_links_and_devices(good, tmp_path, kind):
    with zipfile.ZipFile(good, "a") as file:
        file.writestr(with_mode("fma_medium/001", kind | 0o777), "/etc")
    refused(good, tmp_path, "link, a device", "fma_medium/001")


def test_a_folder_with_content_and_a_file_that_says_it_is_a_folder(tmp_path):
    for name, mode in (("fma_medium/001/", 0), ("fma_medium/001", stat.S_IFDIR)):
        path = write(tmp_path / "a.zip", CLIPS)
        with zipfile.ZipFile(path, "a") as file:
            file.writestr(with_mode(name, mode), "content")
        refused(path, tmp_path, "folder that has content" if not mode else "no plain file")


def test_entries_for_folders_make_nothing(good, tmp_path):
    with zipfile.ZipFile(good, "a") as file:
        for name in ("fma_medium/", "fma_medium/000/", "fma_medium/999/"):
            file.writestr(with_mode(name, stat.S_IFDIR | 0o755), "")
    assert unpack(good, "fma_medium", tmp_path / "audio")["unpacked"] == len(CLIPS) + 2
    assert not (tmp_path / "audio" / "999").exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("000/000002.mp3", "is there twice"),
        ("000/000002.MP3", "the same but for its case"),
        ("readme.txt", "the same but for its case"),
        ("000", "both a file and a folder"),
        ("000/000002.mp3/a", "both a file and a folder"),
        ("000/000002.mp3/", "both a file and a folder"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_for_one_place(good, tmp_path, name, message):
    with zipfile.ZipFile(good, "a") as file:
        file.writestr(f"fma_medium/{name}", b"")
    refused(good, tmp_path, message)


def test_an_accent_in_two_encodings_is_one_name(tmp_path):
    files = {"caf\u00e9.mp3": b"composed", "cafe\u0301.mp3": b"decomposed"}
    refused(write(tmp_path / "a.zip", files), tmp_path, "the same but for its case")


def edit(path, name, offset, form, value):
    """Overwrite one field of a member's entry in the archive's directory."""
    data = bytearray(path.read_bytes())
    place = data.rindex(name.encode()) - 46 + offset
    assert data[place - offset :][:4] == b"PK\1\2"
    struct.pack_into(form, data, place, value)
    path.write_bytes(data)


FLAGS, METHOD, CRC, PACKED, SIZE, ATTRIBUTES, OFFSET = 8, 10, 16, 20, 24, 38, 42
CLIP = "fma_medium/000/000005.mp3"


@pytest.mark.parametrize("flag", [1, 0x2000])
def test_encrypted_members(good, tmp_path, flag):
    edit(good, CLIP, FLAGS, "<H", flag)
    refused(good, tmp_path, "is encrypted", CLIP)


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, 9, 99])
def test_other_methods(good, tmp_path, method):
    edit(good, CLIP, METHOD, "<H", method)
    refused(good, tmp_path, f"the method {method}", CLIP)


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        (CRC, 12345, "its CRC is .*, where the archive says 00003039"),
        (SIZE, 500, "more than the 500 bytes it declares"),
        (SIZE, 5000, "to 1005 of the 5000 bytes it declares"),
        (SIZE, 0, "more than the 0 bytes it declares"),
        (PACKED, 300, "compressed data end too early"),
        (PACKED, 0, "compressed data end too early"),
        (OFFSET, 3, "its place in the archive holds something else"),
        (OFFSET, 0, "its place in the archive holds something else"),
        (OFFSET, 1 << 30, "the archive ends before it"),
    ],
)
def test_lies_in_the_directory(tmp_path, compression, field, value, message):
    path = write(tmp_path / "a.zip", CLIPS, compression)
    edit(path, CLIP, field, "<I", value)
    with pytest.raises(UserError, match=f"its member {CLIP} is damaged, .*{message}"):
        unpack(path, "fma_medium", tmp_path / "audio")
    assert not (tmp_path / "audio" / "000" / "000005.mp3").exists()
    assert not [name for name in contents(tmp_path / "audio") if "unpacking" in name]


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_DEFLATED])
def test_flipped_bits_in_a_clip(tmp_path, compression):
    path = write(tmp_path / "a.zip", CLIPS, compression)
    data = bytearray(path.read_bytes())
    place = data.index(CLIP.encode()) + len(CLIP) + 400
    data[place] ^= 0x10
    path.write_bytes(data)
    with pytest.raises(UserError, match=f"its member {CLIP} is damaged"):
        unpack(path, "fma_medium", tmp_path / "audio")


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_DEFLATED])
def test_a_bomb_is_stopped_at_its_declared_size(tmp_path, monkeypatch, compression):
    path = write(tmp_path / "a.zip", {"bomb.mp3": bytes(60_000_000)}, compression)
    edit(path, "fma_medium/bomb.mp3", SIZE, "<I", 1000)
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match="more than the 1000 bytes it declares"):
            unpack(path, "fma_medium", tmp_path / "audio")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 * module.BLOCK_BYTES + (2 << 20)


def test_a_bomb_in_place_of_the_list(tmp_path):
    path = write(tmp_path / "a.zip", CLIPS)
    edit(path, "fma_medium/checksums", SIZE, "<I", module.MAX_CHECKSUM_BYTES + 1)
    refused(path, tmp_path, "more than any list", "fma_medium/checksums")


@pytest.mark.parametrize("kept", [10, 2000, -1, -30])
def test_a_truncated_archive(good, tmp_path, kept):
    good.write_bytes(good.read_bytes()[:kept])
    refused(good, tmp_path, "is cut short or damaged", "download it again")


@pytest.mark.parametrize("content", [b"", b"<html>404</html>", bytes(1000)])
def test_not_a_zip(tmp_path, content):
    path = tmp_path / "a.zip"
    path.write_bytes(content)
    refused(path, tmp_path, "is not a zip archive", "download it again")


def test_no_archive(tmp_path):
    with pytest.raises(UserError, match=r"none\.zip cannot be read: No such file"):
        unpack(tmp_path / "none.zip", "fma_medium", tmp_path / "audio")


def test_a_disk_that_is_too_small(good, tmp_path, monkeypatch):
    needed = sum(map(len, CLIPS.values())) + len(checksums(CLIPS)) + 22
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**12, 0, needed - 1))
    refused(good, tmp_path, "GB are free: make room", str(tmp_path / "audio"))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**12, 0, needed))
    unpack(good, "fma_medium", tmp_path / "audio")
    # What is there already needs no more room.
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**12, 10**12, 0))
    assert unpack(good, "fma_medium", tmp_path / "audio")["kept"] == len(CLIPS) + 2


def test_a_link_below_the_folder_is_never_followed(good, tmp_path):
    folder, outside = tmp_path / "audio", tmp_path / "outside"
    folder.mkdir()
    outside.mkdir()
    (folder / "155").symlink_to(outside)
    with pytest.raises(UserError, match=r"155 is in the way, because it is a link"):
        unpack(good, "fma_medium", folder)
    (folder / "155").unlink()
    (outside / "precious").write_bytes(b"mine")
    (folder / "README.txt").symlink_to(outside / "precious")
    with pytest.raises(UserError, match=r"README\.txt is in the way, because it is a link"):
        unpack(good, "fma_medium", folder)
    (folder / "README.txt").unlink()
    assert contents(outside) == {"precious": b"mine"} and not contents(folder)
    (folder / ".README.txt.unpacking").symlink_to(outside / "precious")
    unpack(good, "fma_medium", folder)
    assert contents(outside) == {"precious": b"mine"}
    assert (folder / "README.txt").read_bytes() == b"Each .mp3 is licensed."


def test_a_link_to_the_folder_itself_is_the_users_choice(good, tmp_path):
    (tmp_path / "large disk").mkdir()
    (tmp_path / "audio").symlink_to(tmp_path / "large disk")
    unpack(good, "fma_medium", tmp_path / "audio")
    assert len(contents(tmp_path / "large disk")) == len(CLIPS) + 2


def test_files_and_folders_in_the_way(good, tmp_path):
    folder = tmp_path / "audio"
    folder.mkdir()
    (folder / "000").write_text("a file")
    with pytest.raises(UserError, match="000 is in the way, because it is a link or not a folder"):
        unpack(good, "fma_medium", folder)
    (folder / "000").unlink()
    (folder / "000" / "000002.mp3").mkdir(parents=True)
    with pytest.raises(UserError, match=r"000002\.mp3 is in the way, .* or not a plain file"):
        unpack(good, "fma_medium", folder)


def test_a_full_disk_while_unpacking_is_one_sentence(good, tmp_path, monkeypatch):
    def full(source, target):
        raise OSError(28, "No space left on device", str(target))

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(UserError, match=r"cannot be unpacked to .*: No space left on device\."):
        unpack(good, "fma_medium", tmp_path / "audio")
    assert not contents(tmp_path / "audio")
