"""What a script's user sees: one sentence for a mistake, a traceback for a fault of the program."""

import logging
import subprocess
import sys

import pytest

from agf.errors import UserError
from agf.job import job


@pytest.fixture(autouse=True)
def restore_logging():
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    logging.captureWarnings(False)
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


def test_progress_goes_to_the_log(tmp_path):
    with job(tmp_path / "logs" / "a.log"):
        logging.getLogger("agf.x").info("3 of 4")
    assert (tmp_path / "logs" / "a.log").read_text().endswith(" 3 of 4\n")


def test_a_mistake_is_one_sentence(tmp_path):
    with pytest.raises(SystemExit) as end, job(tmp_path / "a.log"):
        raise UserError("tracks.csv: track 2 has no artist.")
    assert end.value.code == 1
    text = (tmp_path / "a.log").read_text()
    assert text.endswith(" tracks.csv: track 2 has no artist.\n") and text.count("\n") == 1


def test_a_fault_keeps_its_traceback(tmp_path):
    with pytest.raises(SystemExit) as end, job(tmp_path / "a.log"):
        raise KeyError("mel")
    assert end.value.code == 1
    text = (tmp_path / "a.log").read_text()
    assert "fault of the program" in text and "Traceback" in text and "KeyError: 'mel'" in text


def test_a_second_job_with_the_same_files_says_so_and_leaves_the_first_alone(tmp_path):
    log = tmp_path / "a.log"
    with job(log):
        logging.getLogger("agf.x").info("at work")
        script = f"from agf.job import job\nwith job({str(log)!r}): print('both at work')"
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1 and "is held by another job" in done.stderr
    assert log.read_text().endswith(" at work\n")
    with job(log):
        pass
    assert log.read_text() == ""
