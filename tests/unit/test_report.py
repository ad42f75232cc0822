"""The report: every section from its files, nothing made up, nothing escaped wrongly."""

import json
import math
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import yaml
from report_folder import GENRES, ODD_ARTIST, ROOT, write_run

from agf.errors import UserError
from agf.evaluation.report import (
    answer,
    best_case,
    cells,
    checks,
    corpus,
    groups,
    learning,
    protocol,
    running,
    scores,
    statistics,
    svg,
)
from agf.evaluation.report.inputs import find_files
from agf.evaluation.report.write import write_report
from agf.files import write_text


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run of one split."""
    results = tmp_path_factory.mktemp("results") / "one"
    write_run(results)
    return results


@pytest.fixture(scope="module")
def text(run):
    """Its page."""
    write_report(find_files(run), run / "report.html")
    return (run / "report.html").read_text(encoding="utf-8")


class Outline(HTMLParser):
    """Ids, texts and addresses of a page."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.addresses, self.words, self.tags = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.append((tag, attributes))
        self.ids += [attributes["id"]] if "id" in attributes else []
        self.addresses += [attributes[a] for a in ("href", "src") if a in attributes]

    def handle_data(self, data):
        self.words.append(data)


def test_same_files_give_the_same_bytes(run, text, tmp_path):
    write_report(find_files(run), tmp_path / "again.html")
    assert (tmp_path / "again.html").read_text(encoding="utf-8") == text


def test_page_addresses_nothing_outside_itself(text):
    addresses = Outline(text).addresses
    assert len(addresses) > 10
    assert all(address.startswith(("#", "data:")) for address in addresses)


def test_ids_are_unique_and_every_link_leads_to_one(text):
    page = Outline(text)
    assert len(page.ids) == len(set(page.ids))
    links = {address[1:] for address in page.addresses if address.startswith("#")}
    assert links <= set(page.ids)


def test_names_from_tags_are_text_and_never_markup(text):
    page = Outline(text)
    assert any(ODD_ARTIST in words for words in page.words)
    assert sum(tag == "script" for tag, _ in page.tags) == 1


def test_every_header_has_a_scope_and_every_drawing_a_title_or_is_hidden(text):
    page = Outline(text)
    headers = [attributes for tag, attributes in page.tags if tag == "th"]
    assert headers and all(header["scope"] in ("row", "col") for header in headers)
    drawings = [attributes for tag, attributes in page.tags if tag == "svg"]
    named = [d for d in drawings if d.get("aria-labelledby") in page.ids]
    inner = [d for d in drawings if d.get("class", "").startswith("anchor")]
    hidden = [d for d in drawings if d.get("aria-hidden") == "true"]
    assert len(named) == 2 + 35 + 4 + 1
    assert len(named) + len(inner) + len(hidden) == len(drawings)


def test_all_62_cases_are_rows_and_57_are_marks_in_both_panels(text):
    assert text.count('<span class="tasks"') == 62
    assert text.count('data-case="mtn-gsedm"') == 2
    assert text.count('data-case="mtn-g"') == 0


def test_page_is_small(text):
    assert len(text.encode()) < 500_000


def test_a_file_of_an_unknown_name_is_refused(run, tmp_path):
    with pytest.raises(UserError, match="no file called 'colour'"):
        write_report({**find_files(run), "colour": run}, tmp_path / "report.html")


def test_without_provenance_there_is_no_report(run, tmp_path):
    files = {k: v for k, v in find_files(run).items() if k != "provenance"}
    with pytest.raises(UserError, match=r"provenance\.json does not exist"):
        write_report(files, tmp_path / "report.html")


