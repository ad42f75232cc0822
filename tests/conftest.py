"""Runs that several tests look at, and cases exported from one of them."""

import fcntl
import shutil

import pytest
from small_run import write_small_run
from tiny_run import TINY, copy_project, snakemake

from agf.corpus.demo import write_demo
from agf.export.folder import export_case


@pytest.fixture(scope="session")
def tiny(tmp_path_factory, worker_id):
    """A finished run of the tiny corpus, taken as a collection of the user's own.

    Of several processes that pass tests, the first one makes it for all.
    """
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "tiny"
    with open(folder.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "results/tiny/report.html").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            copy_project(folder)
            write_demo(TINY["demo"], 0, folder / "data" / "tiny")
            snakemake(folder)
    return folder


@pytest.fixture(scope="session")
def small_run(tmp_path_factory):
    """Folder with ``audio`` and ``results/small``."""
    folder = tmp_path_factory.mktemp("small-run")
    write_small_run(folder)
    return folder


@pytest.fixture(scope="session")
def exported(small_run):
    """Return the model folder of a case, exported once."""
    folders = {}

    def export(case):
        if case not in folders:
            folders[case] = small_run / f"model-{case}"
            export_case(small_run / "results" / "small", case, folders[case])
        return folders[case]

    return export
