"""Faults of the machine: made for real where a test can, and told in one sentence."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
import torch
from safetensors import safe_open

from agf.errors import UserError
from agf.faults import (
    CLOCK_TOLERANCE,
    FAULTS,
    check_writable,
    describe_fault,
    describe_future_dates,
    mend_future_dates,
)
from agf.features.recycled import recycled
from agf.files import write_parquet

DAY = 86_400

WRITERS = """
import json, os, resource, sys
from pathlib import Path

import matplotlib
import numpy as np
import torch
from safetensors.torch import save_file

from agf.faults import describe_fault
from agf.files import replacing, write_json, write_parquet
from agf.tensors import writing_tensors

matplotlib.use("agg")
import matplotlib.pyplot as plt

noise = np.random.default_rng(0).random(400_000, np.float32)
folder, largest = Path(sys.argv[1]), int(sys.argv[2])
if largest:
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))

def write_weights(path):
    with replacing(path) as temporary:
        save_file({"a": torch.from_numpy(noise)}, temporary)

def write_mapped(path):
    with writing_tensors(path, {"a": ("float32", noise.shape)}) as arrays:
        arrays["a"][:] = noise

def write_figure(path):
    figure, axes = plt.subplots(figsize=(10, 10))
    axes.imshow(noise.reshape(800, 500))
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")

writers = {
    "parquet": lambda path: write_parquet({"a": noise}, path),
    "json": lambda path: write_json(noise.tolist(), path),
    "weights": write_weights,
    "mapped": write_mapped,
    "figure": write_figure,
}
said = {}
for name, write in writers.items():
    try:
        write(folder / name)
    except Exception as error:
        said[name] = describe_fault(error)