def test_sections_without_their_files_say_so_or_are_left_out(run, tmp_path):
    files = find_files(run)
    write_report({k: files[k] for k in ("provenance", "metrics", "table4")}, tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "no audit of its corpus" in page
    assert "The run has no comparisons and no bootstrap" in page
    assert 'id="leakage"' not in page and 'href="#leakage"' not in page
    assert page.count('<span class="tasks"') == 62


def test_a_study_shows_deviations_and_says_which_run_its_sections_show(tmp_path):
    results = tmp_path / "study"
    write_run(results, splits=("random", "random-2"), combinations=["g", "s", "gs"])
    write_report(find_files(results), results / "report.html")
    page = (results / "report.html").read_text(encoding="utf-8")
    assert page.count("the first of 2 runs: split random, seed 0") == 3
    frame = pd.read_csv(results / "tables/table4.csv").set_index("case")
    row = frame.loc["stn-gs"]
    assert f"{row['log_loss']:.4f} ± {row['log_loss_sd']:.4f}" in page
    assert "Over 2 splits the 95 % interval" in page
    assert "1.3900 ± 0.0000" in page


def test_a_leaky_run_has_a_banner_and_another_has_none(text, tmp_path):
    write_run(tmp_path / "leaky", combinations=["g"], extras=False, fit_rows="all")
    write_report(find_files(tmp_path / "leaky"), tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "This run is leaky" in page and "(transfer.fit_rows: all)" in page
    assert "This run is leaky" not in text


def metrics_of(values):
    rows = [
        {"corpus": "c", "split": "random", "seed": 0, "case": case, "n_tracks": 40}
        | {"log_loss": loss, "macro_f1": f1}
        for case, (loss, f1) in values.items()
    ]
    return pd.DataFrame(rows)


def test_mtn_minus_stn_is_taken_of_combinations_that_have_both():
    metrics = metrics_of(
        {
            "stn-g": (1.0, 0.5),
            "mtn-g": (1.0, 0.5),
            "stn-gs": (0.9, 0.5),
            "mtn-gs": (0.8, 0.4),
            "stn-gse": (0.7, 0.6),
        }
    )
    differences = answer.multi_against_single(metrics)
    assert list(differences.index) == ["gs"]
    assert differences.loc["gs"].to_list() == pytest.approx([-0.1, -0.1], abs=1e-12)


def test_a_baseline_that_is_better_is_called_better():
    metrics = metrics_of({"stn-g": (1.0, 0.5), "mtn-g": (1.0, 0.5)})
    baselines = pd.DataFrame(
        {"baseline": ["prior", "svm"], "log_loss": [0.5, 2.0], "macro_f1": [0.1, 0.7]}
    )
    sentences = answer.answer(metrics, baselines, None, None)["sentences"]
    assert sentences[0] == (
        "In log loss stn-g does not beat the best baseline, prior: 1.000 against 0.500 nats a "
        "track. In macro F1 stn-g does not beat the best, svm: 0.500 against 0.700."
    )


def comparison(**values):
    row = {"family": "mtn_vs_stn", "comparison": "mean of 26", "score": "log_loss"}
    return pd.DataFrame([row | values])


def test_main_comparison_says_whether_zero_is_inside_and_what_the_interval_is_of():
    one = comparison(n_splits=1, bootstrap_low=-0.02, bootstrap_high=0.01)
    assert statistics.main_comparison(one) == (
        "Resampling the evaluated artists gives a 95 % interval of \N{MINUS SIGN}0.0200 to +0.0100 "
        "for the difference in log loss, which has zero in it. It says nothing about other splits "
        "or other trainings."
    )
    several = comparison(n_splits=5, difference=-0.02, low=-0.03, high=-0.01, p=0.002)
    several = several.assign(p_holm=np.nan, p_equal=0.1, detectable=0.01)
    assert statistics.main_comparison(several) == (
        "Over 5 splits the 95 % interval of the difference in log loss is \N{MINUS SIGN}0.0300 to "
        "\N{MINUS SIGN}0.0100: significantly better (p = 0.002)."
    )
    assert statistics.main_comparison(comparison(comparison="mtn-gs - stn-gs")) is None


def test_genres_without_an_interval_are_drawn_without_one():
    frame = pd.DataFrame({"track_id": [1, 2], "genre_top": ["A", "B"]})
    frame = frame.assign(A=[0.9, 0.2], B=[0.1, 0.8])
    intervals = pd.DataFrame({"case": "stn-g", "genre": ["A", "B"]})
    intervals = intervals.assign(low=[np.nan, 0.4], high=[np.nan, 1.0])
    table = best_case.genre_table(frame, "stn-g", intervals)
    assert [row[3].text for row in table.rows] == ["\N{EN DASH}", "0.400 to 1.000"]
    assert ["interval" in row[4].text for row in table.rows] == [False, True]


def test_confusion_counts_true_genres_in_rows():
    frame = pd.DataFrame(
        {
            "track_id": [1, 2, 3],
            "genre_top": ["A", "A", "B"],
            "A": [0.9, 0.2, 0.6],
            "B": [0.1, 0.8, 0.4],
        }
    )
    counts = best_case.confusion(frame)
    assert counts.to_numpy().tolist() == [[1, 1], [1, 0]]
    sentence = best_case.confusions(counts)
    assert "A taken for B (1 of 2 tracks); B taken for A (1 of 1 track)" in sentence
    table = best_case.confusion_table(counts, "stn-g")
    assert table.rows[0][2].style == "--share:0.500"


def test_topic_genres_count_tracks_as_far_as_their_artist_belongs():
    shares = np.array([[1.0, 0.0], [0.25, 0.75]])
    tracks = np.array([[3, 0], [0, 4]])
    # Topic 0: 3 tracks of the first genre, a quarter of 4 of the second; topic 1: 3 of the second.
    assert groups.topic_genres(shares, tracks) == pytest.approx(
        np.array([[0.75, 0.25], [0.0, 1.0]]), abs=1e-12
    )


def test_artists_are_named_as_far_as_they_belong_to_a_topic():
    labels = ["A", "B", "C"]
    named = groups._leaders(np.array([0.004, 0.9, 0.25]), labels)
    assert named == "B 90\N{NO-BREAK SPACE}%, C 25\N{NO-BREAK SPACE}%"
    assert groups._leaders(np.array([0.004, 0.001, 0.0]), labels) == "no artist"
    alike = groups._leaders(np.array([0.0625, 0.0625, 0.06]), labels)
    assert alike == "all artists alike, 6\N{NO-BREAK SPACE}%"


def test_artists_of_one_group_lie_together_on_the_map():
    rng = np.random.default_rng(0)
    shares = np.vstack([rng.dirichlet([40, 1, 1], 15), rng.dirichlet([1, 1, 40], 15)])
    places = groups.place_artists(shares, 7)
    centre, other = places[:15].mean(axis=0), places[15:].mean(axis=0)
    own = np.linalg.norm(places[:15] - centre, axis=1).mean()
    assert own < np.linalg.norm(centre - other) / 2
    assert (groups.place_artists(shares, 7) == places).all()


def test_a_map_of_equal_artists_can_be_drawn():
    assert np.isfinite(groups.place_artists(np.full((6, 4), 0.25), 0)).all()


def test_a_map_is_bounded_and_says_so(run, monkeypatch):
    monkeypatch.setattr(groups, "MAPPED_ARTISTS", 8)
    files = find_files(run)
    tracks = pd.read_parquet(files["tracks"])
    page = groups.group_pages(files["topics"], [], tracks, None, 0)["tasks"][0]
    assert page["map"].count('class="point ') == 8
    assert page["sentences"][-1] == "The map has the 8 artists with the most training tracks."


def test_genres_have_marks_of_their_own():
    marks = {groups._genre_mark(place) for place in range(groups.NAMED_GENRES)}
    assert len(marks) == groups.NAMED_GENRES


def configuration(overlay=None):
    """Return config.yaml, with an overlay as Snakemake would merge it."""
    config = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))

    def merge(base, other):
        for key, value in other.items():
            if isinstance(value, dict):
                merge(base[key], value)
            else:
                base[key] = value

    if overlay:
        merge(config, yaml.safe_load((ROOT / "config" / overlay).read_text(encoding="utf-8")))
    return config


