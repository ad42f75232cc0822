"""The whole workflow on a real Slurm, through profiles/slurm, against a run without it."""

import ast
import os
import subprocess
import sys
import sysconfig
import time
import tomllib
from datetime import datetime
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from cluster import jobs_of, listening_addresses, one_node_cluster
from debian import CannotRunHere
from packaging.requirements import Requirement
from tiny_run import CASES, NETWORKS, ROOT, TINY, copy_project, planned, snakemake

from agf.corpus.demo import write_demo

pytestmark = pytest.mark.workflow

SHORT_GROUPS = ["features=4", "targets=4", "networks=4", "embeddings=4", "transfer=3"]
"""More in a group than the profile has: here a job takes seconds, and a start of Snakemake two."""

QUICK = ["--slurm-init-seconds-before-status-checks", "2"]

GROUPS = yaml.safe_load((ROOT / "profiles" / "slurm" / "config.yaml").read_text())["groups"]
"""The group of each rule that is in one."""

GPU_GROUPS = {"networks", "embeddings", "transfer"}


def group_of(job):
    """Return the group that a Slurm job computed, or the rule."""
    name = job["Comment"].removeprefix("rule_")
    return next((group for group in set(GROUPS.values()) if name.startswith(f"{group}_")), name)


def time_of(job, field):
    return datetime.fromisoformat(job[field])


def minutes_of(limit):
    """Return the minutes of a time limit like ``1-08:00:00``."""
    days, _, clock = limit.rpartition("-")
    hours, minutes, _ = clock.split(":")
    return (int(days or 0) * 24 + int(hours)) * 60 + int(minutes)


def ran_together(first, second):
    starts, ends = ([time_of(job, field) for job in (first, second)] for field in TIMES)
    return max(starts) < min(ends)


TIMES = ("StartTime", "EndTime")


@pytest.fixture(scope="module")
def cluster():
    try:
        with one_node_cluster() as folder:
            yield folder
    except CannotRunHere as reason:
        pytest.skip(f"no Slurm: {reason}")


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """A Python with the executor plugin and, by a path file, all that this one has."""
    folder = tmp_path_factory.mktemp("python")
    command = [sys.executable, "-m", "venv", "--without-pip", str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "tested.pth").write_text(sysconfig.get_path("purelib"))
    executable = folder / "bin" / "python"
    pinned = Path(__file__).with_name("requirements.txt")
    command = [executable, "-m", "pip", "install", "--no-deps", "--retries", "1", "-r", pinned]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"pip cannot get the executor plugin: {done.stderr.strip().splitlines()[-1]}")
    return executable


def slurm_snakemake(python, folder, *arguments):
    """Run snakemake in `folder` through profiles/slurm; return what it prints."""
    environment = os.environ | {"PYTHONPATH": str(folder / "src")}
    # Slurm hands it on to jobs that have no GPU.
    environment.pop("CUDA_VISIBLE_DEVICES", None)
    command = [python, "-m", "snakemake", "--workflow-profile", "profiles/slurm"]
    command += [*arguments, *QUICK, "--configfile", "tiny.yaml"]
    # A job that Slurm forgot would be waited for without end.
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=7200
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0, output[-6000:]
    return output


@pytest.fixture(scope="module")
def on_slurm(cluster, python, tmp_path_factory):
    """A finished run on the cluster: its folder, its jobs as Slurm saw them, its seconds."""
    folder = tmp_path_factory.mktemp("slurm")
    copy_project(folder)
    write_demo(TINY["demo"], 0, folder / "data" / "tiny")
    start = time.monotonic()
    arguments = ["--benchmark-extended", "--group-components", *SHORT_GROUPS]
    slurm_snakemake(python, folder, *arguments)
    return folder, jobs_of(cluster, folder), time.monotonic() - start


def test_the_plugin_tested_is_the_one_that_users_get():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (wanted,) = map(Requirement, extras["optional-dependencies"]["slurm"])
    lines = Path(__file__).with_name("requirements.txt").read_text().splitlines()
    pinned = dict(line.split("==") for line in lines if not line.startswith("#"))
    assert pinned[wanted.name] in wanted.specifier


def test_the_cluster_is_this_machines_alone(cluster):
    assert listening_addresses(cluster) == {"127.0.0.1"}


def test_the_run_took_few_jobs(on_slurm, capsys):
    _, jobs, seconds = on_slurm
    with capsys.disabled():
        print(f"\nThe tiny corpus on Slurm: {len(jobs)} Slurm jobs, {seconds:.0f} s")
    assert {job["JobState"] for job in jobs} == {"COMPLETED"}
    groups = [group_of(job) for job in jobs]
    # Eight networks and embeddings by four, five cases by three; everything else is one each.
    expected = {"networks": 2, "embeddings": 2, "transfer": 2}
    single = ("scan_corpus", "features", "selection", "targets", "mels", "tables")
    assert {group: groups.count(group) for group in groups} == expected | dict.fromkeys(single, 1)


