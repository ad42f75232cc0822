"""Runs of the workflow, what is at work in them, and what they leave."""

import hashlib
import json
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pandas as pd
import psutil
import pyarrow.parquet as pq
from safetensors import safe_open

sys.path.insert(0, str(Path(__file__).parents[1]))
from tiny_run import TINY, copy_project, write_config

from agf.provenance import provenance_hash

SEED = int(os.environ.get("AGF_KILL_SEED", "0"))
"""Decides which process is killed and after how long."""

CONFIG = TINY | {"corpus": "demo", "source": "demo", "data_dir": "data/demo"}
"""The tiny corpus, made by the workflow itself: one stage more to be killed."""

processes = multiprocessing.get_context("forkserver")
# Forked from one that has imported what takes long, they start in milliseconds.
processes.set_forkserver_preload(
    ["agf.corpus.archive", "agf.corpus.download", "agf.networks.training", "pytest"]
)

SCRIPT = re.compile(r"/\.snakemake/scripts/\w+\.(\w+)\.py$")

ASIDE = ("logs", "benchmarks", "cache")
"""Folders of a corpus whose files are no results."""

TEMPORARY = re.compile(r"^\..+\.(\d+|unpacking)$")
"""Names under which files are written before they are whole."""


class Kills:
    """A list of kills that prints each of them, and their numbers in the end."""

    def __init__(self):
        self.rows = []

    def add(self, stage, victim, seconds, **notes):
        row = {"time": time.strftime("%H:%M:%S"), "stage": stage, "victim": victim}
        self.rows.append(row | {"seconds": round(seconds, 3)} | notes)
        print(*(f"{key}={value}" for key, value in self.rows[-1].items()), flush=True)

    def table(self):
        """Return the number of kills by stage and victim as a Markdown table."""
        victims = list(dict.fromkeys(row["victim"] for row in self.rows))
        numbers = Counter((row["stage"], row["victim"]) for row in self.rows)
        lines = [["stage", *victims, "all"], ["---"] * (len(victims) + 2)]
        for stage in dict.fromkeys(row["stage"] for row in self.rows):
            counts = [numbers[stage, victim] for victim in victims]
            lines.append([stage, *(count or "" for count in counts), sum(counts)])
        sums = [sum(row["victim"] == victim for row in self.rows) for victim in victims]
        lines.append(["all", *sums, len(self.rows)])
        return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def new_project(folder):
    """Copy the project into a folder and configure the tiny demo corpus."""
    copy_project(folder)
    write_config(folder, CONFIG)


def start(folder, *arguments, cores=1):
    """Start snakemake in a session of its own; its output is added to ``snakemake.log``."""
    # Whoever was started in the background ignores SIGINT, and so would all that it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    command = [sys.executable, "-m", "snakemake", "--cores", str(cores), *arguments]
    command += ["--configfile", "tiny.yaml"]
    environment = os.environ | {"PYTHONPATH": str(folder / "src")}
    with open(folder / "snakemake.log", "a") as log:
        return psutil.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def finish(folder, *arguments, cores=1):
    """Run snakemake to its end, which has to be a good one; return what it printed."""
    log = folder / "snakemake.log"
    begin = log.stat().st_size if log.exists() else 0
    status = start(folder, *arguments, cores=cores).wait()
    with open(log, errors="replace") as file:
        file.seek(begin)
        text = file.read()
    assert status == 0, f"snakemake {arguments} ended with {status}:\n{text[-4000:]}"
    return text


def jobs(run):
    """Return the jobs at work in a run: pairs of stage and process."""
    found = []
    for process in children(run, recursive=True):
        try:
            words = process.cmdline()
            script = SCRIPT.search(words[1]) if len(words) > 1 else None
        except psutil.Error:
            continue
        if script:
            found.append((script[1], process))
    return found


def children(process, recursive=False):
    try:
        return process.children(recursive=recursive)
    except psutil.Error:
        return []


