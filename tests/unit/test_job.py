"""What a script's user sees: one sentence for a mistake, a traceback for a fault of the program."""

import errno
import logging
import os
import shutil
import subprocess
import sys

import pytest

from agf.errors import UserError
from agf.job import job


@pytest.fixture(autouse=True)
def restore_logging():
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    logging.captureWarnings(False)
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


def test_progress_goes_to_the_log(tmp_path):
    with job(tmp_path / "logs" / "a.log"):
        logging.getLogger("agf.x").info("3 of 4")
    assert (tmp_path / "logs" / "a.log").read_text().endswith(" 3 of 4\n")


def test_a_mistake_is_one_sentence(tmp_path):
    with pytest.raises(SystemExit) as end, job(tmp_path / "a.log"):
        raise UserError("tracks.csv: track 2 has no artist.")
    assert end.value.code == 1
    text = (tmp_path / "a.log").read_text()
    assert text.endswith(" tracks.csv: track 2 has no artist.\n") and text.count("\n") == 1


def test_a_fault_keeps_its_traceback(tmp_path):
    with pytest.raises(SystemExit) as end, job(tmp_path / "a.log"):
        raise KeyError("mel")
    assert end.value.code == 1
    text = (tmp_path / "a.log").read_text()
    assert "fault of the program" in text and "Traceback" in text and "KeyError: 'mel'" in text


def test_a_second_job_with_the_same_files_says_so_and_leaves_the_first_alone(tmp_path):
    log = tmp_path / "a.log"
    with job(log):
        logging.getLogger("agf.x").info("at work")
        script = f"from agf.job import job\nwith job({str(log)!r}): print('both at work')"
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1 and "is held by another job" in done.stderr
    assert log.read_text().endswith(" at work\n")
    with job(log):
        pass
    assert log.read_text() == ""
    assert os.listdir(tmp_path) == ["a.log"]


def test_a_log_that_is_removed_stays_locked(tmp_path):
    """Snakemake removes a job's log before it starts the job."""
    with job(tmp_path / "a.log"):
        (tmp_path / "a.log").unlink()
        printed, status = run(tmp_path / "a.log", "print('both at work')")
    assert status == 1
    assert printed.count("\n") == 1 and "is held by another job" in printed


def test_what_a_killed_job_leaves_locks_nothing(tmp_path):
    _, status = run(tmp_path / "a.log", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    assert status < 0
    assert sorted(os.listdir(tmp_path)) == [".a.log.lock", "a.log"]
    assert run(tmp_path / "a.log", "print('at work')") == ("at work\n", 0)
    assert os.listdir(tmp_path) == ["a.log"]


def run(log, *lines):
    """Run a job in a process of its own; return what it printed and its status."""
    text = "\n    ".join(lines)
    script = f"import logging\nfrom agf.job import job\nwith job({str(log)!r}):\n    {text}"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    return done.stdout + done.stderr, done.returncode


@pytest.fixture
def full_disk(tmp_path):
    """A file system on which nothing has room but a file's name."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    with pytest.raises(OSError), open(folder / "fill", "wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_fault_of_the_machine_is_one_sentence(tmp_path):
    with pytest.raises(SystemExit) as end, job(tmp_path / "a.log"):
        raise OSError(errno.ESTALE, "Stale file handle", "results/x/mels.safetensors")
    assert end.value.code == 1
    text = (tmp_path / "a.log").read_text()
    assert "results/x/mels.safetensors: the network drive does not answer" in text
    assert text.count("\n") == 1


def test_what_a_full_disk_does_not_log_is_printed(full_disk):
    write = f"import pathlib; pathlib.Path({str(full_disk / 'out')!r}).write_text('x' * 99)"
    printed, status = run(full_disk / "a.log", "logging.info('1 of 2')", write)
    assert status == 1
    first, last = printed.splitlines()
    assert first.endswith(" 1 of 2")
    assert last.endswith("free some space, then run again: what is done is kept.")


def test_a_fault_of_the_program_keeps_its_traceback_on_a_full_disk(full_disk):
    printed, status = run(full_disk / "a.log", "{}['mel']")
    assert status == 1
    assert "fault of the program" in printed and printed.endswith("KeyError: 'mel'\n")
    assert "Logging error" not in printed and printed.count("Traceback") == 1


def test_a_job_may_end_well_though_its_log_cannot_be_written(full_disk):
    printed, status = run(full_disk / "a.log", "logging.info('all done')")
    assert status == 0
    assert printed.endswith(" all done\n") and printed.count("\n") == 1


def test_a_log_that_cannot_be_opened_is_one_sentence(full_disk):
    subprocess.run(["mount", "-o", "remount,ro", full_disk], check=True)
    printed, status = run(full_disk / "a.log", "print('at work')")
    assert status == 1
    assert printed.startswith(f"{full_disk}/a.log: the file system is read-only")
    assert printed.count("\n") == 1


def test_a_mapped_file_that_vanishes_leaves_a_word_in_the_log(tmp_path):
    path = tmp_path / "frames"
    path.write_bytes(bytes(1 << 16))
    lines = [
        "import mmap, os",
        f"file = open({str(path)!r}, 'r+b')",
        "frames = mmap.mmap(file.fileno(), 1 << 16)",
        "os.truncate(file.fileno(), 0)",
        "frames[1 << 15]",
    ]
    _, status = run(tmp_path / "a.log", *lines)
    assert status < 0
    assert "Fatal Python error: Bus error" in (tmp_path / "a.log").read_text()


def test_an_interrupted_job_is_one_sentence(tmp_path):
    with pytest.raises(SystemExit) as end, job(tmp_path / "a.log"):
        raise KeyboardInterrupt
    assert end.value.code == 130
    assert (tmp_path / "a.log").read_text().endswith(" The job was interrupted.\n")
