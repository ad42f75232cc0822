"""Genre alone and with artist groups: scored against annotated and true genres, by label noise."""

import math
import xml.etree.ElementTree as ElementTree
from copy import deepcopy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import stats

from agf.config import check_config, read_schema
from agf.corpus.demo import plan_demo
from agf.errors import UserError
from agf.evaluation.planted import (
    COLUMNS,
    read_out,
    score_twice,
    summarise_planted,
    write_planted,
    write_scores,
)
from agf.nested import prepare_noisy_run, run_workflow
from agf.study import noisy_config, protocols, runs

ROOT = Path(__file__).parents[2]
PLAIN = yaml.safe_load((ROOT / "config.yaml").read_text())
SCHEMA = read_schema(ROOT / "workflow/schemas/config.schema.yaml")
SVG = "{http://www.w3.org/2000/svg}"

PREDICTIONS = pd.DataFrame(
    {"track_id": [5, 7], "genre_top": ["Rock", "Folk"], "Folk": [0.25, 0.4], "Rock": [0.75, 0.6]}
)
TRUE = pd.Series({5: "Rock", 7: "Rock"})


def scores(difference=-0.1, n_splits=3):
    """Return scores in which `mtn-gs` is better than `stn-g`, by as much in the mean."""
    rows = []
    for noise in (0.0, 0.3):
        for labels in ("annotated", "true"):
            for split in range(n_splits):
                base = 0.5 + noise + 0.01 * split
                other = base + difference + 0.02 * (split - (n_splits - 1) / 2)
                for case, loss in (("stn-g", base), ("mtn-gs", other)):
                    row = (noise, labels, f"random-{split}", 0, case, loss, 1 - loss, 120, 40)
                    rows.append(row)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def test_a_wrong_label_counts_against_annotated_genres_only():
    found = score_twice(PREDICTIONS, TRUE)
    assert found["annotated"]["log_loss"] == pytest.approx(-math.log(0.75 * 0.4) / 2)
    assert found["true"]["log_loss"] == pytest.approx(-math.log(0.75 * 0.6) / 2)
    # Annotated: both are taken for Rock, one of them rightly; F1 is 2/3 of Rock and 0 of Folk.
    assert found["annotated"]["macro_f1"] == pytest.approx(1 / 3)
    assert found["true"]["macro_f1"] == 1


def test_a_true_genre_that_nobody_annotated_is_named():
    with pytest.raises(UserError, match="Jazz is annotated nowhere: take less label noise"):
        score_twice(PREDICTIONS, pd.Series({5: "Rock", 7: "Jazz"}))


def test_truth_is_that_of_the_artists_planted_group(tmp_path):
    results, folder = tmp_path / "results", "cases/random/seed0/stn-g"
    for name in ("corpus", "splits", folder):
        (results / name).mkdir(parents=True)
    PREDICTIONS.to_parquet(results / folder / "predictions.parquet")
    tracks = pd.DataFrame({"track_id": [2, 5, 7], "artist_id": [30, 31, 30]})
    tracks.to_parquet(results / "corpus/tracks.parquet")
    split = pd.DataFrame({"track_id": [2, 5, 7], "part": ["train", "evaluation", "evaluation"]})
    split.to_parquet(results / "splits/random.parquet")
    planted = tmp_path / "planted_groups.csv"
    planted.write_text("artist_id,group,genre_top\n30,0,Rock\n31,1,Folk\n")
    run = ("random", 0, "stn-g", folder)
    write_scores([run], results, planted, 0.15, tmp_path / "scores.csv")
    table = pd.read_csv(tmp_path / "scores.csv").set_index("labels")
    assert list(table.reset_index()[list(COLUMNS)].iloc[0])[:5] == [
        *(0.15, "annotated", "random"),
        *(0, "stn-g"),
    ]
    assert table.log_loss["true"] == pytest.approx(-math.log(0.25 * 0.6) / 2)
    assert (table.n_train == 1).all() and (table.n_evaluation == 2).all()