def alive(process):
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def belonging(folder):
    """Return every process that works in a folder or names it in its command line."""
    found = []
    for process in psutil.process_iter():
        try:
            inside = Path(process.cwd()).is_relative_to(folder)
            if inside or str(folder) in " ".join(process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return [process for process in found if process.pid != os.getpid() and alive(process)]


def wait_until_gone(processes, seconds=15.0):
    """Wait until processes have ended; return how long that took."""
    began = time.monotonic()
    while left := [process for process in processes if alive(process)]:
        waited = time.monotonic() - began
        assert waited < seconds, f"{left} are at work {waited:.0f} s after the kill"
        time.sleep(0.02)
    return time.monotonic() - began


def written_files(folder):
    """Yield every file that a stage writes, those of :data:`ASIDE` left out."""
    for base, names, files in os.walk(folder):
        if base == str(folder):
            names[:] = [name for name in names if name in ("results", "data")]
        names[:] = [name for name in names if name not in ASIDE]
        if base != str(folder):
            yield from (Path(base) / file for file in files)


def wait_for_change(folder, process):
    """Wait until a file below a folder is made or replaced, or a process has ended."""

    def times():
        folders = {path.parent for path in written_files(folder)}
        folders |= {parent for path in folders for parent in path.parents}
        return {path: path.stat().st_mtime_ns for path in folders if path.is_relative_to(folder)}

    before = times()
    while alive(process):
        for path, time_before in before.items():
            try:
                if path.stat().st_mtime_ns != time_before:
                    return
            except FileNotFoundError:
                return
        time.sleep(0.001)


def temporaries(*folders):
    """Return the files that somebody began to write and did not finish."""
    names = (path for folder in folders for path in folder.rglob(".*"))
    return [path for path in names if TEMPORARY.match(path.name)]


def content(path):
    """Return a digest of what a file says, times of trainings left out."""
    if path.name == "provenance.json":
        return provenance_hash(json.loads(path.read_text()))
    if path.name == "report.html":
        # It says how long the jobs took.
        return path.read_text().rstrip().endswith("</html>")
    if path.name == "history.parquet":
        return pd.read_parquet(path).drop(columns="seconds").to_csv()
    return hashlib.sha256(path.read_bytes()).hexdigest()


def contents(folder, known):
    """Return the digests of all files under their final names; what cannot be opened raises.

    Parameters
    ----------
    folder : pathlib.Path
        The project.
    known : dict
        Digests of an earlier call by path and state of the file; brought up to date.

    Returns
    -------
    dict of str to str
        By path below `folder`.
    """
    digests = {}
    for path in written_files(folder):
        if TEMPORARY.match(path.name):
            continue
        name, status = path.relative_to(folder).as_posix(), path.stat()
        state = (status.st_ino, status.st_mtime_ns, status.st_size)
        if (name, state) not in known:
            open_whole(path)
            known[name, state] = content(path)
        digests[name] = known[name, state]
    return digests


def open_whole(path):
    """Read a file of a format that can tell whether it is whole."""
    if path.suffix == ".parquet":
        pq.read_table(path)
    elif path.suffix == ".json":
        json.loads(path.read_text())
    elif path.suffix == ".safetensors":
        with safe_open(path, "np") as file:
            for name in file.keys():  # noqa: SIM118
                file.get_tensor(name)


def stage_seconds(folder):
    """Return how long each job of a finished run took, by stage."""
    seconds = {}
    benchmarks = folder / "results" / "demo" / "benchmarks"
    for path in benchmarks.rglob("*.tsv"):
        stage = path.relative_to(benchmarks).parts[0].removesuffix(".tsv")
        seconds.setdefault(stage, []).append(float(pd.read_csv(path, sep="\t")["s"].iloc[-1]))
    return seconds


def outputs(folder):
    """Return the files and folders that each stage of a finished run has written."""
    found = {}
    for line in finish(folder, "--summary").splitlines():
        cells = line.split("\t")
        if len(cells) > 2 and cells[0] != "output_file":
            found.setdefault(cells[2], []).append(cells[0])
    return found


def remove(folder, names):
    """Remove files and folders that are there."""
    for path in (folder / name for name in names):
        if path.is_dir():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)


def copy_of(project, folder, made=True):
    """Copy a project, with the same code whatever changes meanwhile, and what its runs have made.

    Dates stay as they are. Without `made` the copy is a project in which nothing was run yet.
    """
    names = () if made else ("results", "data", ".snakemake", "snakemake.log")
    ignore = shutil.ignore_patterns("__pycache__", *names)
    shutil.copytree(project, folder, ignore=ignore, dirs_exist_ok=True)
    return folder


def killed_after(seconds, function, *arguments, begun):
    """Run a function in a process that is killed so long after it has begun.

    Returns
    -------
    bool
        Whether it was at work then; one that had ended has to have ended well.
    """
    process = processes.Process(target=function, args=arguments)
    process.start()
    while process.is_alive() and not begun():
        time.sleep(0.002)
    process.join(seconds)
    process.kill()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode == -signal.SIGKILL


def kill_group(run, number=signal.SIGKILL):
    os.killpg(run.pid, number)
