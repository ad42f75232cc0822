"""The tiny corpus on which tests run the whole workflow, and how they do."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]

TINY = {
    "corpus": "tiny",
    "source": "fma",
    "data_dir": "data/tiny",
    "shards": 2,
    "agf": {
        "dictionary_size": {"m": 16, "d": 12, "c": 8, "e": 8},
        "dictionary_iterations": 5,
        "n_topics": 4,
        "lda_iterations": 5,
    },
    "networks": {"epochs": 1, "batch_size": 8},
    "transfer": {"epochs": 1},
    "demo": {
        "tracks": 24,
        "artists": 8,
        "groups": 4,
        "genres": 2,
        "subgenres": 2,
        "min_seconds": 3,
        "max_seconds": 4,
        "label_noise": 0.0,
    },
    "study": {"subset": ["gs", "gsedm", "wstn-2"]},
}
"""Few of the cases, but one of every kind of job at least."""

WHOLE = TINY | {"study": {"subset": None}}
"""All 35 networks, the paper's 62 cases and the wide baselines."""

NETWORKS = ("stn-g", "stn-s", "stn-e", "stn-d", "stn-m", "mtn-gs", "mtn-gsedm", "wstn-2")

CASES = ("stn-gs", "mtn-gs", "stn-gsedm", "mtn-gsedm", "wstn-2", "wstn-2-softmax")


def snakemake(folder, *arguments, check=True):
    """Run snakemake in `folder` on two cores with its own copy of the package."""
    environment = os.environ | {"PYTHONPATH": str(folder / "src")}
    # Targets first: --configfile and --config take every word that follows them.
    command = [sys.executable, "-m", "snakemake", "--cores", "2", *arguments]
    command += ["--configfile", "tiny.yaml"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    output = done.stdout + done.stderr
    assert not check or done.returncode == 0, output[-6000:]
    return output


def run_and_list(folder, *targets):
    """Run the workflow; return the logs of the jobs that ran, by rule, as paths below ``logs``."""
    logs = folder / "results" / "tiny" / "logs"
    before = {path: path.stat().st_mtime_ns for path in logs.rglob("*.log")}
    snakemake(folder, *targets)
    ran = {}
    for path in sorted(logs.rglob("*.log")):
        if path.stat().st_mtime_ns != before.get(path):
            rule = path.relative_to(logs).parts[0].removesuffix(".log")
            ran.setdefault(rule, []).append(path.relative_to(logs))
    return ran


def names_of_jobs(ran):
    """Return the wildcards of the jobs of :func:`run_and_list`, by rule: ``random/seed0/stn-c``."""
    return {
        rule: [path.with_suffix("").as_posix().partition("/")[2] for path in paths]
        for rule, paths in ran.items()
    }


def planned(output):
    """Return the number of jobs by rule of a dry run, target rules left out."""
    table = re.search(r"^job +count\n-.*?\n(.*?)^total ", output, re.M | re.S)
    jobs = dict(line.split() for line in table[1].splitlines()) if table else {}
    return {rule: int(count) for rule, count in jobs.items() if rule not in TARGETS}


TARGETS = {"all", "corpus", "features", "targets", "networks", "transfer", "tables", "planted"}


def copy_run(source, target):
    """Copy a finished run; what is large and never written in place is linked."""
    shutil.copytree(source, target, copy_function=_copy_or_link)


def _copy_or_link(source, target):
    large = Path(source).suffix == ".safetensors"
    (os.link if large else shutil.copy2)(source, target)


def write_config(folder, config):
    (folder / "tiny.yaml").write_text(yaml.safe_dump(config))


def copy_project(folder):
    for name in ("workflow", "src", "profiles", "envs", "resources"):
        ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
        shutil.copytree(ROOT / name, folder / name, ignore=ignore)
    for name in ("Snakefile", "config.yaml", "requirements.lock"):
        shutil.copy2(ROOT / name, folder / name)
    write_config(folder, TINY)
