"""The machine a run is on, and the state of the code."""

import os
import platform
import re
import shutil
import subprocess
from pathlib import Path


def describe_hardware():
    """Describe the machine.

    Returns
    -------
    dict
        ``processor``, ``cores`` that this process may use, ``memory_gigabytes``, ``kernel`` and,
        where NVIDIA's tools name any, ``gpu``.
    """
    cpuinfo = Path("/proc/cpuinfo")
    text = cpuinfo.read_text() if cpuinfo.exists() else ""
    model = re.search(r"^model name\s*: (.*)$", text, re.M)
    hardware = {
        "processor": model[1] if model else platform.machine(),
        "cores": len(os.sched_getaffinity(0)) if text else os.cpu_count(),
        "memory_gigabytes": round(
            os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9, 1
        ),
        "kernel": f"{platform.system()} {platform.release()}",
    }
    if shutil.which("nvidia-smi"):
        command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode == 0 and done.stdout.strip():
            hardware["gpu"] = ", ".join(done.stdout.strip().splitlines())
    return hardware


def describe_commit(folder):
    """Return what git calls the state of the code, None where it does not know.

    Parameters
    ----------
    folder : str or pathlib.Path
        The project.

    Returns
    -------
    str or None
        With ``-dirty`` where a file of the project differs from the commit, those left aside that
        benchmarks write.
    """
    if shutil.which("git") is None:
        return None

    def git(*arguments):
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True)
        return done.stdout.strip() if done.returncode == 0 else None

    commit = git("describe", "--always")
    written = (":(exclude)benchmarks/results", ":(exclude)docs/performance.md")
    changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", *written)
    return f"{commit}-dirty" if commit and changed else commit
