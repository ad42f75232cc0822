"""The whole workflow, from audio to the paper's tables."""

import shutil

import pandas as pd
import pytest
from run_checks import check_networks, check_predictions
from tiny_run import CASES, NETWORKS, TINY, copy_project, planned, snakemake, write_config

from agf.tasks import AGF_TASKS
from agf.verify import verify_results

pytestmark = pytest.mark.workflow


@pytest.fixture(scope="session")
def results(tiny):
    return tiny / "results" / "tiny"


def test_no_track_is_lost(results):
    tracks = pd.read_parquet(results / "corpus" / "tracks.parquet")
    rejected = pd.read_parquet(results / "corpus" / "rejected.parquet")
    assert len(tracks) + len(rejected) == TINY["demo"]["tracks"]
    split = pd.read_parquet(results / "splits" / "random.parquet")
    assert list(split.track_id) == list(tracks.track_id)


def test_what_is_temporary_is_gone(results):
    """Embeddings would be the largest files of all."""
    assert not list(results.glob("embeddings/**/*.safetensors"))
    assert list(results.glob("networks/**/weights.safetensors"))


def test_every_network_was_trained_as_configured(results):
    check_networks(results, NETWORKS)


def test_predictions_are_of_the_evaluation_tracks_alone(results):
    check_predictions(results, CASES)


def test_all_tables_and_figures_are_there(results):
    names = [f"table{n}.{kind}" for n in range(1, 6) for kind in ("csv", "md")]
    for name in [*names, "figure3.png", "figure3.svg", "baselines.csv"]:
        assert (results / "tables" / name).stat().st_size > 50, name


def test_demo_targets_agree_with_the_planted_groups(tmp_path):
    copy_project(tmp_path)
    write_config(tmp_path, TINY | {"corpus": "demo", "source": "demo", "data_dir": "data/demo"})
    snakemake(tmp_path, "targets")
    agreement = pd.read_csv(tmp_path / "results/demo/targets/random/agreement.csv")
    assert list(agreement.task) == list(AGF_TASKS)
    assert agreement.auc.between(0, 1).all()
    assert planned(snakemake(tmp_path, "targets", "--dry-run")) == {}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--config", "sead=1"], "config key sead is unknown; did you mean seeds?"),
        (["--config", "data_dir=nowhere"], "config key data_dir: nowhere does not exist."),
        (["--config", "split={kind: date}"], "config key split.kind is 'date'"),
    ],
)
def test_a_bad_configuration_is_one_sentence_before_any_job(tmp_path, arguments, sentence):
    copy_project(tmp_path)
    (tmp_path / "data" / "tiny").mkdir(parents=True)
    output = snakemake(tmp_path, *arguments, check=False)
    assert sentence in output
    assert "Traceback" not in output
    assert not (tmp_path / "results").exists()


def test_a_finished_run_verifies_and_says_which_file_was_changed(tiny, tmp_path):
    n_files, n_rows, differences = verify_results(tiny / "results" / "tiny")
    assert differences == []
    assert n_files > 3 * len(NETWORKS) + 2 * len(CASES)
    assert n_rows == 3 * len(
        pd.read_parquet(tiny / "results" / "tiny" / "corpus" / "tracks.parquet")
    )
    copy = shutil.copytree(tiny / "results" / "tiny", tmp_path / "tiny")
    changed = copy / "networks" / "random" / "seed0" / "mtn-gs" / "weights.safetensors"
    content = bytearray(changed.read_bytes())
    content[-1] ^= 1
    changed.write_bytes(content)
    assert verify_results(copy)[2] == [f"{changed} is not what the run wrote."]
