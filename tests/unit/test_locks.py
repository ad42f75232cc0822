"""Locks keep a second run out as long as the first lives, and no longer."""

import os
import signal
import subprocess
import sys

import pytest

from agf.errors import UserError
from agf.locks import RUN_LOCK, hold_run, running, try_lock

HOLD = "from agf.locks import hold_run\nfile = hold_run({!r})\nprint(flush=True)\ninput()"


def test_a_second_run_is_told_which_process_is_at_work(tmp_path):
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", HOLD.format(str(tmp_path))], **pipes) as first:
        first.stdout.readline()
        assert running(tmp_path).startswith(f"process {first.pid} on ")
        with pytest.raises(UserError, match=rf"Another run is at work .*process {first.pid} on "):
            hold_run(tmp_path)
        first.send_signal(signal.SIGKILL)
    assert running(tmp_path) is None
    with hold_run(tmp_path):
        assert (tmp_path / RUN_LOCK).read_text().startswith(f"process {os.getpid()} on ")


def test_nothing_runs_where_nothing_ever_ran(tmp_path):
    assert running(tmp_path) is None
    assert os.listdir(tmp_path) == []


def test_a_lock_is_free_again_once_its_file_is_closed_and_keeps_its_content(tmp_path):
    path = tmp_path / "lock"
    path.write_text("kept")
    with try_lock(path):
        assert try_lock(path) is None
    with try_lock(path) as file:
        file.seek(0)
        assert file.read() == "kept"
