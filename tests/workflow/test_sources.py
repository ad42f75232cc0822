"""Where a corpus comes from: FMA's archives over the network, or a folder of tagged files."""

import hashlib
import shutil
import threading
import zipfile
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import mutagen
import mutagen.id3
import mutagen.wave
import pandas as pd
import pyarrow.parquet as pq
import pytest
import soundfile
import soxr
from tiny_run import TINY, copy_project, planned, snakemake, write_config

from agf.corpus.fma import audio_path, read_tracks
from agf.corpus.selection import list_rejected
from agf.status import summarise_status

pytestmark = pytest.mark.workflow

ENDINGS = ("mp3", "flac", "ogg", "opus", "wav")


@contextmanager
def serving(folder):
    """Serve a folder on 127.0.0.1; yields its address."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            """No line per request."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def pack(folder, archive, prefix):
    """Pack a folder as FMA does: BZIP2, below a prefix, with a list of checksums."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    lines = ""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_BZIP2) as file:
        for path in files:
            name = path.relative_to(folder).as_posix()
            file.write(path, f"{prefix}/{name}")
            lines += f"{hashlib.sha1(path.read_bytes()).hexdigest()}  {name}\n"
        file.writestr(f"{prefix}/checksums", lines)


def test_fma_is_downloaded_checked_and_unpacked_once(tiny, tmp_path):
    site = tmp_path / "site"
    site.mkdir()
    pack(tiny / "data/tiny/fma_metadata", site / "fma_metadata.zip", "fma_metadata")
    pack(tiny / "data/tiny/audio", site / "fma_small.zip", "fma_small")
    sums = {path.stem: hashlib.sha1(path.read_bytes()).hexdigest() for path in site.iterdir()}
    folder = tmp_path / "project"
    copy_project(folder)
    overlay = {"corpus": "fma_small", "data_dir": "data/fma", "audio_dir": "fma_small"}
    write_config(folder, TINY | overlay)
    real = (folder / "src/agf/corpus/archive.py").read_text()

    def offer(address, **checksums):
        known = {name: f"sha1:{value}" for name, value in checksums.items()}
        lines = f"\nARCHIVES_URL = {address!r}\nARCHIVES |= {known!r}\n"
        (folder / "src/agf/corpus/archive.py").write_text(real + lines)

    with serving(site) as address:
        offer(address, fma_metadata=sums["fma_metadata"], fma_small="0" * 40)
        output = snakemake(folder, "corpus", check=False)
        assert f"{address}fma_small.zip" in output and "0" * 40 in output
        assert "Traceback" not in output
        fma = folder / "data" / "fma"
        assert not (fma / "fma_small").exists()
        assert not list(fma.glob("fma_small.zip*"))

        offer(address, **sums)
        snakemake(folder, "corpus")
    assert sorted(path.name for path in fma.iterdir()) == [
        "fma_metadata",
        "fma_small",
        "fma_small.unpacked.json",
    ]
    for path in (tiny / "data/tiny/audio").rglob("*.mp3"):
        copy = fma / "fma_small" / path.relative_to(tiny / "data/tiny/audio")
        assert copy.read_bytes() == path.read_bytes()
    scan = pq.read_table(folder / "results/fma_small/corpus/scan.parquet").to_pandas()
    assert len(scan) == TINY["demo"]["tracks"] and scan.reason.isna().all()
    # The server is gone, and nobody asks for it.
    assert planned(snakemake(folder, "corpus", "--dry-run")) == {}


def tag(path, **tags):
    """Write tags as a user's program would."""
    file = mutagen.File(path, easy=True)
    if isinstance(file, mutagen.wave.WAVE):
        frames = {"artist": "TPE1", "album": "TALB", "genre": "TCON", "title": "TIT2"}
        file.add_tags()
        for name, text in tags.items():
            file.tags.add(getattr(mutagen.id3, frames[name])(encoding=3, text=[text]))
    else:
        if file.tags is None:
            file.add_tags()
        file.update({name: [text] for name, text in tags.items()})
    file.save()


