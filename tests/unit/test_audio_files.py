"""Every audio file below a folder is found once, whatever links lead where."""

import ast
import os
import sys
from collections import Counter
from pathlib import Path

import pytest

import agf.corpus.audio_files
from agf.corpus.audio_files import AudioFile, find_audio, printable
from agf.errors import UserError


def touch(root, *names):
    for name in names:
        path = os.path.join(root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(b"x" * len(name))


def paths(folder):
    return [file.path for file in find_audio(folder)[0]]


def test_files_come_with_size_and_time_in_order_of_paths(tmp_path):
    touch(tmp_path, "b/two.flac", "a.mp3", "b/c/d/three.OGG", "b/One.Wav", "z.opus", "y.m4a")
    os.utime(tmp_path / "a.mp3", ns=(5, 1_700_000_000_123_456_789))
    files, others = find_audio(tmp_path)
    names = ["a.mp3", "b/One.Wav", "b/c/d/three.OGG", "b/two.flac", "y.m4a", "z.opus"]
    assert [file.path for file in files] == names
    assert files[0] == AudioFile("a.mp3", 5, 1_700_000_000_123_456_789)
    assert [file.size for file in files] == [len(name) for name in names]
    assert others == Counter()
    assert find_audio(str(tmp_path)) == (files, others)


def test_what_is_left_out_is_counted(tmp_path):
    touch(tmp_path, "a.mp3", "cover.jpg", "b/cover.JPG", "README", "mp3", "b/x.mp3.part")
    touch(tmp_path, "b/._a.mp3", ".hidden/c.mp3", ".hidden/d.mp3", ".mp3")
    os.mkfifo(tmp_path / "pipe.mp3")
    files, others = find_audio(tmp_path)
    assert [file.path for file in files] == ["a.mp3"]
    assert others == {".jpg": 2, "": 2, ".part": 1, "hidden": 3, "not a file": 1}


def test_a_folder_may_be_named_like_a_file(tmp_path):
    touch(tmp_path, "live.mp3/a.mp3")
    assert paths(tmp_path) == ["live.mp3/a.mp3"]


def test_links_are_followed_and_never_round(tmp_path):
    music = tmp_path / "music"
    touch(tmp_path, "music/b/song.mp3", "elsewhere/far.mp3")
    (music / "b" / "up").symlink_to(music)
    (music / "b" / "self").symlink_to(".")
    (music / "round.mp3").symlink_to("round.mp3")
    (music / "gone.mp3").symlink_to("nowhere.mp3")
    (music / "linked.mp3").symlink_to(tmp_path / "elsewhere" / "far.mp3")
    (music / "away").symlink_to(tmp_path / "elsewhere")
    files, others = find_audio(music)
    assert [file.path for file in files] == ["away/far.mp3", "b/song.mp3", "linked.mp3"]
    assert others == {"broken link": 2}
    assert files[2].size == len("elsewhere/far.mp3")


def test_a_new_link_does_not_move_what_was_found_before(tmp_path):
    touch(tmp_path, "m/real/song.mp3", "m/z/other.mp3", "out/deep/far.mp3")
    (tmp_path / "m" / "q").symlink_to(tmp_path / "out")
    before = ["q/deep/far.mp3", "real/song.mp3", "z/other.mp3"]
    assert paths(tmp_path / "m") == before
    # A link that sorts first leads to a folder that has a path of its own.
    (tmp_path / "m" / "a").symlink_to(tmp_path / "m" / "real")
    assert paths(tmp_path / "m") == before
    # Of two links to one folder the first in order of paths wins, whichever was made first.
    (tmp_path / "m" / "p").symlink_to(tmp_path / "out")
    assert paths(tmp_path / "m") == ["p/deep/far.mp3", "real/song.mp3", "z/other.mp3"]


def test_names_that_are_not_utf8_and_line_breaks_are_kept(tmp_path):
    raw = b"caf\xe9.mp3"
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + raw)).write_bytes(b"x")
    touch(tmp_path, "two\nlines.mp3", "e\u0301.mp3", "\u00e9.mp3")
    found = paths(tmp_path)
    assert sorted(map(os.fsencode, found)) == sorted(
        [raw, b"two\nlines.mp3", "e\u0301.mp3".encode(), "\u00e9.mp3".encode()]
    )
    assert [name for name in found if printable(name) != name] == [os.fsdecode(raw)]
    assert printable(os.fsdecode(raw)) == "caf\\xe9.mp3"


@pytest.mark.parametrize("name", ["none", "file.mp3"])
def test_no_such_folder(tmp_path, name):
    touch(tmp_path, "file.mp3")
    with pytest.raises(UserError, match=rf"{name} cannot be read"):
        find_audio(tmp_path / name)


def test_a_folder_without_permission_is_named(tmp_path, monkeypatch):
    touch(tmp_path, "a/song.mp3", "b/locked/song.mp3")
    scandir = os.scandir

    def guarded(place):
        # As the system does it; permissions themselves do not bind a test that runs as root.
        if str(place).endswith("locked"):
            raise PermissionError(13, "Permission denied", place)
        return scandir(place)

    monkeypatch.setattr(os, "scandir", guarded)
    with pytest.raises(UserError, match=r"b/locked cannot be read: Permission denied"):
        find_audio(tmp_path)


def test_only_the_standard_library_is_needed():
    tree = ast.parse(Path(agf.corpus.audio_files.__file__).read_text())
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    modules |= {
        a.name for node in ast.walk(tree) if isinstance(node, ast.Import) for a in node.names
    }
    assert modules - set(sys.stdlib_module_names) == {"agf.errors"}


def test_no_file_is_opened(tmp_path, monkeypatch):
    touch(tmp_path, "a.mp3", "b/c.flac")
    opened = []
    monkeypatch.setattr("builtins.open", lambda *args, **_: opened.append(args))
    monkeypatch.setattr(os, "open", lambda *args, **_: opened.append(args))
    assert len(paths(tmp_path)) == 2
    assert opened == []
