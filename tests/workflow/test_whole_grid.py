"""All 35 networks and 62 cases of the paper, on the tiny corpus."""

import pandas as pd
import pytest
from run_checks import check_networks, check_predictions
from tiny_run import WHOLE, copy_run, planned, snakemake, write_config

from agf.tasks import all_cases, all_networks
from agf.verify import verify_results

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def results(tiny, tmp_path_factory):
    """The finished run, widened to all cases."""
    folder = tmp_path_factory.mktemp("whole") / "copy"
    copy_run(tiny, folder)
    write_config(folder, WHOLE)
    snakemake(folder)
    return folder / "results" / "tiny"


def test_all_networks_and_cases(results):
    check_networks(results, [network.name for network in all_networks()])
    names = [case.name for case in all_cases() if case.alias_of is None]
    check_predictions(results, [*names, *(f"wstn-{n}-softmax" for n in (2, 3, 4, 5))])


def test_table_4_has_the_papers_62_cases(results):
    metrics = pd.read_csv(results / "tables" / "metrics.csv")
    assert len(metrics) == 62 + 4 + 4
    table = pd.read_csv(results / "tables" / "table4.csv")
    assert len(table) == 62
    scores = metrics.set_index("case").log_loss
    assert table.log_loss.to_numpy() == pytest.approx(scores[table.case].to_numpy())
    assert not [column for column in table if "published" in column]


def test_nothing_is_left_to_do_or_changed(results):
    n_files, _, differences = verify_results(results)
    assert differences == [] and n_files > 35 * 3 + 65 * 2
    assert planned(snakemake(results.parents[1], "--dry-run")) == {}
