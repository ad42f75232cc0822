"""A function in a process that is replaced."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import psutil
import pytest

from agf.features.audio import AudioError
from agf.features.recycled import recycled


def process_of(value):
    """Return the process that answers, and the argument."""
    return os.getpid(), value


def refuse(reason):
    raise AudioError(f"silent: {reason}")


def die(number):
    os.kill(os.getpid(), number)


def test_a_process_answers_so_many_calls_and_leaves_nothing_behind():
    before = psutil.Process().children()
    with recycled(process_of, 3) as call:
        answers = [call(i) for i in range(7)]
    assert [value for _, value in answers] == list(range(7))
    processes = [process for process, _ in answers]
    assert processes == sorted(processes, key=processes.index)
    assert [processes.count(process) for process in dict.fromkeys(processes)] == [3, 3, 1]
    assert os.getpid() not in processes
    assert psutil.Process().children() == before


def test_no_process_is_started_for_no_call():
    before = psutil.Process().children()
    with recycled(process_of, 3):
        assert psutil.Process().children() == before


def test_what_the_function_raises_is_raised_and_the_process_goes_on():
    with recycled(refuse, 10) as call:
        for reason in ("peak 0", "peak 1"):
            with pytest.raises(AudioError, match=f"^silent: {reason}") as caught:
                call(reason)
            assert "in refuse" in caught.value.__notes__[0]


def test_a_crash_is_told_with_its_arguments():
    with (
        recycled(die, 10) as call,
        pytest.raises(RuntimeError, match=r"ran die\(.*11.*\) died with status -11"),
    ):
        call(signal.SIGSEGV.value)


def test_the_process_ends_where_its_parent_is_killed():
    script = """
        import time
        from test_recycled import process_of
        from agf.features.recycled import recycled
        with recycled(process_of, 3) as call:
            print(call(0)[0], flush=True)
            time.sleep(60)
    """
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", textwrap.dedent(script)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as parent:
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    deadline = time.monotonic() + 20
    while child.is_running() and child.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.05)
