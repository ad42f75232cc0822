"""The demo corpus at two rates of label noise, each a run of the workflow within a job."""

import json

import numpy as np
import pandas as pd
import pytest
from tiny_run import TINY, copy_project, planned, snakemake, write_config

from agf.corpus.demo import plan_demo

pytestmark = pytest.mark.workflow

RATES = (0.0, 0.4)

DEMO = TINY | {"corpus": "demo", "source": "demo", "data_dir": "data/demo", "shards": 1}
DEMO |= {"planted": {"label_noise": list(RATES), "repeats": 1, "subset": ["g", "mtn-gs"]}}


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """A project with all that the target `planted` makes."""
    folder = tmp_path_factory.mktemp("planted")
    copy_project(folder)
    write_config(folder, DEMO)
    snakemake(folder, "planted")
    return folder


def inner(folder, rate):
    name = f"noise-{rate}"
    return folder / "results/demo/planted" / name / "results" / name


def test_no_clip_is_decoded_again(planted):
    for rate in RATES:
        for rule in ("extract_mel", "extract_essentia"):
            logs = sorted((inner(planted, rate) / "logs" / rule).glob("*.log"))
            assert len(logs) == DEMO["shards"]
            for log in logs:
                assert " 0 computed" in log.read_text()
    # The main run itself stopped at the features.
    assert not (planted / "results/demo/networks").exists()


def test_every_case_is_scored_against_annotated_and_true_genres(planted):
    plan = plan_demo(DEMO["demo"], 0)
    true = plan.tracks["album_id"].map(plan.albums["genre_true"])
    for rate in RATES:
        path = planted / f"results/demo/planted/noise-{rate}/scores.csv"
        scores = pd.read_csv(path).set_index(["labels", "case"])
        assert len(scores) == 2 * 2
        for case in ("stn-g", "mtn-gs"):
            folder = inner(planted, rate) / f"cases/random/seed0/{case}"
            predictions = pd.read_parquet(folder / "predictions.parquet").set_index("track_id")
            genres = {"annotated": predictions["genre_top"], "true": true[predictions.index]}
            for labels, genre in genres.items():
                p = [predictions.loc[track, name] for track, name in genre.items()]
                assert scores.log_loss[labels, case] == pytest.approx(-np.log(p).mean(), rel=1e-6)
            assert (genres["annotated"] == genres["true"]).all() == (rate == 0)


def test_annotations_differ_between_the_rates_and_groups_do_not(planted):
    clean, noisy = (pd.read_parquet(inner(planted, r) / "corpus/tracks.parquet") for r in RATES)
    assert list(clean.track_id) == list(noisy.track_id)
    assert list(clean.sha256) == list(noisy.sha256)
    assert 0.1 < (clean.genre_top != noisy.genre_top).mean() < 0.7
    digests = [
        json.loads((inner(planted, rate) / "corpus/digests/essentia.json").read_text())
        for rate in RATES
    ]
    assert digests[0] == digests[1]


def test_table_and_figure_hold_both_rates(planted):
    out = planted / "results/demo/planted"
    table = pd.read_csv(out / "planted.csv")
    assert sorted(set(table.label_noise)) == list(RATES) and len(table) == 2 * 2 * 2
    assert (table.n_splits == 1).all()
    assert (out / "planted.png").stat().st_size > 10_000
    assert "Against the true genres" in (out / "planted.md").read_text()


def test_nothing_is_left_to_do_and_another_rate_is_one_run_more(planted):
    assert planned(snakemake(planted, "planted", "--dry-run")) == {}
    more = DEMO["planted"] | {"label_noise": [*RATES, 0.2]}
    write_config(planted, DEMO | {"planted": more})
    jobs = planned(snakemake(planted, "planted", "--dry-run"))
    assert jobs == {"run_planted": 1, "draw_planted": 1}
