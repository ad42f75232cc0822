"""The benchmark of memory sees what processes take, and reserves no less than it saw."""

import importlib
import json
import os
import re
import sys
from pathlib import Path

import pandas as pd
import psutil
import pytest
import yaml

ROOT = Path(__file__).parents[2]

MAPS = """
import mmap, sys, time
held = b"x" * {anonymous}
with open({path!r}, "rb") as file:
    view = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
    pages = sum(view[i] for i in range(0, len(view), 4096))
time.sleep(0.3)
"""

SPIKE = """
held = b"x" * {anonymous}
del held
with open({status!r}, "w") as file:
    file.write(open("/proc/self/status").read())
"""


SNAKEMAKE = {"rule": "extract_mfcc", "anonymous": 160.0, "resident": 260.0}


@pytest.fixture
def memory(monkeypatch):
    """Import the script the way it imports its siblings."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module("memory")


def watch(memory, code, tmp_path, **options):
    return memory.watch([sys.executable, "-c", code], dict(os.environ), tmp_path / "s", **options)


def job(tracks, anonymous, file_backed=100.0, mapped=0.0):
    return {
        "tracks": tracks,
        "anonymous": anonymous,
        "file_backed": file_backed,
        "mapped": mapped,
    }


def test_the_page_is_the_rendering_of_the_figures(memory):
    results = json.loads(memory.RESULTS.read_text(encoding="utf-8"))
    assert memory.PAGE.read_text(encoding="utf-8") == memory.page(results), (
        "run `python benchmarks/memory.py --render`"
    )


def test_the_figures_are_of_rules_that_there_are_and_reserved_memory_covers_them(memory):
    results = json.loads(memory.RESULTS.read_text(encoding="utf-8"))
    text = "".join(path.read_text() for path in memory.RULES.glob("*.smk"))
    rules = set(re.findall(r"^ *(?:rule|checkpoint) (\w+):", text, re.M))
    kinds = memory.kinds_of_jobs(results)
    assert {rule for rule, _ in kinds} <= rules
    for (rule, label), jobs in kinds.items():
        line = memory.formula(jobs)
        for one in jobs:
            needed = memory.MARGIN * one["anonymous"]
            assert memory.reserve(line, one["tracks"]) > needed, f"{rule} {label}"


def test_rules_ask_for_what_was_measured(memory):
    """Every rule has figures of its own, and they cover each of its jobs at every size."""
    figures = yaml.safe_load((memory.RULES.parent / "memory.yaml").read_text())
    # predict.smk is a workflow of its own, whose jobs' memory grows with no number of tracks.
    paths = [path for path in memory.RULES.glob("*.smk") if path.stem != "predict"]
    text = "".join(path.read_text() for path in paths)
    named = re.findall(r'mem_mb=.*?memory\("(\w+?)(?:_\{task\})?"\)', text)
    assert len(named) == text.count("mem_mb=") and set(named) <= {
        re.sub("_[a-z]$", "", name) for name in figures
    }
    kinds = memory.kinds_of_jobs(json.loads(memory.RESULTS.read_text(encoding="utf-8")))
    for (rule, label), jobs in kinds.items():
        line = figures[rule if rule in figures else f"{rule}_{label[0]}"]
        slope = line.get("per_1000_tracks", line.get("per_1000_tracks_of_shard", 0))
        for one in jobs:
            needed = memory.MARGIN * one["anonymous"]
            assert line["base"] + slope * one["tracks"] / 1000 > needed, (rule, label)


def test_anonymous_and_mapped_memory_are_told_apart(memory, tmp_path):
    path = tmp_path / "data"
    path.write_bytes(b"y" * 60_000_000)
    (tmp_path / "empty").write_bytes(b"y")
    without = watch(memory, MAPS.format(anonymous=1, path=str(tmp_path / "empty")), tmp_path)
    peak = watch(memory, MAPS.format(anonymous=100_000_000, path=str(path)), tmp_path)
    assert peak.anonymous - without.anonymous == pytest.approx(100, abs=3)
    assert peak.file_backed - without.file_backed == pytest.approx(60, abs=3)
    assert peak.resident - without.resident == pytest.approx(160, abs=3)
    assert not peak.stopped


def test_a_peak_too_short_to_be_seen_is_counted(memory, tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "POLL_SECONDS", 60)
    status = tmp_path / "s"
    without = watch(memory, SPIKE.format(anonymous=1, status=str(status)), tmp_path)
    peak = watch(memory, SPIKE.format(anonymous=100_000_000, status=str(status)), tmp_path)
    # The first look falls at another moment of Python's start each time.
    assert peak.anonymous - without.anonymous == pytest.approx(100, abs=20)


def test_memory_of_child_processes_is_added(memory, tmp_path):
    child = "import time; held = b'x' * 80_000_000; time.sleep(1)"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    peak = watch(memory, code, tmp_path)
    assert peak.own < 40
    assert peak.anonymous > 80 + peak.own / 2


def test_a_job_without_end_is_ended_with_its_children(memory, tmp_path):
    path = tmp_path / "pid"
    child = f"import os, time; open({str(path)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    code = f"""