def test_networks_predictions_and_tables_are_those_of_a_run_without_slurm(tiny, on_slurm):
    local, remote = (folder / "results" / "tiny" for folder in (tiny, on_slurm[0]))
    names = [f"networks/random/seed0/{network}/weights.safetensors" for network in NETWORKS]
    names += [f"cases/random/seed0/{case}/predictions.parquet" for case in CASES]
    names += [str(path.relative_to(local)) for path in sorted(local.glob("tables/*"))]
    assert "tables/table4.md" in names and "tables/comparisons.csv" in names
    different = [n for n in names if (local / n).read_bytes() != (remote / n).read_bytes()]
    assert different == []


def test_features_are_those_of_a_run_without_slurm(tiny, on_slurm):
    local, remote = (folder / "results" / "tiny" for folder in (tiny, on_slurm[0]))
    for shard in ("000-of-002", "001-of-002"):
        ours, theirs = (
            pd.read_parquet(folder / "features" / "essentia" / f"{shard}.parquet")
            for folder in (remote, local)
        )
        assert list(ours.track_id) == list(theirs.track_id)
        descriptors = [table.select_dtypes("float") for table in (ours, theirs)]
        assert descriptors[0].shape[1] == 4374
        # A few descriptors of rhythm are not repeatable to the last bit on silence.
        assert np.allclose(*descriptors, rtol=1e-4, atol=1e-6)
    for feature in ("mel", "mfcc"):
        digests = [folder / "corpus" / "digests" / f"{feature}.json" for folder in (remote, local)]
        assert digests[0].read_bytes() == digests[1].read_bytes()


def test_nothing_is_left_to_do(on_slurm):
    assert planned(snakemake(on_slurm[0], "--dry-run")) == {}


def test_no_two_jobs_had_the_same_gpu_at_the_same_time(on_slurm):
    jobs = [job for job in on_slurm[1] if group_of(job) in GPU_GROUPS]
    assert all(len(job["gpus"]) == 1 for job in jobs)
    assert set.union(*(job["gpus"] for job in jobs)) == {"0", "1"}
    together = [pair for pair in combinations(jobs, 2) if ran_together(*pair)]
    assert together, "no two GPU jobs ran at the same time, so that nothing was tested"
    shared = [pair for pair in together if pair[0]["gpus"] & pair[1]["gpus"]]
    assert shared == []


def test_jobs_without_a_gpu_asked_for_none(on_slurm):
    for job in on_slurm[1]:
        on_gpu = group_of(job) in GPU_GROUPS
        assert job["Partition"] == ("gpu" if on_gpu else "cpu")
        assert bool(job["gpus"]) == on_gpu


def test_slurm_was_asked_for_the_memory_and_time_of_the_rules(on_slurm):
    """A group asks for the memory of its largest job, and for the time of all of them."""
    folder, slurm_jobs, _ = on_slurm
    paths = (folder / "results" / "tiny" / "benchmarks").rglob("*.tsv")
    rows = pd.concat([pd.read_csv(path, sep="\t") for path in paths])
    # All jobs, the checkpoints among them: those of eight networks and five cases, and one each.
    assert len(rows) == 2 * len(NETWORKS) + len(CASES) + 25
    groups = rows.rule_name.map(lambda rule: GROUPS.get(rule, rule))
    for group, resources in rows.resources.map(ast.literal_eval).groupby(groups.to_numpy()):
        jobs = [job for job in slurm_jobs if group_of(job) == group]
        assert {job["NumCPUs"] for job in jobs} == {"1"}
        memory = [int(job["MinMemoryNode"].removesuffix("M")) for job in jobs]
        assert max(memory) == max(asked["mem_mb"] for asked in resources)
        minutes = [minutes_of(job["TimeLimit"]) for job in jobs]
        assert sum(minutes) == sum(asked["runtime"] for asked in resources)


def test_a_job_killed_for_its_memory_is_tried_again_with_more(cluster, python, tmp_path):
    copy_project(tmp_path)
    write_demo(TINY["demo"], 0, tmp_path / "data" / "tiny")
    memory = "scan_corpus:mem_mb=40 if attempt == 1 else 1500 * (attempt - 1)"
    output = slurm_snakemake(python, tmp_path, "corpus", "--set-resources", memory)
    first, second = jobs_of(cluster, tmp_path)
    assert "exceeded memory limit" in Path(first["StdOut"]).read_text()
    assert [job["JobState"] for job in (first, second)] == ["FAILED", "COMPLETED"]
    assert [job["MinMemoryNode"] for job in (first, second)] == ["40M", "1500M"]
    assert "Traceback" not in output
    assert (tmp_path / "results" / "tiny" / "corpus" / "scan.parquet").exists()