def verdicts(config):
    return {item.name: item.verdict for item in protocol.protocol_items(config)}


def test_the_papers_configuration_differs_from_the_paper_in_the_bag_of_words_alone():
    found = verdicts(configuration("fma_medium.yaml"))
    assert [name for name, verdict in found.items() if verdict == protocol.OTHER] == [
        "bag-of-words"
    ]


def test_every_setting_of_the_demo_that_is_not_the_papers_is_named():
    found = verdicts(configuration())
    differing = {name for name, verdict in found.items() if verdict == protocol.OTHER}
    assert differing == {
        "corpus",
        "split",
        "excerpt",
        "byte-identical clips",
        "dictionary",
        "artist groups",
        "epochs",
        "batch",
        "transfer MLP",
        "bag-of-words",
    }


def test_a_changed_setting_changes_its_line():
    config = configuration("fma_medium.yaml")
    config["networks"]["learning_rate"] = 0.01
    config["transfer"]["fit_rows"] = "all"
    found = verdicts(config)
    assert found["learning rate"] == protocol.OTHER
    assert found["rows of every fit"] == protocol.OTHER


def test_run_times_are_summed_by_rule(tmp_path):
    header = "s\th:m:s\tmax_rss\n"
    for name, row in (
        ("train/random/a", "10.5\t0:00:10\t300"),
        ("train/b", "1.5\t0:00:01\t200"),
        ("draw", "2\t0:00:02\t-"),
    ):
        write_text(f"{header}{row}\n", tmp_path / f"benchmarks/{name}.tsv")
    paths = sorted((tmp_path / "benchmarks").rglob("*.tsv"))
    times = running.run_times(paths).set_index("rule")
    assert list(times.index) == ["train", "draw"]
    assert times.loc["train"].to_dict() == {"jobs": 2, "seconds": 12.0, "peak": 300}
    assert math.isnan(times.loc["draw", "peak"])


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.04, "0.0 s"),
        (9.96, "10.0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (3599.6, "1 h 00 min"),
        (9061, "2 h 31 min"),
    ],
)
def test_durations_are_read_at_a_glance(seconds, shown):
    assert running.duration(seconds) == shown


