"""A finished run that becomes a study makes what is new, and nothing else."""

import json

import pandas as pd
import pytest
from tiny_run import TINY, copy_run, names_of_jobs, planned, run_and_list, snakemake, write_config

from agf.verify import verify_results

pytestmark = pytest.mark.workflow

SUBSET = {"study": {"subset": ["g", "gs"]}}
STUDY = TINY | SUBSET | {"split": {"repeats": 2}}
STUDY |= {"transfer": TINY["transfer"] | {"fit_rows": ["train", "all"]}}
STUDY |= {"agf": TINY["agf"] | {"groups": ["lda", "nmf"]}}


@pytest.fixture(scope="module")
def study(tiny, tmp_path_factory):
    """Two splits, two protocols and two clusterings of three cases; what ran for them, by rule."""
    folder = tmp_path_factory.mktemp("study") / "copy"
    copy_run(tiny, folder)
    write_config(folder, STUDY)
    ran = names_of_jobs(run_and_list(folder))
    return folder / "results/tiny", ran


def test_only_what_is_new_is_made(study):
    _, ran = study
    assert "extract_mel" not in ran and "scan_corpus" not in ran
    assert ran["split_tracks"] == ["random-2"]
    # Task s alone is learnt in gs; groups found by NMF are new in both splits.
    assert set(ran["fit_artist_group_factors"]) == {
        "random-2.nmf-groups/s",
        "random-2/s",
        "random.nmf-groups/s",
    }
    # A network of genre alone knows no groups, however they are found.
    assert set(ran["train_network"]) == {
        "random-2.nmf-groups/seed0/mtn-gs",
        "random-2.nmf-groups/seed0/stn-s",
        "random-2/seed0/mtn-gs",
        "random-2/seed0/stn-g",
        "random-2/seed0/stn-s",
        "random.nmf-groups/seed0/mtn-gs",
        "random.nmf-groups/seed0/stn-s",
    }
    folders = {name.partition("/")[0] for name in ran["train_transfer"]}
    assert folders >= {"random.fit_rows-all", "random-2", "random-2.nmf-groups"}


def test_what_a_finished_run_has_comes_out_as_it_was(study, tiny):
    # Their MLPs are fitted again where embeddings, removed since, are made for new cases.
    for case in ("stn-gs", "mtn-gs"):
        path = f"cases/random/seed0/{case}/predictions.parquet"
        before = tiny / "results/tiny" / path
        assert (study[0] / path).read_bytes() == before.read_bytes()


def test_every_draw_of_the_split_is_another(study):
    results, _ = study
    first, second = (pd.read_parquet(results / f"splits/random{n}.parquet") for n in ("", "-2"))
    assert list(first.track_id) == list(second.track_id)
    assert list(first.part) != list(second.part)
    assert (first.part == "evaluation").sum() == (second.part == "evaluation").sum()


def test_tables_are_means_over_splits(study):
    results, _ = study
    metrics = pd.read_csv(results / "tables/metrics.csv")
    assert len(metrics) == 2 * 4  # stn-g, mtn-g, stn-gs, mtn-gs
    table = pd.read_csv(results / "tables/table4.csv").set_index("case")
    of_case = metrics[metrics.case == "mtn-gs"].log_loss
    assert table.log_loss["mtn-gs"] == pytest.approx(of_case.mean())
    assert table.log_loss_sd["mtn-gs"] == pytest.approx(of_case.std())
    comparisons = pd.read_csv(results / "tables/comparisons.csv")
    row = comparisons[(comparisons.comparison == "mtn-gs - stn-gs")].iloc[0]
    cases = metrics.pivot(index="split", columns="case", values="log_loss")
    assert row.n_splits == 2
    assert row.difference == pytest.approx((cases["mtn-gs"] - cases["stn-gs"]).mean(), abs=1e-5)


def test_protocols_stand_side_by_side(study):
    results, _ = study
    leakage = pd.read_csv(results / "tables/leakage.csv")
    own = leakage[(leakage.fit_rows == "train") & (leakage.system == "mtn")].set_index("n_tasks")
    leaky = leakage[(leakage.fit_rows == "all") & (leakage.system == "mtn")].set_index("n_tasks")
    metrics = pd.read_csv(results / "tables/metrics.csv")
    assert own.log_loss[2] == pytest.approx(metrics[metrics.case == "mtn-gs"].log_loss.mean())
    scores = [
        json.loads((results / f"cases/{name}/seed0/mtn-gs/metrics.json").read_text())["log_loss"]
        for name in ("random.fit_rows-all", "random-2.fit_rows-all")
    ]
    assert leaky.log_loss[2] == pytest.approx(sum(scores) / 2)
    assert leaky.log_loss[2] != own.log_loss[2]
    assert "MLP: all tracks" in (results / "tables/leakage.md").read_text()


def test_clusterings_stand_side_by_side(study):
    results, _ = study
    table = pd.read_csv(results / "tables/clusterings.csv")
    rows = table[(table.system == "stn") & (table.n_tasks == 1)].set_index("groups")
    assert rows.log_loss["lda"] == rows.log_loss["nmf"]
    assert set(table.groups) == {"lda", "nmf"} and (table.n_runs == 2).all()


def test_a_study_verifies_and_has_nothing_left_to_do(study):
    results, _ = study
    assert verify_results(results)[2] == []
    assert planned(snakemake(results.parents[1], "--dry-run")) == {}


def test_a_run_that_leaks_says_so_in_every_table(tiny, tmp_path):
    folder = tmp_path / "copy"
    copy_run(tiny, folder)
    config = TINY | SUBSET | {"transfer": TINY["transfer"] | {"fit_rows": "all"}}
    write_config(folder, config)
    output = snakemake(folder)
    assert output.count("Warning, as in every table of this run: ") == 1
    for number in (3, 4, 5):
        text = (folder / f"results/tiny/tables/table{number}.md").read_text()
        assert "**Warning.**" in text and "transfer.fit_rows: all" in text
