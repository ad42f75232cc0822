"""Which comparisons are made, on constructed metrics and predictions with known differences."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from agf.errors import UserError
from agf.evaluation import comparisons, metrics, statistics
from agf.evaluation.metrics_file import COLUMNS
from agf.files import write_parquet
from agf.tasks import WIDE, all_cases

CASES = [case.name for case in all_cases()] + [f"wstn-{n}-softmax" for n in WIDE]
FEW = ("stn-g", "stn-s", "stn-gs", "mtn-gs", "wstn-2")
GENRES = ["Folk", "Rock", "Spoken"]
SIZES = {f"random{suffix}": (85, 15) for suffix in ("", "-2", "-3")}


def score(case, split=0):
    """Return log loss: 1 for an STN, 0.01 lower per task beyond one, MTN another 0.02 lower.

    The genre task lowers an STN's by 0.003. On split number n an MTN gains another n / 1000.
    """
    if case.startswith("wstn"):
        return 0.99 - (0.004 if case.endswith("softmax") else 0)
    system, tasks = case.split("-")
    loss = 1 - 0.01 * (len(tasks) - 1) - (0.003 if "g" in tasks else 0)
    return loss - (0.02 + split / 1000 if system == "mtn" and len(tasks) > 1 else 0)


def metrics_frame(cases=CASES, splits=("random",), seeds=(0,)):
    rows = [
        ("demo", split, seed, case, "", "", score(case, i) + seed, score(case, i) / 2, 0.5, 10)
        for i, split in enumerate(splits)
        for seed in seeds
        for case in cases
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def find(table, name, of="log_loss", family=None):
    rows = table[(table["comparison"] == name) & (table["score"] == of)]
    (row,) = rows[rows["family"] == family].itertuples() if family else rows.itertuples()
    return row


def test_all_cases_allow_the_comparisons_of_the_study():
    found = comparisons.list_comparisons(set(CASES))
    count = pd.Series([(c.family, comparisons.is_mean(c.name)) for c in found]).value_counts()
    assert count.to_dict() == {
        ("mtn_vs_stn", False): 26,
        ("mtn_vs_stn", True): 1,
        ("with_g_vs_without", False): 15 + 11,
        ("with_g_vs_without", True): 2,
        ("n_tasks_vs_one", False): 8,
        ("vs_wstn", False): 8,
    }
    assert all(sum(c.weights.values()) == pytest.approx(0, abs=1e-12) for c in found)
    assert not any(case in c.weights for c in found for case in ("mtn-g", "mtn-s", "mtn-m"))
    assert len({(c.family, c.name) for c in found}) == len(found)


def test_differences_of_one_split_by_hand():
    table = comparisons.compare_systems(metrics_frame(), SIZES)
    assert list(table.columns) == list(comparisons.COMPARISON_COLUMNS)
    expected = {
        "mtn-gs - stn-gs": -0.02,
        "mean of 26": -0.02,
        "stn-gs - stn-s": -0.013,
        "stn: mean of 15": -0.013,
        "mtn-gsed - mtn-sed": -0.013,
        "mtn: mean of 11": -0.013,
        # Of the ten pairs of tasks four have g.
        "mean of 10 stn of 2 tasks - stn-g": 0.99 - 0.4 * 0.003 - 0.997,
        "stn-gsedm - stn-g": 0.96 - 1.0,
        "mean of 10 mtn of 3 tasks - stn-g": 0.96 - 0.6 * 0.003 - 0.997,
        "mean of 10 mtn of 2 tasks - wstn-2": 0.97 - 0.4 * 0.003 - 0.99,
        "mtn-gsedm - wstn-5-softmax": 0.937 - 0.986,
    }
    for name, difference in expected.items():
        assert find(table, name).difference == pytest.approx(difference, abs=1e-12), name
        assert find(table, name, "macro_f1").difference == pytest.approx(difference / 2, abs=1e-12)
    tests = ["low", "high", "p", "p_holm", "p_better", "p_equal", "p_worse", "detectable"]
    assert table[tests].isna().all(axis=None)
    assert (table["n_splits"] == 1).all()


def test_tests_over_splits_are_those_of_the_differences():
    table = comparisons.compare_systems(metrics_frame(splits=SIZES), SIZES)
    row = find(table, "mtn-gs - stn-gs")
    differences = [-0.02, -0.021, -0.022]
    ratio = 15 / 85
    expected = statistics.corrected_t(differences, ratio)
    assert (row.difference, row.low, row.high, row.p) == pytest.approx(expected, abs=1e-12)
    assert row.n_splits == 3
    assert row.detectable == pytest.approx(
        statistics.detectable_difference(differences, ratio), abs=1e-12
    )
    assert (row.p_better, row.p_equal, row.p_worse) == pytest.approx(
        statistics.rope_probabilities(differences, ratio, lower_is_better=True), abs=1e-9
    )
    # A lower macro F1 is worse.
    assert row.p_better > 0.95
    assert find(table, "mtn-gs - stn-gs", "macro_f1").p_worse > 0.95


def test_holm_is_over_the_single_comparisons_of_a_family_and_score():
    frame = metrics_frame(splits=SIZES)
    frame["log_loss"] += np.random.default_rng(0).normal(0, 0.003, len(frame))
    table = comparisons.compare_systems(frame, SIZES)
    mean = table["comparison"].map(comparisons.is_mean)
    assert table.loc[mean, "p_holm"].isna().all()
    assert table.loc[mean, "p"].notna().all()
    family = (table["family"] == "mtn_vs_stn") & (table["score"] == "log_loss") & ~mean
    p = table.loc[family, "p"]
    assert len(p) == 26
    assert table.loc[family, "p_holm"].min() == pytest.approx(26 * p.min(), abs=1e-12)


def test_seeds_of_a_split_are_averaged_before_anything_else():
    frame = metrics_frame(["stn-gs", "mtn-gs"], splits=SIZES, seeds=(0, 1))
    frame.loc[(frame["case"] == "mtn-gs") & (frame["seed"] == 1), "log_loss"] += 0.004
    table = comparisons.compare_systems(frame, SIZES)
    row = find(table, "mtn-gs - stn-gs")
    assert row.n_splits == 3
    assert row.difference == pytest.approx(-0.021 + 0.002, abs=1e-12)


def test_subset_of_the_cases_gives_the_comparisons_it_allows():
    table = comparisons.compare_systems(metrics_frame(FEW), SIZES)
    assert list(table["comparison"].unique()) == [
        "mtn-gs - stn-gs",
        "stn-gs - stn-s",
        "stn-gs - stn-g",
        "mtn-gs - stn-g",
        "mtn-gs - wstn-2",
    ]
    assert comparisons.compare_systems(metrics_frame(["stn-g"]), SIZES).empty


def test_case_that_one_split_lacks_is_left_out_and_named(caplog):
    frame = metrics_frame(splits=SIZES)
    frame = frame[(frame["case"] != "mtn-gs") | (frame["split"] != "random-2")]
    table = comparisons.compare_systems(frame, SIZES)
    assert "mtn-gs" in caplog.text
    assert "mean of 25" in set(table["comparison"])


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        (("random", "random-4"), "'random-4'.*not given"),
        (("random", "artist"), "different kinds"),
    ],
)
def test_splits_that_do_not_go_together_are_refused(splits, message):
    sizes = SIZES | {"artist": (85, 15)}
    with pytest.raises(UserError, match=message):
        comparisons.compare_systems(metrics_frame(splits=splits), sizes)


def test_case_that_comes_twice_and_no_case_are_refused():
    frame = metrics_frame(FEW)
    with pytest.raises(UserError, match="stn-g twice"):
        comparisons.compare_systems(pd.concat([frame, frame]), SIZES)
    with pytest.raises(UserError, match="no metrics"):
        comparisons.compare_systems(frame[:0], SIZES)


def write_study(folder, splits=("random",), seeds=(0,), cases=FEW):
    """Write predictions, splits, tracks and metrics of a small study; return what is needed."""
    rng = np.random.default_rng(1)
    n = 120
    tracks = pd.DataFrame({"track_id": np.arange(n) * 3 + 2, "artist_id": rng.integers(0, 25, n)})
    genre = rng.integers(0, 3, 25)[tracks["artist_id"]]
    study = SimpleNamespace(
        tracks=tracks,
        artist=tracks.set_index("track_id")["artist_id"],
        tracks_path=folder / "tracks.parquet",
        split_paths={split: folder / f"{split}.parquet" for split in splits},
        paths=[],
        metrics_path=folder / "metrics.csv",
    )
    write_parquet(tracks, study.tracks_path)
    rows = []
    for split in splits:
        evaluated = rng.random(n) < 0.4
        part = np.where(evaluated, "evaluation", "train")
        write_parquet({"track_id": tracks["track_id"], "part": part}, study.split_paths[split])
        for seed in seeds:
            for case in cases:
                p = rng.dirichlet([0.6] * 3, n)
                p[np.arange(n), genre] += 0.5
                frame = pd.DataFrame(p / p.sum(axis=1, keepdims=True), columns=GENRES)
                frame.insert(0, "track_id", tracks["track_id"])
                frame.insert(1, "genre_top", [GENRES[i] for i in genre])
                frame = frame[evaluated]
                path = folder / "cases" / split / f"seed{seed}" / case / "predictions.parquet"
                write_parquet(frame, path)
                study.paths.append(path)
                values = metrics.evaluate_predictions(frame)
                scores = [values[column] for column in COLUMNS[6:]]
                rows.append(("demo", split, seed, case, "", "", *scores))
    study.metrics = pd.DataFrame(rows, columns=list(COLUMNS))
    study.metrics.to_csv(study.metrics_path, index=False)
    return study


def test_bootstrap_of_cases_holds_the_scores_and_intervals_around_them(tmp_path):
    study = write_study(tmp_path, splits=("random", "random-2"))
    runs = comparisons.resample_runs(study.paths, study.artist, seed=0)
    table = comparisons.bootstrap_cases(runs)
    both = table.merge(study.metrics, on=["split", "seed", "case"], suffixes=("", "_expected"))
    assert len(both) == len(table) == 10
    for name in ("log_loss", "macro_f1", "accuracy"):
        np.testing.assert_allclose(both[name], both[f"{name}_expected"], atol=1e-12)
        assert (both[f"{name}_low"] < both[name]).all()
        assert (both[f"{name}_high"] > both[name]).all()
    assert (both["n_tracks"] == both["n_tracks_expected"]).all()
    assert both["n_artists"].between(15, 25).all()


def test_bootstrap_of_a_comparison_is_paired(tmp_path):
    study = write_study(tmp_path)
    runs = comparisons.resample_runs(study.paths, study.artist, seed=0, n_resamples=300)
    table = comparisons.compare_systems(study.metrics, SIZES)
    filled = comparisons.fill_bootstrap(table, study.metrics, runs)
    a, b = (runs["random", 0, case].resampled["macro_f1"] for case in ("mtn-gs", "stn-gs"))
    row = find(filled, "mtn-gs - stn-gs", "macro_f1")
    assert (row.bootstrap_low, row.bootstrap_high) == pytest.approx(
        np.quantile(a - b, [0.025, 0.975]), abs=1e-12
    )
    assert filled["bootstrap_high"].gt(filled["bootstrap_low"]).all()
    assert table["bootstrap_low"].isna().all()


def test_bootstrap_of_several_splits_and_seeds_is_of_their_mean(tmp_path):
    study = write_study(tmp_path, splits=SIZES, seeds=(0, 1), cases=("stn-gs", "mtn-gs"))
    runs = comparisons.resample_runs(study.paths, study.artist, seed=0, n_resamples=200)
    table = comparisons.compare_systems(study.metrics, SIZES)
    row = find(comparisons.fill_bootstrap(table, study.metrics, runs), "mtn-gs - stn-gs")
    every = [
        runs[split, seed, "mtn-gs"].resampled["log_loss"]
        - runs[split, seed, "stn-gs"].resampled["log_loss"]
        for split in SIZES
        for seed in (0, 1)
    ]
    expected = np.quantile(np.mean(every, axis=0), [0.025, 0.975])
    assert (row.bootstrap_low, row.bootstrap_high) == pytest.approx(expected, abs=1e-12)
    assert row.bootstrap_low < row.difference < row.bootstrap_high


def test_the_same_seed_draws_the_same_artists_and_another_seed_others(tmp_path):
    study = write_study(tmp_path)
    first, again, other = (
        comparisons.bootstrap_cases(comparisons.resample_runs(paths, study.artist, seed))
        for paths, seed in ((study.paths, 0), (study.paths[::-1], 0), (study.paths, 1))
    )
    pd.testing.assert_frame_equal(first, again)
    assert (first["log_loss_low"] != other["log_loss_low"]).all()


def test_split_of_few_artists_is_never_empty_in_a_resample(tmp_path):
    study = write_study(tmp_path, splits=("random", "random-2"), cases=("stn-g",))
    path = study.paths[1]
    frame = pd.read_parquet(path)
    few = study.artist.loc[frame["track_id"]].isin([3, 4]).to_numpy()
    write_parquet(frame[few], path)
    runs = comparisons.resample_runs(study.paths, study.artist, seed=0)
    assert runs["random-2", 0, "stn-g"].n_artists == 2
    assert np.isfinite(runs["random-2", 0, "stn-g"].resampled["log_loss"]).all()


def test_single_artist_has_no_interval(tmp_path):
    study = write_study(tmp_path, cases=("stn-g",))
    runs = comparisons.resample_runs(study.paths, study.artist * 0, seed=0)
    table = comparisons.bootstrap_cases(runs)
    assert table[["log_loss_low", "macro_f1_high"]].isna().all(axis=None)
    assert table["log_loss"].notna().all()


def test_genres_of_one_case_have_their_f1_and_an_interval(tmp_path):
    study = write_study(tmp_path)
    table = comparisons.bootstrap_genres(study.paths[0], study.artist, seed=0)
    expected = metrics.evaluate_predictions(pd.read_parquet(study.paths[0]))
    assert table["genre"].tolist() == GENRES
    assert dict(zip(table["genre"], table["f1"], strict=True)) == pytest.approx(expected["f1"])
    assert dict(zip(table["genre"], table["support"], strict=True)) == expected["support"]
    assert (table["low"] < table["f1"]).all() and (table["f1"] < table["high"]).all()


def test_genre_of_a_single_artist_has_no_interval(tmp_path):
    study = write_study(tmp_path, cases=("stn-g",))
    frame = pd.read_parquet(study.paths[0])
    genre = np.where(frame.index == frame.index[0], "Spoken", "Rock")
    write_parquet(frame.assign(genre_top=genre), study.paths[0])
    table = comparisons.bootstrap_genres(study.paths[0], study.artist, seed=0).set_index("genre")
    assert table.loc["Spoken", "n_artists"] == 1
    assert np.isnan(table.loc["Spoken", "low"]) and table.loc["Rock", "low"] > 0


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda study: setattr(study, "tracks", study.tracks[:0]), "no artist"),
        (lambda study: study.paths[1].write_bytes(b"no"), "cannot be read as predictions"),
        (lambda study: study.paths.append("elsewhere/predictions.parquet"), "must end in cases"),
        (lambda study: study.paths.clear(), "no predictions.parquet"),
        (
            lambda study: write_parquet(pd.read_parquet(study.paths[1])[1:], study.paths[1]),
            "not of the same tracks",
        ),
        (
            lambda study: write_parquet(
                pd.read_parquet(study.paths[1]).assign(Folk=0.9), study.paths[1]
            ),
            "stn-s.*must sum to 1",
        ),
    ],
)
def test_spoilt_predictions_are_refused(tmp_path, spoil, message):
    study = write_study(tmp_path)
    spoil(study)
    artist = study.tracks.set_index("track_id")["artist_id"]
    with pytest.raises(UserError, match=message):
        comparisons.resample_runs(study.paths, artist, seed=0, n_resamples=10)


def test_case_without_predictions_is_refused(tmp_path):
    study = write_study(tmp_path)
    runs = comparisons.resample_runs(study.paths[1:], study.artist, seed=0, n_resamples=10)
    table = comparisons.compare_systems(study.metrics, SIZES)
    with pytest.raises(UserError, match="Case stn-g of split 'random' and seed 0"):
        comparisons.fill_bootstrap(table, study.metrics, runs)


def test_both_tables_are_written_from_the_files_of_a_study(tmp_path):
    study = write_study(tmp_path, splits=SIZES)
    out = tmp_path / "tables" / "comparisons.csv", tmp_path / "tables" / "bootstrap.csv"
    comparisons.write_comparisons(
        study.metrics_path, study.split_paths, study.paths, study.tracks_path, *out, seed=0
    )
    table, cases = (pd.read_csv(path) for path in out)
    assert list(table.columns) == list(comparisons.COMPARISON_COLUMNS)
    assert table.notna().all(axis=None)
    assert len(cases) == 15
    parts = [pd.read_parquet(path)["part"] for path in study.split_paths.values()]
    ratio = np.mean([(part == "evaluation").sum() / (part == "train").sum() for part in parts])
    losses = study.metrics.pivot(index="split", columns="case", values="log_loss")
    expected = statistics.corrected_t(losses["mtn-gs"] - losses["stn-gs"], ratio)
    row = find(table, "mtn-gs - stn-gs")
    assert (row.difference, row.p) == pytest.approx((expected.mean, expected.p), rel=1e-5)
    text = comparisons.comparisons_markdown(table, "abc")
    assert text.count("| mtn-gs - stn-gs |") == 2
    assert text.endswith("\n\nProvenance: abc\n")
    latex = comparisons.comparisons_latex(table, "abc")
    assert latex.startswith("% Provenance: abc\n") and "\\toprule" in latex
    (line,) = [line for line in latex.splitlines() if line.startswith("mtn-gs - stn-gs & log")]
    assert line.count("&") == 7 and f"{row.p_holm:.3f}" in line
    page = comparisons.comparisons_html(table)
    assert page.count("<tr>") == len(table) + 1
    (cells,) = [
        cells
        for cells in page.split("<tr>")
        if ">mtn-gs - stn-gs</td>" in cells and ">log" in cells
    ]
    assert cells.count("<td") == 8 and f">{row.p_holm:.3f}</td>" in cells


def outcome(**changes):
    row = dict.fromkeys(comparisons.COMPARISON_COLUMNS, np.nan) | {
        "score": "log_loss",
        "n_splits": 10,
        "difference": -0.02,
        "p": 0.1,
        "p_holm": 0.41,
        "p_equal": 0.25,
        "detectable": 0.0312,
    }
    return SimpleNamespace(**(row | changes))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {},
            "not significant (p = 0.41 after Holm); a true difference below 0.031 would be missed "
            "with a chance of more than 20 %",
        ),
        (
            {"p_holm": np.nan, "p_equal": 0.97},
            "not significant (p = 0.1); a true difference below 0.031 would be missed with a "
            "chance of more than 20 %; practically equal with a probability of 0.97",
        ),
        ({"p_holm": 0.00004}, "significantly better (p < 0.001 after Holm)"),
        (
            {"p_holm": 0.012, "score": "macro_f1"},
            "significantly worse (p = 0.012 after Holm)",
        ),
        ({"n_splits": 1, "p": np.nan, "p_holm": np.nan}, comparisons.ONE_SPLIT),
    ],
)
def test_sentences_say_what_was_and_was_not_shown(changes, sentence):
    assert comparisons.describe_comparison(outcome(**changes)) == sentence


def test_page_of_one_split_shows_no_tests_and_says_why(tmp_path):
    study = write_study(tmp_path)
    runs = comparisons.resample_runs(study.paths, study.artist, seed=0, n_resamples=50)
    table = comparisons.compare_systems(study.metrics, SIZES)
    text = comparisons.comparisons_markdown(comparisons.fill_bootstrap(table, study.metrics, runs))
    assert "One split: only the bootstrap over artists is shown" in text
    assert "| comparison | score | difference | bootstrap |" in text
    assert "nan" not in text and "significant" not in text


def test_page_has_the_means_first_and_every_comparison_once():
    table = comparisons.compare_systems(metrics_frame(splits=SIZES), SIZES)
    text = comparisons.comparisons_markdown(table)
    headings = [line for line in text.splitlines() if line.startswith("#")]
    assert headings == [
        "# Comparisons of systems",
        "## Means of several comparisons",
        *(f"## {title}" for title in comparisons.FAMILIES.values()),
    ]
    rows = [line for line in text.splitlines() if line.startswith("|") and "---" not in line]
    assert len(rows) == len(table) + 5
    assert len({line.count(" | ") for line in rows[7:]}) == 1


def test_rounding_below_zero_is_printed_as_zero():
    table = comparisons.compare_systems(metrics_frame(FEW), SIZES).assign(difference=-1e-17)
    text = comparisons.comparisons_markdown(table)
    assert "+0.0000" in text and "-0.0000" not in text
