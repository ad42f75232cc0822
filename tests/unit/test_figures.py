"""Figure 3 is the same file in every run, and shows every case it is given."""

import xml.etree.ElementTree as ElementTree

import matplotlib.image
import numpy as np
import pandas as pd

from agf.evaluation import figures
from agf.tasks import WIDE, task_combinations

SVG = "{http://www.w3.org/2000/svg}"


def case_rows():
    rows = [("stn", len(c)) for c in task_combinations()]
    rows += [("mtn", len(c)) for c in task_combinations() if len(c) > 1]
    rows += [(system, n) for system in ("wstn_transfer", "wstn_softmax") for n in WIDE]
    frame = pd.DataFrame(rows, columns=["system", "n_tasks"])
    rng = np.random.default_rng(0)
    frame["log_loss"] = 0.95 - 0.03 * frame["n_tasks"] + rng.normal(0, 0.01, len(frame))
    frame["macro_f1"] = 0.55 + 0.015 * frame["n_tasks"] + rng.normal(0, 0.008, len(frame))
    return frame


def test_same_rows_give_the_same_bytes(tmp_path):
    for run in "ab":
        figures.figure3(
            case_rows(), "Title", "Note", tmp_path / f"{run}.png", tmp_path / f"{run}.svg"
        )
    for kind in ("png", "svg"):
        a, b = ((tmp_path / f"{run}.{kind}").read_bytes() for run in "ab")
        assert a == b
    assert b"<dc:date>" not in (tmp_path / "a.svg").read_bytes()


def test_every_case_is_a_marker_in_both_panels(tmp_path):
    rows = case_rows()
    figures.figure3(rows, "Title", "Note", tmp_path / "f.png", tmp_path / "f.svg")
    root = ElementTree.parse(tmp_path / "f.svg").getroot()
    clipped = [
        use
        for group in root.iter(f"{SVG}g")
        if group.get("clip-path")
        for use in group.iter(f"{SVG}use")
    ]
    assert len(clipped) == 2 * len(rows)


def test_deviations_are_bars_about_the_means_and_a_warning_stands_at_the_top(tmp_path):
    rows = case_rows()
    deviations = rows.groupby(["system", "n_tasks"])[["log_loss", "macro_f1"]].mean().reset_index()
    deviations[["log_loss", "macro_f1"]] = 0.01
    figures.figure3(
        rows,
        "Title",
        "Note",
        tmp_path / "f.png",
        tmp_path / "f.svg",
        warnings=["Fitted on all rows."],
        deviations=deviations,
    )
    svg = (tmp_path / "f.svg").read_text()
    assert svg.index("<!-- Warning. Fitted on all rows. -->") < svg.index("<!-- STN -->")
    groups = ElementTree.fromstring(svg).iter(f"{SVG}g")
    bars = [g for g in groups if g.get("id", "").startswith("LineCollection")]
    drawn = sum(len(list(group.iter(f"{SVG}path"))) for group in bars)
    assert drawn == 2 * len(deviations)


def test_png_has_print_resolution(tmp_path):
    figures.figure3(case_rows(), "Title", "Note", tmp_path / "f.png", tmp_path / "f.svg")
    height, width, _ = matplotlib.image.imread(tmp_path / "f.png").shape
    assert width >= 1400 and height >= 600


def test_systems_that_were_not_run_are_left_out(tmp_path):
    rows = case_rows()
    rows = rows[rows["system"] == "stn"]
    figures.figure3(rows, "Title", "Note", tmp_path / "f.png", tmp_path / "f.svg")
    svg = (tmp_path / "f.svg").read_text()
    # Text is drawn as paths; matplotlib names each in a comment.
    assert "<!-- STN -->" in svg and "<!-- MTN -->" not in svg