def write_music(tiny, folder):
    """Turn the tiny corpus into somebody's music: artist/album/title, five formats, tags."""
    tracks = read_tracks(tiny / "data/tiny/fma_metadata/tracks.csv")
    for i, track in enumerate(tracks.itertuples()):
        place = folder / track.artist / str(track.album)
        place.mkdir(parents=True, exist_ok=True)
        path = place / f'{i:02d} Ängste & "Zitate".{ENDINGS[i % len(ENDINGS)]}'
        clip = tiny / "data/tiny/audio" / audio_path(track.track_id)
        if path.suffix == ".mp3":
            shutil.copy2(clip, path)
        else:
            samples, rate = soundfile.read(clip)
            if path.suffix == ".opus":
                samples, rate = soxr.resample(samples, rate, 48000), 48000
                soundfile.write(path, samples, rate, format="OGG", subtype="OPUS")
            else:
                soundfile.write(path, samples, rate)
        tag(path, artist=track.artist, album=track.album, genre=track.genre_top, title=track.title)
    return tracks


def test_a_folder_of_tagged_files_is_a_corpus(tiny, tmp_path):
    music = tmp_path / "my music"
    tracks = write_music(tiny, music)
    files = sorted(path for path in music.rglob("*") if path.is_file())
    (music / "page.mp3").write_text("<html><body>404 Not Found</body></html>" * 100)
    (music / "empty.flac").touch()
    (music / "cover.jpg").write_bytes(b"\xff\xd8")
    shutil.copy(files[3], music / f"copy of it{files[3].suffix}")
    soundfile.write(music / "untagged.wav", soundfile.read(files[0])[0][::-1], 44100)
    soundfile.write(music / "corrected.wav", soundfile.read(files[1])[0][::-1], 44100)
    artist = tracks.artist.iloc[0]
    tags = f"path,artist,genre\ncorrected.wav,{artist},Rock\nelsewhere.mp3,{artist},Rock\n"
    (tmp_path / "tags.csv").write_text(tags)
    before = {path: path.stat() for path in music.rglob("*")}

    folder = tmp_path / "project"
    copy_project(folder)
    overlay = {"corpus": "mine", "source": "folder", "data_dir": str(music), "audio_dir": "."}
    write_config(folder, TINY | overlay | {"tags_file": str(tmp_path / "tags.csv")})
    output = snakemake(folder, "targets")
    results = folder / "results" / "mine"
    kept = pd.read_parquet(results / "corpus/tracks.parquet")
    rejected = pd.read_parquet(results / "corpus/rejected.parquet").set_index("path").reason
    assert len(kept) == len(files) + 1
    assert "corrected.wav" in set(kept.path)
    assert set(kept.artist) == set(tracks.artist)
    assert rejected["untagged.wav"] == "no artist: and no genre"
    rows = list_rejected(results)
    assert {path: reason for _, path, reason in rows} == rejected.to_dict()
    assert rejected["elsewhere.mp3"].startswith("missing")
    assert rejected["page.mp3"].startswith("unreadable")
    assert rejected["empty.flac"] == "unreadable: the file is empty"
    assert rejected.str.startswith("duplicate of").sum() == 1
    assert len(rejected) == 5
    assert f"Tracks: {len(kept) + 5} in, {len(kept)} kept, 5 rejected" in output
    assert "mel" in summarise_status(results)
    # What is the user's was read, and nothing more.
    assert {path: path.stat() for path in music.rglob("*")}.keys() == before.keys()
    assert all(path.stat().st_mtime_ns == before[path].st_mtime_ns for path in before)

    (music / "untagged.wav").unlink()
    snakemake(folder, "features")
    assert "untagged.wav" not in pd.read_parquet(results / "corpus/rejected.parquet").path.values
    logs = [path.read_text() for path in (results / "logs/extract_mel").glob("*.log")]
    assert all(", 0 rejected" in log.splitlines()[-1] for log in logs)