def test_differences_have_the_corrected_interval_and_base_has_none():
    table = summarise_planted(scores()).set_index(["label_noise", "labels", "case"])
    row = table.loc[(0.3, "true", "mtn-gs")]
    assert row.log_loss == pytest.approx(0.8 + 0.01 - 0.1)
    assert row.difference_log_loss == pytest.approx(-0.1)
    # s = 0.02 over three splits; 40 evaluation tracks for 120 training tracks.
    half = stats.t.ppf(0.975, 2) * 0.02 * math.sqrt(1 / 3 + 1 / 3)
    assert row.difference_log_loss_low == pytest.approx(-0.1 - half)
    assert row.difference_log_loss_high == pytest.approx(-0.1 + half)
    assert row.difference_macro_f1 == pytest.approx(0.1)
    assert math.isnan(table.loc[(0.3, "true", "stn-g")].difference_log_loss)


def test_seeds_of_a_split_are_averaged_first():
    one = scores()
    two = one.assign(seed=1, log_loss=one.log_loss + 0.2)
    both, alone = summarise_planted(pd.concat([one, two])), summarise_planted(one)
    assert (both.n_splits == 3).all()
    np.testing.assert_allclose(both.log_loss, alone.log_loss + 0.1, atol=1e-12)
    name = "difference_log_loss_low"
    np.testing.assert_allclose(both[name], alone[name], atol=1e-12)


@pytest.mark.parametrize(
    ("difference", "wanted"),
    [
        (-0.1, "2 of 2 differences in log loss are in favour of artist groups, 2 of them with"),
        (0.1, "0 of 2 differences in log loss are in favour of artist groups, 0 of them with"),
        (-0.001, "2 of 2 differences in log loss are in favour of artist groups, 0 of them with"),
    ],
    ids=["better", "worse", "unclear"],
)
def test_what_came_out_is_said_whatever_it_is(difference, wanted):
    sentences = read_out(summarise_planted(scores(difference)))
    assert all(wanted in sentence for sentence in sentences) and len(sentences) == 2
    against = "2 are against, 2 of them" if difference > 0 else "0 are against, 0 of them"
    assert all(against in sentence for sentence in sentences)


@pytest.mark.parametrize("n_splits", [1, 3])
def test_page_and_figure_hold_every_rate_and_case(tmp_path, n_splits):
    scores(n_splits=n_splits).to_csv(tmp_path / "scores.csv", index=False)
    for run in "ab":
        (tmp_path / run).mkdir()
        write_planted([tmp_path / "scores.csv"], tmp_path / run / "planted", 30, ["It leaks."])
    page = (tmp_path / "a/planted.md").read_text()
    assert "> **Warning.** It leaks." in page
    assert "| 0.3 | true | mtn-gs |" in page and "](planted.png)" in page
    assert ("95 % interval" in page.partition("![")[0]) == (n_splits > 1)
    assert len(pd.read_csv(tmp_path / "a/planted.csv")) == 2 * 2 * 2
    for kind in ("csv", "md", "tex", "png", "svg"):
        a, b = ((tmp_path / run / f"planted.{kind}").read_bytes() for run in "ab")
        assert a == b, kind
    root = ElementTree.parse(tmp_path / "a/planted.svg").getroot()
    clipped = [group for group in root.iter(f"{SVG}g") if group.get("clip-path")]
    points = [use for group in clipped for use in group.iter(f"{SVG}use")]
    # Of every rate two points in each upper panel, and one difference in each lower one.
    assert len(points) >= 2 * 2 * (2 + 1)


