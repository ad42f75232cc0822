"""A task beyond the paper's joins a finished run, and leaves alone what is there."""

import pandas as pd
import pytest
from tiny_run import TINY, copy_run, names_of_jobs, planned, run_and_list, snakemake, write_config

from agf.status import summarise_status
from agf.verify import verify_results

pytestmark = pytest.mark.workflow


@pytest.fixture(scope="module")
def with_chroma(tiny, tmp_path_factory):
    """The finished run with two cases more; what ran for them, by rule."""
    folder = tmp_path_factory.mktemp("chroma") / "copy"
    copy_run(tiny, folder)
    write_config(folder, TINY | {"study": {"subset": [*TINY["study"]["subset"], "gc"]}})
    ran = names_of_jobs(run_and_list(folder))
    return folder / "results/tiny", ran


def test_only_its_own_features_groups_networks_are_made(with_chroma):
    _, ran = with_chroma
    assert ran["extract_chroma"] == ["000-of-002", "001-of-002"]
    assert ran["fit_artist_group_factors"] == ["random/c"]
    assert ran["train_network"] == ["random/seed0/mtn-gc", "random/seed0/stn-c"]
    # MLPs of stn-g's embeddings, made again for stn-gc, are fitted again.
    assert {"random/seed0/stn-gc", "random/seed0/mtn-gc"} <= set(ran["train_transfer"])
    assert not {"extract_mel", "extract_essentia", "select_tracks", "pack_mels"} & set(ran)


def test_what_was_there_comes_out_as_it_was(with_chroma, tiny):
    for case in ("stn-gs", "mtn-gsedm"):
        path = f"cases/random/seed0/{case}/predictions.parquet"
        assert (with_chroma[0] / path).read_bytes() == (tiny / "results/tiny" / path).read_bytes()


def test_tables_and_report_have_it(with_chroma):
    results, _ = with_chroma
    table1 = pd.read_csv(results / "tables/table1.csv").set_index("task")
    assert list(table1.index) == ["g", "s", "e", "d", "m", "c"]
    assert table1.loc["c", ["name", "dimension", "dictionary_size"]].tolist() == ["chroma", 4, 8]
    cases = set(pd.read_csv(results / "tables/table4.csv")["case"])
    assert {"stn-gc", "mtn-gc", "mtn-gsedm"} <= cases
    comparisons = pd.read_csv(results / "tables/comparisons.csv")["comparison"].tolist()
    assert "mtn-gc - stn-gc" in comparisons
    page = (results / "report.html").read_text()
    assert "Topics of task c, chroma" in page


def test_the_run_is_whole(with_chroma):
    results, _ = with_chroma
    assert verify_results(results)[2] == []
    assert "chroma" in summarise_status(results)
    assert planned(snakemake(results.parents[1], "--dry-run")) == {}
