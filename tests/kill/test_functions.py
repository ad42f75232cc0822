"""What writes files on its own, killed while it does."""

import hashlib
import sys
import zipfile
from pathlib import Path

import pytest
from killing import SEED, Kills, killed_after, temporaries
from writers import MEGABYTE, write_for_ever, write_letters

from agf.corpus.archive import unpack
from agf.corpus.download import download
from agf.keyed_random import generator

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))
import local_server

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def kills():
    kills = Kills()
    yield kills
    print(f"seed {SEED}\n{kills.table()}", flush=True)


def test_a_file_is_whole_whenever_its_writer_is_killed(tmp_path, kills):
    path, began = tmp_path / "file", tmp_path / "began"
    draw = generator(SEED, "replacing")
    torn = 0
    for _ in range(200):
        began.unlink(missing_ok=True)
        seconds = draw.uniform(0, 0.03)
        assert killed_after(seconds, write_for_ever, path, began, begun=began.exists)
        left = temporaries(tmp_path)
        # Its own alone: what the writer before it left is removed before anything is written.
        assert len(left) <= 1
        torn += len(left)
        if path.exists():
            content = path.read_bytes()
            assert content == content[:1] * 8 * MEGABYTE
        kills.add("replacing", "writer", seconds, left=len(left))
    assert torn >= 20
    write_letters(path, ord("A"))
    assert {one.name for one in tmp_path.iterdir()} == {"file", "began"}


def test_a_download_goes_on_after_every_kill(tmp_path, kills):
    content = generator(SEED, "download").bytes(64 * MEGABYTE)
    checksum = f"sha256:{hashlib.sha256(content).hexdigest()}"
    path = tmp_path / "data" / "clips.zip"
    part = path.with_name("clips.zip.part")
    draw = generator(SEED, "kills of a download")
    sizes = []

    def begun():
        return path.exists() or (part.exists() and part.stat().st_size > sum(sizes[-1:]))

    with local_server.serving(local_server.file(content)) as (url, asked):
        while killed_after(draw.uniform(0, 0.005), download, url, path, checksum, begun=begun):
            if path.exists():
                break
            sizes.append(part.stat().st_size)
            kills.add("download", "process", 0, bytes=sizes[-1])
        download(url, path, checksum)
    assert path.read_bytes() == content
    assert [one.name for one in path.parent.iterdir()] == ["clips.zip"]
    assert sizes == sorted(sizes)
    starts = [int(one["Range"].removeprefix("bytes=")[:-1]) for one in asked if "Range" in one]
    assert len(starts) >= 10
    assert starts[: len(sizes)] == sizes


def test_unpacking_goes_on_after_every_kill(tmp_path, kills):
    draw = generator(SEED, "unpack")
    clips = {f"{i // 50:03d}/{i:06d}.mp3": draw.bytes(200_000) for i in range(200)}
    lines = [f"{hashlib.sha1(clip).hexdigest()}  {name}\n" for name, clip in clips.items()]
    archive, folder = tmp_path / "fma_tiny.zip", tmp_path / "audio"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_BZIP2) as file:
        file.writestr("fma_tiny/checksums", "".join(lines))
        for name, clip in clips.items():
            file.writestr(f"fma_tiny/{name}", clip)

    def whole():
        found = [path for path in folder.rglob("*.mp3") if not path.name.startswith(".")]
        for path in found:
            assert path.read_bytes() == clips[path.relative_to(folder).as_posix()]
        return len(found)

    numbers = [0]

    def begun():
        return sum(1 for _ in folder.rglob("*.mp3")) > numbers[-1]

    while killed_after(draw.uniform(0, 0.1), unpack, archive, "fma_tiny", folder, begun=begun):
        numbers.append(whole())
        kills.add("unpack", "process", 0, files=numbers[-1], left=len(temporaries(folder)))
    assert len(numbers) > 10
    assert numbers == sorted(numbers)
    assert unpack(archive, "fma_tiny", folder) == {"unpacked": 0, "kept": len(clips) + 1}
    assert whole() == len(clips)
    assert temporaries(folder) == []
