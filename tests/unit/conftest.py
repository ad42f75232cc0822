"""A small run and its exported cases, which the tests of export and prediction share."""

import pytest
from small_run import write_small_run

from agf.export.folder import export_case


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