@pytest.mark.parametrize(
    ("value", "ticks", "shown"),
    [
        (0.5, [0, 0.5, 1.0], "0.5"),
        (1.0, [0.95, 1.0, 1.05], "1.00"),
        (-0.05, [-0.05, 0, 0.05], "\N{MINUS SIGN}0.05"),
        (0.0, [-0.05, 0, 0.05], "0"),
        (200, [0, 200, 400], "200"),
    ],
)
def test_ticks_have_as_many_digits_as_tell_them_apart(value, ticks, shown):
    assert svg.tick_text(value, ticks) == shown


def test_values_that_are_all_the_same_have_a_range():
    low, high, ticks = svg.nice_range([0.7, 0.7])
    assert low < 0.7 < high and ticks


def test_markup_in_names_is_escaped_in_elements():
    assert svg.element("text", "<b>", x=1.25, class_='"') == (
        '<text x="1.2" class="&#34;">&lt;b&gt;</text>'
    )


def test_published_values_stand_beside_ours_and_are_hollow_in_the_figure():
    frame = pd.DataFrame(
        {
            "case": ["stn-g", "mtn-g"],
            "tasks": ["g", "g"],
            "n_tasks": [1, 1],
            "log_loss": [0.9, 0.9],
            "macro_f1": [0.5, 0.5],
            "alias_of": [np.nan, "stn-g"],
            "published_log_loss": [0.8, 0.8],
            "difference_log_loss": [0.1, 0.1],
        }
    )
    table = scores.table4(frame)
    labels = [column.label for column in table.columns]
    assert labels[3:6] == ["log loss", "published log loss", "difference log loss"]
    assert [cell.text for cell in table.rows[0][3:6]] == ["0.9000", "0.8000", "+0.1000"]
    metrics = metrics_of({"stn-g": (0.9, 0.5), "mtn-g": (0.9, 0.5)})
    panels, legend = scores.figure3(scores.drawn_cases(metrics), scores.published_cases(frame))
    assert panels[0].count("hollow") == 1 and "stn-g, published: 0.8000" in panels[0]
    assert panels[1].count("hollow") == 0
    assert "published" in legend


def test_long_histories_are_averaged_to_few_points():
    frame = pd.DataFrame({"epoch": range(1000), "task": "g", "loss": np.linspace(2, 1, 1000)})
    (curve,) = learning._curves(frame).values()
    assert len(curve) <= learning.POINTS
    assert curve[0] == pytest.approx((6, 2 - 6 / 999))


