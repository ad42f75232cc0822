"""A job ends with the run that started it: one that goes on would write beside the next run's."""

import os
import signal
import sys
import threading
import time

import psutil

VARIABLE = "AGF_RUN"
"""Environment variable in which a run tells its jobs which process it is."""

SECONDS = 0.5
"""Between two looks at the processes that are followed."""


def announce_run():
    """Name this process as the run in the environment of the jobs it will start."""
    os.environ[VARIABLE] = f"{os.getpid()} {_process_namespace()}"


def end_with_run():
    """Kill this process as soon as the run that started it, or what stands between, is dead.

    A run that is killed cannot end its jobs itself. Without :func:`announce_run` before, as where
    a function is called by hand, and where a container hides the run from its jobs, nothing is
    watched.

    Raises
    ------
    SystemExit
        With status 1 where the run has ended already.
    """
    number, _, namespace = os.environ.get(VARIABLE, "").partition(" ")
    if not number or namespace != _process_namespace():
        return
    watched = []
    for process in psutil.Process().parents():
        watched.append(process)
        if process.pid == int(number):
            break
    else:
        print("The run that started this job has ended; the job ends too.", file=sys.stderr)
        sys.exit(1)
    threading.Thread(target=_follow, args=(watched,), daemon=True).start()


def _follow(processes):
    """End this process abruptly once one of the others has ended."""
    while all(_lives(process) for process in processes):
        time.sleep(SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)


def _lives(process):
    try:
        # A dead process stays in the table until its parent asks for its status.
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _process_namespace():
    """Name the namespace within which numbers of processes mean the same; empty without Linux."""
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""
