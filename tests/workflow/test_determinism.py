"""The same configuration twice, in another place and on another number of cores, is the same run.

The second run is in folders with odd names: whatever a rule reads or writes there, it reads and
writes under them. What they are not called, because Snakemake cannot take it, is refused:
test_odd_names.py.
"""

import json
import shutil

import pandas as pd
import pytest
from tiny_run import CASES, NETWORKS, TINY, copy_project, snakemake, write_config

pytestmark = pytest.mark.workflow

# The accent of the umlaut is a character of its own here, as macOS writes it.
ODD = "-o\u0308dd 'quotes\" $HOME `id` $(id) ;&| *?[x] %s \\ #~ <b \U0001f3b5\nline"

TIMED = ("history.parquet", "provenance.json", "report.html")
"""Files that say how long a run took, or where it was."""


@pytest.fixture(scope="module")
def again(tiny, tmp_path_factory):
    """The run on one core instead of two, all of it made anew."""
    folder = tmp_path_factory.mktemp("again") / ODD
    folder.mkdir()
    copy_project(folder)
    shutil.copytree(tiny / "data" / "tiny", folder / ODD)
    write_config(folder, TINY | {"data_dir": ODD})
    snakemake(folder, "--cores", "1")
    return folder


def files_of(results):
    """Return what a run made, by path; logs, measurements of jobs and caches are none of it."""
    beside = {"logs", "benchmarks", "cache"}
    paths = {path.relative_to(results) for path in results.rglob("*") if path.is_file()}
    return sorted(path for path in paths if path.parts[0] not in beside)


def test_everything_is_the_same_byte_for_byte(tiny, again):
    first, second = tiny / "results" / "tiny", again / "results" / "tiny"
    paths = files_of(second)
    assert paths == files_of(first)
    names = [path.as_posix() for path in paths]
    assert sum(name.endswith("weights.safetensors") for name in names) == len(NETWORKS)
    assert sum(name.endswith("predictions.parquet") for name in names) == len(CASES)
    assert {"tables/metrics.csv", "tables/table4.md", "tables/figure3.svg"} <= set(names)
    differing = [
        path.as_posix()
        for path in paths
        if path.name not in TIMED and (first / path).read_bytes() != (second / path).read_bytes()
    ]
    assert not differing


def test_trainings_differ_in_their_seconds_alone(tiny, again):
    first, second = tiny / "results" / "tiny", again / "results" / "tiny"
    paths = [path for path in files_of(second) if path.name == "history.parquet"]
    assert len(paths) == len(NETWORKS)
    for path in paths:
        left, right = (pd.read_parquet(results / path) for results in (first, second))
        pd.testing.assert_frame_equal(
            left.drop(columns="seconds"), right.drop(columns="seconds"), check_exact=True
        )


def test_provenance_has_one_hash(tiny, again):
    left, right = (
        json.loads((folder / "results" / "tiny" / "provenance.json").read_text())
        for folder in (tiny, again)
    )
    assert left["hash"] == right["hash"]
    for part in ("code", "lock", "versions"):
        assert left[part] == right[part]
    assert left["configuration"] == right["configuration"] | {"data_dir": "data/tiny"}