print(json.dumps([said, os.listdir(folder)]))
"""


def run(script, *arguments, wrapper=()):
    command = [*wrapper, sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 256 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", folder]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_is_told_by_all_that_write_and_nothing_is_left(small_disk):
    done = run(WRITERS, small_disk, 0)
    # A memory map of a file that the disk has no room for would end the process by SIGBUS.
    assert done.returncode == 0, done.stderr
    said, left = json.loads(done.stdout)
    assert list(said) == ["parquet", "json", "weights", "mapped", "figure"]
    for name, sentence in said.items():
        assert sentence.startswith("The disk is full (No space left on device"), name
    assert left == []


def test_a_limit_on_the_size_of_files_is_told_by_all_that_write(tmp_path):
    done = run(WRITERS, tmp_path, 100_000)
    assert done.returncode == 0, done.stderr
    said, left = json.loads(done.stdout)
    assert len(said) == 5
    for name, sentence in said.items():
        assert sentence.startswith("No file may be so large here (File too large"), name
    assert left == []


def test_a_read_only_disk_is_told_with_its_file(small_disk):
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises(OSError) as caught:
        write_parquet({"a": [1]}, small_disk / "tracks.parquet")
    assert describe_fault(caught.value) == (
        f"{small_disk}/tracks.parquet: the file system is read-only (Read-only file system); make "
        "it writable, then run again: what is done is kept."
    )
    with pytest.raises(UserError, match=r"^\S+/disk: the file system is read-only"):
        check_writable(small_disk)


def test_a_disk_without_room_for_a_few_files_is_refused(small_disk, tmp_path):
    with pytest.raises(UserError, match=r"^\S+/disk: the disk is full"):
        check_writable(small_disk)
    assert not os.listdir(small_disk)
    check_writable(tmp_path / "new" / "folder")
    assert not os.listdir(tmp_path / "new" / "folder")


def test_a_folder_without_permission_is_refused(tmp_path, as_user):
    (tmp_path / "closed").mkdir(mode=0o555)
    script = "import sys\nfrom agf.faults import check_writable\ncheck_writable(sys.argv[1])"
    done = run(script, tmp_path / "closed", wrapper=as_user)
    assert f"UserError: {tmp_path}/closed: permission is denied" in done.stderr


@pytest.fixture
def as_user():
    """What to put before a command for permissions to count: root passes them by."""
    if os.geteuid():
        return []
    rights = "-dac_override,-dac_read_search"
    wrapper = ["setpriv", f"--bounding-set={rights}", f"--inh-caps={rights}"]
    if not shutil.which("setpriv") or subprocess.run([*wrapper, "true"]).returncode:
        pytest.skip("root cannot give up its rights here")
    return wrapper


@pytest.mark.parametrize("number", FAULTS, ids=errno.errorcode.get)
def test_each_fault_is_one_sentence_with_file_reason_and_advice(number):
    reason, advice = FAULTS[number]
    error = OSError(number, os.strerror(number), "results/x/corpus/.scan.parquet.4711")
    sentence = describe_fault(error)
    assert sentence.startswith(f"results/x/corpus/scan.parquet: {reason} (")
    assert os.strerror(number) in sentence and f"; {advice}, then run again" in sentence
    assert "\n" not in sentence


def test_what_was_computed_is_told():
    error = OSError(errno.EIO, "Input/output error", "a.mp3")
    error.add_note("while computing mel 003-of-008 of a.mp3")
    assert "(Input/output error, while computing mel 003-of-008 of a.mp3)" in describe_fault(error)


@pytest.mark.parametrize("allocate", [np.empty, torch.empty, lambda n: pa.allocate_buffer(8 * n)])
def test_memory_that_does_not_suffice_is_told_with_how_much(allocate):
    with pytest.raises((MemoryError, RuntimeError)) as caught:
        allocate(1 << 50)
    sentence = describe_fault(caught.value)
    assert sentence.startswith("Memory does not suffice (")
    assert any(size in sentence for size in ("8.00 PiB", str(8 << 50), str(4 << 50)))


@pytest.mark.parametrize("content", [b"", b"PAR1 and then no more"])
def test_a_damaged_table_is_named(tmp_path, content):
    path = tmp_path / "tracks.parquet"
    path.write_bytes(content)
    with pytest.raises(pa.ArrowInvalid) as caught:
        pq.read_table(path)
    sentence = describe_fault(caught.value)
    assert sentence.startswith(f"{path} is damaged (Parquet ") and "delete it" in sentence


def test_an_audio_file_that_the_system_refuses_is_named(tmp_path):
    with pytest.raises(soundfile.LibsndfileError) as caught:
        soundfile.SoundFile(tmp_path / "none.wav")
    assert describe_fault(caught.value).startswith(f"{tmp_path}/none.wav: audio cannot be read")


def test_audio_on_a_full_disk_is_told(small_disk):
    with pytest.raises(soundfile.LibsndfileError) as caught:
        soundfile.write(small_disk / "a.wav", np.zeros(1_000_000), 44_100)
    sentence = describe_fault(caught.value)
    assert sentence.startswith("Audio cannot be read or written (System error.); see that the disk")


def test_damage_inside_a_file_is_told(tmp_path):
    write_parquet({"a": np.random.default_rng(0).random(10_000)}, tmp_path / "a.parquet")
    (tmp_path / "a.safetensors").write_bytes(b"no tensors")
    content = bytearray((tmp_path / "a.parquet").read_bytes())
    middle = len(content) // 2
    content[middle : middle + 64] = bytes(64)
    (tmp_path / "a.parquet").write_bytes(content)
    readers = {"a.parquet": pq.read_table, "a.safetensors": lambda path: safe_open(path, "np")}
    for name, read in readers.items():
        with pytest.raises(Exception) as caught:
            read(tmp_path / name)
        assert describe_fault(caught.value).startswith("A file that this job reads is damaged (")


@pytest.mark.parametrize(
    "error",
    [KeyError("mel"), FileNotFoundError(errno.ENOENT, "no"), RuntimeError("shape"), OSError("?")],
    ids=repr,
)
def test_faults_of_the_program_are_not_explained_away(error):
    assert describe_fault(error) is None


def set_date(path, seconds):
    date = time.time_ns() + seconds * 10**9
    os.utime(path, ns=(date, date))
    return date


def test_dates_in_the_future_become_now_in_their_order(tmp_path):
    (tmp_path / "corpus").mkdir()
    seconds = {"old": -DAY, "corpus/scan": DAY, "tracks": 2 * DAY, "corpus/digest": 3 * DAY}
    paths = [tmp_path / name for name in seconds]
    for path, ahead in zip(paths, seconds.values(), strict=True):
        path.write_text("as it was")
        date = set_date(path, ahead)
    twin = tmp_path / "twin"
    twin.touch()
    os.utime(twin, ns=(date, date))
    old = paths[0].stat().st_mtime_ns
    before = time.time_ns()
    sentence = mend_future_dates(tmp_path)
    assert sentence.startswith(f"The dates of 4 files in {tmp_path}, up to ")
    assert time.strftime("%Y-%m-%d", time.localtime(date / 10**9)) in sentence
    dates = [path.stat().st_mtime_ns for path in paths]
    assert dates[0] == old
    assert dates == sorted(set(dates))
    assert before - 10**6 < dates[1] and dates[-1] < time.time_ns()
    assert twin.stat().st_mtime_ns == dates[-1]
    assert {path.read_text() for path in paths} == {"as it was"}
    assert mend_future_dates(tmp_path) is None


def test_clocks_that_differ_by_seconds_are_no_matter(tmp_path):
    path = tmp_path / "a.parquet"
    path.touch()
    date = set_date(path, CLOCK_TOLERANCE // 2)
    assert mend_future_dates(tmp_path) is None
    assert path.stat().st_mtime_ns == date
    assert describe_future_dates([path, tmp_path / "none"]) is None


def test_an_input_from_the_future_is_named_and_left_alone(tmp_path):
    for name in ("tracks.csv", "genres.csv"):
        (tmp_path / name).touch()
    set_date(tmp_path / "tracks.csv", DAY)
    date = set_date(tmp_path / "genres.csv", 2 * DAY)
    sentence = describe_future_dates([tmp_path / "tracks.csv", tmp_path / "genres.csv"])
    assert sentence.startswith(f"{tmp_path}/genres.csv has a date in the future, ")
    assert Path(tmp_path / "genres.csv").stat().st_mtime_ns == date


def kill_myself():
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_process_that_was_killed_is_no_fault_of_the_program(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    with pytest.raises(RuntimeError) as raised, recycled(kill_myself, 1) as call:
        call()
    sentence = describe_fault(raised.value)
    assert sentence.startswith("A process that the job had started was killed")
    assert describe_fault(RuntimeError("something else died with status -9 and more")) is None