def test_a_noisy_run_is_the_runs_own_protocol_with_other_labels():
    config = deepcopy(PLAIN)
    config["split"]["kind"] = ["artist", "random"]
    config["agf"]["groups"] = ["nmf", "lda"]
    config["transfer"]["fit_rows"] = ["train", "all"]
    noisy = noisy_config(config, 0.3)
    assert noisy["demo"] == config["demo"] | {"label_noise": 0.3}
    assert noisy["corpus"] == "noise-0.3" and noisy["source"] == "fma"
    assert noisy["agf"] == config["agf"] | {"groups": "nmf"}
    assert [tuple(protocol) for protocol in protocols(noisy)] == [("artist", "train", "train")]
    found = runs(noisy)
    assert {run[2] for run in found} == {"stn-g", "mtn-gs", "mtn-gm", "mtn-gsedm"}
    assert {run[0] for run in found} == {"artist", *(f"artist-{n}" for n in range(2, 6))}
    config["planted"]["label_noise"] = [0.3, 0.6]
    assert noisy_config(config, 0.3) == noisy


def test_the_official_split_stays_one():
    config = PLAIN | {"split": PLAIN["split"] | {"kind": "fma"}}
    assert noisy_config(config, 0.3)["split"]["repeats"] == 1


def test_a_folder_is_laid_out_from_the_run_around_it_and_left_alone_the_second_time(tmp_path):
    audio, shard = tmp_path / "data/demo/audio", tmp_path / "mel.parquet"
    (audio / "000").mkdir(parents=True)
    (audio / "000/000002.mp3").write_bytes(b"clip")
    shard.write_bytes(b"rows")
    config = noisy_config(PLAIN, 0.3)
    folder = tmp_path / "planted/noise-0.3"
    prepare_noisy_run(folder, config, audio, {"features/mel/000-of-001.parquet": shard})
    assert yaml.safe_load((folder / "config.yaml").read_text()) == config
    assert (folder / "data/audio/000/000002.mp3").read_bytes() == b"clip"
    assert not (folder / "data/audio").readlink().is_absolute()
    copied = folder / "results/noise-0.3/features/mel/000-of-001.parquet"
    assert copied.read_bytes() == b"rows"
    files = [folder / "data/fma_metadata/tracks.csv", folder / "data/planted_groups.csv", copied]
    before = [path.stat().st_mtime_ns for path in files]
    prepare_noisy_run(folder, config, audio, {"features/mel/000-of-001.parquet": shard})
    assert [path.stat().st_mtime_ns for path in files] == before
    assert sorted(path.name for path in folder.iterdir()) == ["config.yaml", "data", "results"]


def test_label_noise_changes_annotations_and_nothing_one_hears():
    clean, noisy = (plan_demo(PLAIN["demo"] | {"label_noise": n}, 0) for n in (0.0, 0.45))
    pd.testing.assert_frame_equal(clean.artists, noisy.artists)
    pd.testing.assert_frame_equal(clean.groups, noisy.groups)
    sound = [name for name in clean.tracks if name != "subset"]
    pd.testing.assert_frame_equal(clean.tracks[sound], noisy.tracks[sound])
    assert (clean.albums.genre_top == clean.albums.genre_true).all()
    wrong = noisy.albums.genre_top != noisy.albums.genre_true
    assert wrong.mean() == pytest.approx(0.45, abs=0.03)


def test_a_run_within_a_run_that_fails_is_an_error_and_its_words_are_in_the_log(tmp_path, caplog):
    caplog.set_level("INFO")
    (tmp_path / "Snakefile").write_text('print("hear me")\nnonsense\n')
    with pytest.raises(UserError, match="failed with status 1"):
        run_workflow(tmp_path / "run", tmp_path, ["a"], 1)
    assert "nonsense" in caplog.text


@pytest.mark.parametrize(
    ("subset", "message"),
    [
        (["mtn-gs"], "stands for mtn-gs: give g"),
        (["g"], "stands for stn-g: give g, which the others are compared with, and others"),
        (["g", "gs", "gm", "ge", "gd"], "7 cases in all at most"),
        (["g", "gx"], "planted.subset: 'gx' is no combination of tasks"),
    ],
)
def test_a_subset_that_cannot_be_compared_is_refused(subset, message):
    with pytest.raises(UserError, match=message):
        check_config(PLAIN | {"planted": PLAIN["planted"] | {"subset": subset}}, SCHEMA)
