"""Protocols and clusterings side by side."""

import json

import numpy as np
import pandas as pd
import pytest

from agf.evaluation.metrics_file import gather_metrics
from agf.evaluation.variants import (
    describe_protocol,
    tabulate_variants,
    write_clusterings,
    write_leakage,
)
from agf.files import write_parquet
from agf.study import Clustering, Protocol

CASES = ("stn-g", "stn-s", "stn-gs", "mtn-gs")
LOSSES = {  # by split and case
    "random": (1.0, 1.4, 0.9, 0.8),
    "random-2": (1.2, 1.6, 1.0, 0.8),
}


@pytest.fixture
def results(tmp_path):
    """Two splits of eight training and two evaluation tracks; leaky MLPs are better by a half."""
    for split, losses in LOSSES.items():
        part = ["train"] * 8 + ["evaluation"] * 2
        write_parquet({"track_id": range(10), "part": part}, tmp_path / f"splits/{split}.parquet")
        for case, loss in zip(CASES, losses, strict=True):
            for suffix, gain in (("", 0), (".fit_rows-all", 0.5)):
                folder = tmp_path / f"cases/{split}{suffix}/seed0/{case}"
                folder.mkdir(parents=True)
                scores = {"log_loss": loss - gain, "macro_f1": 0.5 + gain / 2, "accuracy": 0.5}
                (folder / "metrics.json").write_text(json.dumps(scores | {"n_tracks": 2}))
    return tmp_path


def runs(suffix):
    return [
        (split, 0, case, f"cases/{split}{suffix}/seed0/{case}")
        for split in LOSSES
        for case in CASES
    ]


def test_means_deviations_and_gains_by_hand(results):
    rows = [(*run, results / folder / "metrics.json") for *run, folder in runs("")]
    table = tabulate_variants([({"what": "one"}, gather_metrics(rows, "c"), 2 / 8)])
    table = table.set_index(["what", "system", "n_tasks"]).loc["one"]
    # stn-g and stn-s: 1.2 and 1.4 on average in the two splits.
    assert table.log_loss["stn", 1] == pytest.approx(1.3)
    assert table.log_loss_sd["stn", 1] == pytest.approx(np.std([1.2, 1.4], ddof=1))
    assert table.n_cases["stn", 1] == 2 and table.n_runs["stn", 1] == 2
    # mtn-gs minus stn-g: -0.2 and -0.4; t(0.975, 1) = 12.7062, variance 0.02 (1/2 + 1/4).
    assert table.difference_from_g_log_loss["mtn", 2] == pytest.approx(-0.3)
    half = 12.7062047 * np.sqrt(0.02 * (1 / 2 + 1 / 4))
    assert table.difference_from_g_log_loss_low["mtn", 2] == pytest.approx(-0.3 - half)
    assert table.difference_from_g_log_loss_high["mtn", 2] == pytest.approx(-0.3 + half)


def test_protocols_stand_side_by_side_by_number_of_tasks(results):
    protocols = [
        (Protocol("random", "train", "train"), runs("")),
        (Protocol("random", "train", "all"), runs(".fit_rows-all")),
    ]
    write_leakage(protocols, results, "some", "abc", results / "leakage")
    table = pd.read_csv(results / "leakage.csv").set_index(["fit_rows", "system", "n_tasks"])
    assert table.log_loss["train", "stn", 2] == pytest.approx(0.95)
    assert table.log_loss["all", "stn", 2] == pytest.approx(0.45)
    page = (results / "leakage.md").read_text()
    assert "| STN | 2 | 1 | 0.9500 ± 0.0707 | 0.4500 ± 0.0707 |" in page
    assert "B: random split; groups: training tracks; MLP: all tracks." in page
    assert "Log loss of MTN with 2 tasks minus that of stn-g" in page and "B -0.3000" in page


def test_intervals_take_the_mean_ratio_of_the_splits(results):
    part = ["train"] * 5 + ["evaluation"] * 5
    write_parquet({"track_id": range(10), "part": part}, results / "splits/random-2.parquet")
    write_leakage(
        [(Protocol("random", "train", "train"), runs(""))], results, "some", "abc", results / "one"
    )
    row = pd.read_csv(results / "one.csv").set_index(["system", "n_tasks"]).loc[("mtn", 2)]
    # 2/8 in the first split, 5/5 in the second.
    half = 12.7062047 * np.sqrt(0.02 * (1 / 2 + (0.25 + 1) / 2))
    assert row.difference_from_g_log_loss_high == pytest.approx(-0.3 + half)


def test_clusterings_stand_one_below_another(results):
    own = Clustering("kmeans", (128, 128, 8), "lda", 8)
    clusterings = [(own, runs("")), (own._replace(groups="nmf"), runs(""))]
    write_clusterings(clusterings, results, "some", "abc", results / "clusterings")
    table = pd.read_csv(results / "clusterings.csv")
    assert set(table.clustering) == {"kmeans 128/128/8, lda 8", "kmeans 128/128/8, nmf 8"}
    page = (results / "clusterings.md").read_text()
    assert "| kmeans 128/128/8, nmf 8 | MTN | 2 | 1 | 2 | **0.8000 ± 0.0000** |" in page


def test_a_protocol_in_words():
    protocol = Protocol("artist", "all", "train")
    assert describe_protocol(protocol) == "artist split; groups: all tracks; MLP: training tracks"
