"""Progress in the log and by hand."""

import io
import logging
import re
import sys

import pytest

from agf.progress import progress


def test_the_log_says_how_far_the_work_is_and_when_it_ends(caplog):
    caplog.set_level(logging.INFO)
    done = []
    for item in progress(range(7, 10), "stn-g, epochs", 10, 7, lambda: f"loss {done[-1]}", 0.0):
        done.append(item)
    assert done == [7, 8, 9]
    lines = [record.getMessage() for record in caplog.records]
    assert [line.split(", expected")[0] for line in lines] == [
        "stn-g, epochs: 8 of 10, loss 7",
        "stn-g, epochs: 9 of 10, loss 8",
        "stn-g, epochs: 10 of 10, loss 9",
    ]
    assert all(re.search(r"expected end \d{4}-\d\d-\d\d \d\d:\d\d:\d\d$", line) for line in lines)


def test_only_the_last_line_is_written_within_the_interval(caplog):
    caplog.set_level(logging.INFO)
    assert list(progress("abc", "letters")) == ["a", "b", "c"]
    (record,) = caplog.records
    assert re.match(r"letters: 3 of 3, [\d.]+/s, expected end", record.getMessage())


@pytest.mark.parametrize("terminal", [True, False])
def test_by_hand_on_a_terminal_there_is_one_live_line(monkeypatch, terminal):
    class Stream(io.StringIO):
        def isatty(self):
            return terminal

    monkeypatch.setattr(sys, "stderr", Stream())
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    list(progress(range(4), "stn-g, epochs", status=lambda: "loss 0.5"))
    text = sys.stderr.getvalue()
    assert ("stn-g, epochs: 100%" in text and "4/4" in text and "loss 0.5" in text) == terminal
    assert text.count("\n") == (1 if terminal else 0)
