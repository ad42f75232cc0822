"""One run of the whole workflow on the tiny corpus, shared by all tests that look at one."""

import pytest
from tiny_run import TINY, copy_project, snakemake

from agf.corpus.demo import write_demo


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A finished run of the tiny corpus, taken as a collection of the user's own."""
    folder = tmp_path_factory.mktemp("tiny")
    copy_project(folder)
    write_demo(TINY["demo"], 0, folder / "data" / "tiny")
    snakemake(folder)
    return folder
