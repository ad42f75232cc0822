"""Runs of the whole workflow on the tiny corpus, shared by all tests that look at one."""

import pytest
from tiny_run import FEW, TINY, copy_project, copy_run, snakemake, write_config

from agf.corpus.demo import write_demo


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A finished run of the tiny corpus, taken as a collection of the user's own."""
    folder = tmp_path_factory.mktemp("tiny")
    copy_project(folder)
    write_demo(TINY["demo"], 0, folder / "data" / "tiny")
    snakemake(folder)
    return folder


@pytest.fixture(scope="session")
def few(tiny, tmp_path_factory):
    """The finished run, after its configuration was narrowed to a few cases."""
    folder = tmp_path_factory.mktemp("few") / "copy"
    copy_run(tiny, folder)
    write_config(folder, FEW)
    snakemake(folder)
    return folder