import pathlib, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", {child!r}])
while not pathlib.Path({str(path)!r}).exists():
    pass
while True:
    pass
"""
    peak = watch(memory, code, tmp_path, longest=2)
    assert peak.stopped
    assert peak.seconds >= 1.9
    pid = int(path.read_text())
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_a_job_that_fails_is_no_measurement(memory, tmp_path):
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        watch(memory, "1 / 0", tmp_path)


def test_a_script_of_the_workflow_runs_by_itself(memory, tmp_path):
    tracks = pd.DataFrame(
        {
            "track_id": range(20),
            "artist_id": range(20),
            "album_id": range(20),
            "genre_top": ["Folk", "Rock"] * 10,
        }
    )
    tracks.to_parquet(tmp_path / "tracks.parquet")
    peak = memory.run_script(
        "split_tracks",
        tmp_path,
        source={"tracks": tmp_path / "tracks.parquet", "listed": []},
        output={"split": tmp_path / "split.parquet"},
        run={"seed": 0, "kind": "random", "evaluation_fraction": 0.2},
        config={},
    )
    parts = pd.read_parquet(tmp_path / "split.parquet").part.value_counts()
    assert parts.to_dict() == {"train": 16, "evaluation": 4}
    assert 50 < peak.anonymous < 500
    assert peak.anonymous < peak.resident < peak.anonymous + peak.file_backed + 1


def test_what_stops_a_script_is_told(memory, tmp_path):
    with pytest.raises(RuntimeError) as caught:
        memory.run_script(
            "split_tracks",
            tmp_path,
            source={"tracks": tmp_path / "none.parquet", "listed": []},
            output={"split": tmp_path / "split.parquet"},
            run={"seed": 0, "kind": "random", "evaluation_fraction": 0.2},
            config={},
        )
    assert "none.parquet" in caught.value.__notes__[0]


def test_a_line_through_linear_growth_is_that_line_with_its_margin(memory):
    # 200 MB and 50 MB for every 1,000 tracks, with libraries of 100 MB.
    jobs = [job(n, 200 + n / 20) for n in (235, 2000, 8000)]
    base, per_1000 = memory.formula(jobs)
    assert base == 400  # 1.3 x 300 = 390, to the next 50
    assert per_1000 in (65, 66)  # 1.3 x 50, rounded up
    assert memory.reserve((400, 65), 2500) == 563


def test_memory_that_has_saturated_grows_no_more(memory):
    jobs = [job(235, 150), job(2000, 900), job(8000, 900)]
    assert memory.formula(jobs) == (1300, 0)


def test_memory_that_falls_with_the_corpus_is_reserved_at_its_largest(memory):
    assert memory.formula([job(235, 500), job(2000, 400)]) == (800, 0)


def test_a_share_of_mapped_files_is_reserved(memory):
    jobs = [job(0, 0, 100, 0), job(1000, 0, 300, 200), job(2000, 0, 500, 400)]
    assert memory.formula(jobs) == (150, 20)


def test_two_snakemake_processes_share_their_libraries(memory):
    # 1.3 x 2 x 160 = 416 and 100 once are 516, to the next 50.
    assert memory.around_a_job([SNAKEMAKE, {"anonymous": 150.0, "resident": 255.0}]) == 550


def test_figures_beyond_the_largest_size_have_a_star(memory):
    jobs = [
        {"rule": "scan_corpus", "label": "", "stopped": False, **job(n, 100.0)} for n in (235, 8000)
    ]
    results = {
        "date": "",
        "commit": None,
        "command": "",
        "machine": {
            "processor": "",
            "cores": 1,
            "memory_gigabytes": 1,
            "kernel": "",
            "versions": {},
        },
        "snakemake": [SNAKEMAKE],
        "jobs": jobs,
    }
    rows = re.findall(r"^\| `scan_corpus` .*$", memory.page(results), re.M)
    assert rows == [
        "| `scan_corpus` |  | 300 | 0 | 300 | 300 | 300* | 300* |",
        "| `scan_corpus` |  | 235 | 100 | 100 | 0 |",
        "| `scan_corpus` |  | 8,000 | 100 | 100 | 0 |",
    ]


@pytest.mark.parametrize(("n_tracks", "n_shards"), [(235, 3), (8000, 80), (106_574, 256)])
def test_shards_are_as_many_as_configurations_have(memory, tmp_path, n_tracks, n_shards):
    corpus = memory.new_corpus(n_tracks, tmp_path, {})
    assert len(corpus.shards) == corpus.config["shards"] == n_shards
