"""How every benchmark measures, and where its figures go.

Alternatives are run in turns in one process, so that whatever else the machine does falls on all of
them alike. What a benchmark found is one JSON file, and one row of the page docs/performance.md.
"""

import datetime
import os
import pickle
import platform
import re
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import performance

from agf.errors import UserError
from agf.files import write_json
from agf.machine import describe_commit, describe_hardware

ROOT = Path(__file__).resolve().parents[1]

LOAD_AT_START = os.getloadavg()[0]
"""Load average of the minute before the benchmark, which imports this module as it starts."""

WORKER = """
import importlib, pickle, re, sys
from pathlib import Path
call, answer = map(Path, sys.argv[1:])
with open(call, "rb") as file:
    module, name, arguments = pickle.load(file)
result = getattr(importlib.import_module(module), name)(*arguments)
status = Path("/proc/self/status").read_text()
peak = int(re.search(r"^VmHWM:\\s+(\\d+) kB", status, re.M)[1]) * 1024
answer.write_bytes(pickle.dumps((result, peak)))
"""
"""The program of a process whose memory is measured: it imports nothing of this module."""


def interleave(alternatives, repeats, warmup=1):
    """Time functions in turns.

    Parameters
    ----------
    alternatives : dict of str to callable
        What to run, without arguments, by the label of the figures.
    repeats : int
        Rounds. In each every alternative runs once; the one that begins changes from round to
        round.
    warmup : int
        Rounds before the first one that is timed.

    Returns
    -------
    dict of str to list of float
        Seconds of every call, in the order of the rounds.

    Raises
    ------
    UserError
        Unless the environment has ``OMP_NUM_THREADS=1``: libraries read it as they are imported,
        and each of them would use all cores, in its own way.
    """
    require_one_thread()
    labels = list(alternatives)
    seconds = {label: [] for label in labels}
    for i in range(-warmup, repeats):
        first = i % len(labels)
        for label in labels[first:] + labels[:first]:
            start = time.perf_counter()
            alternatives[label]()
            elapsed = time.perf_counter() - start
            if i >= 0:
                seconds[label].append(elapsed)
    return seconds


def require_one_thread():
    """Raise UserError unless libraries were told to use one thread a process."""
    if os.environ.get("OMP_NUM_THREADS") != "1":
        raise UserError(
            "OMP_NUM_THREADS is not 1: run `export OMP_NUM_THREADS=1` before the benchmark"
        )


def spread(values):
    """Return the ``median``, ``smallest`` and ``largest`` of some numbers as a dict of float."""
    values = [float(value) for value in values]
    return {
        "median": statistics.median(values),
        "smallest": min(values),
        "largest": max(values),
    }


def peak_memory(function, *arguments):
    """Run a function in a process of its own and measure the memory that this takes.

    Parameters
    ----------
    function : callable
        A function at the top of its module. The process imports that module alone; where it is
        the benchmark itself, what the benchmark imports at its top is in the figure.
    *arguments
        What the function is called with; they and its result are pickled.

    Returns
    -------
    result : object
        What the function returned.
    megabytes : float
        Peak resident memory of the process in MB (10**6 bytes), the interpreter included.

    Raises
    ------
    RuntimeError
        Where the function raises; its traceback is on standard error.

    Notes
    -----
    The peak is Linux's ``VmHWM``, not ``ru_maxrss``, which a child inherits from its parent.
    """
    module = function.__module__
    if module == "__main__":
        module = Path(sys.modules["__main__"].__file__).stem
    with tempfile.TemporaryDirectory(prefix="agf-memory-") as folder:
        call, answer = Path(folder) / "call", Path(folder) / "answer"
        call.write_bytes(pickle.dumps((module, function.__name__, arguments)))
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        done = subprocess.run([sys.executable, "-c", WORKER, call, answer], env=environment)
        if done.returncode:
            raise RuntimeError(f"{module}.{function.__name__} failed in its own process")
        result, peak = pickle.loads(answer.read_bytes())
    return result, peak / 1e6


def high_water_mark(pid):
    """Return the peak resident memory of a process in bytes, 0 where it is just ending."""
    status = Path(f"/proc/{pid}/status").read_text()
    peak = re.search(r"^VmHWM:\s+(\d+) kB", status, re.M)
    return int(peak[1]) * 1024 if peak else 0


def describe_machine(*packages):
    """Describe where something is measured.

    Parameters
    ----------
    *packages : str
        Names of distributions whose versions matter.

    Returns
    -------
    dict
        As :func:`agf.provenance.describe_hardware`, and ``versions``, Python's among them.
    """
    versions = {name: version(name) for name in packages}
    return {**describe_hardware(), "versions": {"python": platform.python_version(), **versions}}


def describe_command():
    """Return the command line of the benchmark, with FOLDER in place of every path in it."""
    arguments = ["FOLDER" if os.sep in argument else argument for argument in sys.argv[1:]]
    return shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *arguments])


def record(
    name,
    *,
    ours,
    alternative,
    unit,
    measured,
    ratio,
    reached,
    predicted,
    remark="",
    megabytes=None,
    packages=(),
    details=None,
):
    """Write what a benchmark found to its JSON file, and render docs/performance.md anew.

    Parameters
    ----------
    name : str
        A stage of :data:`performance.STAGES`.
    ours, alternative : str
        What was run, in a few words each.
    unit : str
        Of `measured`, such as ``"ms per clip"``.
    measured : dict of str to dict
        :func:`spread` of the figures by label, ours first.
    ratio : dict
        :func:`spread` over the rounds of how many times as fast ours was.
    reached : bool
        Whether the figures reach the stage's target.
    predicted : str
        What was expected before anything was measured: a figure, a colon and how it comes about.
        The tables show the figure alone.
    remark : str
        What a reader has to know, a miss above all.
    megabytes : float, optional
        Peak memory of our worker in MB.
    packages : sequence of str
        Names of distributions whose versions matter.
    details : dict, optional
        Whatever else is worth keeping.

    Returns
    -------
    pathlib.Path
        The JSON file.

    Raises
    ------
    UserError
        If there is no such stage.
    """
    if name not in performance.STAGES:
        known = ", ".join(performance.STAGES)
        raise UserError(f"There is no stage {name!r} in benchmarks/performance.py, only {known}")
    result = {
        "stage": name,
        "date": datetime.date.today().isoformat(),
        "commit": describe_commit(ROOT),
        "command": describe_command(),
        "machine": describe_machine(*packages),
        "load_average": {"before": LOAD_AT_START, "after": os.getloadavg()[0]},
        "ours": ours,
        "alternative": alternative,
        "unit": unit,
        "measured": measured,
        "ratio": ratio,
        "reached": bool(reached),
        "predicted": predicted,
        "remark": remark,
        "megabytes": megabytes,
        "details": details or {},
    }
    path = performance.RESULTS / f"{name}.json"
    write_json(result, path)
    performance.render()
    print(performance.summary(result))
    return path