def test_labels_of_curves_that_end_together_stay_apart():
    placed = learning._apart({"g": 130.0, "s": 130.0, "e": 131.0})
    values = sorted(placed.values())
    assert min(b - a for a, b in pairwise(values)) >= 10
    assert values[-1] <= learning.PANEL[1] - 18


def test_a_network_whose_evaluation_mode_disagrees_is_named(text):
    assert "stn-m, task m: loss 1.800 in evaluation mode, 1.000 in training." in text


def test_leakage_averages_rows_by_their_number_of_cases():
    rows = pd.DataFrame({"log_loss": [1.0, 0.4, np.nan], "n_cases": [1, 3, 9]})
    assert checks._mean(rows, "log_loss") == pytest.approx(0.55, abs=1e-12)


@pytest.mark.parametrize(
    ("p_holm", "column", "shown"), [(0.04, "p (Holm)", "0.040"), (None, "p", "0.010")]
)
def test_p_is_the_adjusted_one_where_there_is_one(p_holm, column, shown):
    row = comparison(difference=-0.1, low=-0.2, high=-0.01, p=0.01, p_holm=p_holm, detectable=0.1)
    row = row.assign(bootstrap_low=np.nan, bootstrap_high=np.nan)
    row = row.assign(p_better=0.9, p_equal=0.1, p_worse=0.0).astype({"p_holm": float})
    table = statistics.forest(row, "log_loss", "some")
    place = [name.label for name in table.columns].index(column)
    assert table.rows[0][place].text == shown


def test_a_small_negative_number_is_no_negative_zero():
    assert cells.fixed(-0.00004, 4, signed=True) == "+0.0000"
    assert cells.fixed(-0.00006, 4, signed=True) == "\N{MINUS SIGN}0.0001"


def test_leakage_shows_what_tasks_gain_under_each_protocol():
    rows = [
        ("own", "stn", 1, np.nan, np.nan, np.nan),
        ("own", "stn", 2, 0.1, -0.2, 0.4),
        ("own", "mtn", 2, -0.05, -0.1, 0.02),
        ("own", "stn", 5, 0.3, np.nan, np.nan),
        ("leaky", "stn", 2, -0.25, -0.5, -0.01),
    ]
    names = ["protocol", "system", "n_tasks"]
    gain = "difference_from_g_log_loss"
    frame = pd.DataFrame(rows, columns=[*names, gain, f"{gain}_low", f"{gain}_high"])
    frame = frame.assign(n_cases=1, log_loss=1.0, macro_f1=0.5)
    for end in ("", "_low", "_high"):
        frame[f"difference_from_g_macro_f1{end}"] = np.nan
    section = checks.leakage_section(frame)
    assert [len(row) for row in section["all"].rows] == [10] * len(rows)
    (table,) = section["gains"]
    shown = [[cell.text for cell in (*row[:2], *row[3:])] for row in table.rows]
    minus, none = "\N{MINUS SIGN}", "\N{EN DASH}"
    assert shown == [
        ["own", "2", "+0.1000", f"{minus}0.0500"],
        ["", "5", "+0.3000", none],
        ["leaky", "2", f"{minus}0.2500", none],
    ]
    drawings = [str(row[2].text) for row in table.rows]
    assert [drawing.count("<title>") for drawing in drawings] == [2, 1, 1]
    assert [drawing.count('class="interval') for drawing in drawings] == [2, 0, 1]


def test_genre_bars_leave_out_genres_without_a_track():
    audit = pd.DataFrame(
        {"section": "top genres", "measure": "tracks", "group": ["A", "B"]}
    ).assign(scanned=[4.0, 1.0], kept=[4.0, 0.0])
    table = corpus.genre_bars(audit)
    assert [row[0].text for row in table.rows] == ["A"]
    assert "width:100.00%" in table.rows[0][1].text


def test_provenance_on_the_page_is_that_of_the_run(run, text):
    provenance = json.loads((run / "provenance.json").read_text(encoding="utf-8"))
    assert provenance["hash"] in text and provenance["lock"] in text
    assert "n_topics: 8" in text


def test_every_genre_is_a_row_of_the_confusion_matrix(text):
    words = "".join(Outline(text).words)
    assert all(words.count(genre) >= 3 for genre in GENRES)
