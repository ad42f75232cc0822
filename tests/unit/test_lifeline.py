"""A killed run leaves no job behind."""

import os
import signal
import subprocess
import sys

import psutil
import pytest

from agf.lifeline import VARIABLE, announce_run, end_with_run

JOB = """
import sys, time
from agf.lifeline import end_with_run
end_with_run()
print("working", flush=True)
time.sleep(60)
"""

RUN = """
import subprocess, sys
from agf.lifeline import announce_run
announce_run()
# A shell stands between, as under Snakemake.
command = '"$0" -c "$1"; true'
subprocess.run(["bash", "-c", command, sys.executable, sys.argv[1]])
"""


@pytest.fixture
def run():
    """A run, the shell it started, and that shell's job, at work."""
    with subprocess.Popen([sys.executable, "-c", RUN, JOB], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"working\n"
        main = psutil.Process(process.pid)
        (shell,) = main.children()
        (job,) = shell.children()
        yield main, shell, job
        for one in (job, shell, main):
            if one.is_running():
                one.kill()


@pytest.mark.parametrize("which", [0, 1], ids=["run", "shell"])
def test_a_job_ends_with_any_process_above_it(run, which):
    run[which].send_signal(signal.SIGKILL)
    run[2].wait(timeout=10)
    assert not run[2].is_running()


def test_a_job_that_finds_its_run_dead_ends_at_once(monkeypatch, capsys):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    monkeypatch.setenv(VARIABLE, "")
    announce_run()
    monkeypatch.setenv(VARIABLE, os.environ[VARIABLE].replace(str(os.getpid()), str(ended.pid)))
    with pytest.raises(SystemExit) as end:
        end_with_run()
    assert end.value.code == 1
    assert "run that started this job has ended" in capsys.readouterr().err


@pytest.mark.parametrize("value", [None, "1 pid:[another]"], ids=["by hand", "in a container"])
def test_without_a_run_in_sight_nothing_is_watched(value):
    environment = {key: text for key, text in os.environ.items() if key != VARIABLE}
    if value:
        environment[VARIABLE] = value
    script = (
        "import threading; from agf.lifeline import end_with_run;"
        "end_with_run(); print(threading.active_count())"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr
