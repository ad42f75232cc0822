"""A study grows by exactly what its lists ask for."""

from copy import deepcopy
from pathlib import Path

import pytest
import yaml

from agf.keyed_random import seed_of_draw
from agf.study import (
    Protocol,
    agf_of_cases,
    agf_variants,
    all_splits,
    chosen_cases,
    chosen_networks,
    chosen_tasks,
    clusterings,
    fit_rows_of_cases,
    kind_of_split,
    leaks,
    network_folder,
    protocols,
    runs,
    scored_names,
    split_of,
    splits,
)
from agf.tasks import all_networks

ROOT = Path(__file__).parents[2]
PLAIN = yaml.safe_load((ROOT / "config.yaml").read_text())


def study(**sections):
    config = deepcopy(PLAIN)
    for name, values in sections.items():
        config[name] = config[name] | values if isinstance(values, dict) else values
    return config


def test_a_plain_run_is_one_split_one_seed_and_all_cases():
    assert all_splits(PLAIN) == ["random"]
    assert protocols(PLAIN) == [Protocol("random", "train", "train")]
    assert list(agf_variants(PLAIN)) == ["random"]
    assert agf_variants(PLAIN)["random"] == PLAIN["agf"]
    assert len(runs(PLAIN)) == 57 + 4 + 4
    assert runs(PLAIN)[0] == ("random", 0, "stn-g", "cases/random/seed0/stn-g")
    assert set(chosen_networks(PLAIN)) == {network.name for network in all_networks()}
    assert leaks(PLAIN) == []


def test_repeats_and_seeds_multiply_the_runs():
    config = study(split={"repeats": 3}, seeds=[4, 7])
    assert splits(config) == ["random", "random-2", "random-3"]
    assert len(runs(config)) == 3 * 2 * 65
    assert [kind_of_split(split) for split in splits(config)] == ["random"] * 3


def test_an_official_split_is_never_drawn_again():
    config = study(split={"kind": ["fma", "artist"], "repeats": 2})
    assert all_splits(config) == ["fma", "artist", "artist-2"]


def test_every_draw_has_a_seed_of_its_own_and_the_first_the_runs():
    assert seed_of_draw(5, "random") == seed_of_draw(5, "random.fit_on-all") == 5
    drawn = {seed_of_draw(5, f"random-{n}") for n in range(2, 12)}
    assert len(drawn) == 10 and 5 not in drawn
    assert seed_of_draw(5, "random-2") != seed_of_draw(6, "random-2")
    assert seed_of_draw(5, "random-2.gmm.topics-20") == seed_of_draw(5, "random-2")


def test_a_protocol_makes_only_what_it_changes():
    config = study(agf={"fit_on": ["train", "all"]}, transfer={"fit_rows": ["train", "all"]})
    assert list(agf_variants(config)) == ["random", "random.fit_on-all"]
    assert agf_variants(config)["random.fit_on-all"]["fit_on"] == "all"
    folders = {
        (protocol.fit_on, protocol.fit_rows): {
            name: folder.split("/")[1] for _, _, name, folder in runs(config, protocol)
        }
        for protocol in protocols(config)
    }
    assert folders["train", "all"]["mtn-gs"] == "random.fit_rows-all"
    assert folders["all", "train"]["mtn-gs"] == "random.fit_on-all"
    assert folders["all", "all"]["mtn-gs"] == "random.fit_on-all.fit_rows-all"
    # What learns genre alone knows no artist groups, and a softmax no MLP.
    assert folders["all", "train"]["stn-g"] == folders["all", "train"]["wstn-3"] == "random"
    assert folders["all", "all"]["stn-g"] == "random.fit_rows-all"
    assert folders["all", "all"]["wstn-3-softmax"] == "random"
    assert network_folder("random.fit_on-all", "wstn-3") == "random"
    assert network_folder("random.fit_on-all", "mtn-gs") == "random.fit_on-all"


def test_names_of_folders_are_read_back():
    config = study(agf={"fit_on": ["train", "all"]}, transfer={"fit_rows": ["train", "all"]})
    name = "random.fit_on-all.fit_rows-all"
    assert split_of(name) == "random"
    assert agf_of_cases(config, name) == "random.fit_on-all"
    assert fit_rows_of_cases(config, name) == "all"
    assert fit_rows_of_cases(config, "random.fit_on-all") == "train"
    assert agf_of_cases(config, "random") == "random"


def test_a_run_that_leaks_says_so_and_has_a_plain_name():
    config = study(agf={"fit_on": "all"}, transfer={"fit_rows": "all"})
    assert list(agf_variants(config)) == ["random"]
    assert fit_rows_of_cases(config, "random") == "all"
    assert [sentence.split("(")[1][:8] for sentence in leaks(config)] == ["transfer", "agf.fit_"]
    # A protocol that is only compared is no leak of the run itself.
    assert leaks(study(transfer={"fit_rows": ["train", "all"]})) == []


def test_clusterings_are_all_combinations_and_sizes_go_together():
    agf = {"dictionary": ["kmeans", "gmm"], "n_topics": [8, 4], "groups": "nmf"}
    agf["dictionary_size"] = {"m": [128, 64], "d": 128, "e": [8, 4]}
    config = study(agf=agf)
    assert [clustering.words for clustering in clusterings(config)[::2]] == [
        (128, 128, 8),
        (64, 128, 4),
    ] * 2
    assert list(agf_variants(config)) == [
        "random",
        "random.topics-4",
        "random.words-64-128-4",
        "random.words-64-128-4.topics-4",
        "random.gmm",
        "random.gmm.topics-4",
        "random.gmm.words-64-128-4",
        "random.gmm.words-64-128-4.topics-4",
    ]
    settings = agf_variants(config)["random.gmm.words-64-128-4.topics-4"]
    assert settings["dictionary_size"] == {"m": 64, "d": 128, "e": 4}
    assert (settings["dictionary"], settings["groups"], settings["n_topics"]) == ("gmm", "nmf", 4)


@pytest.mark.parametrize(
    ("subset", "cases", "networks", "tasks"),
    [
        (["gs"], ["stn-gs", "mtn-gs"], ["stn-g", "stn-s", "mtn-gs"], ["s"]),
        # An MTN of one task is its STN.
        (["mtn-g", "g"], ["stn-g"], ["stn-g"], []),
        (["wstn-3", "mtn-ged"], ["mtn-ged", "wstn-3"], ["mtn-ged", "wstn-3"], ["e", "d"]),
    ],
)
def test_a_subset_trains_no_more_than_its_cases_need(subset, cases, networks, tasks):
    config = study(study={"subset": subset})
    assert [case.name for case in chosen_cases(config)] == cases
    assert chosen_networks(config) == networks
    assert chosen_tasks(config) == tasks


def test_wide_networks_of_a_subset_are_scored_twice():
    assert scored_names(study(study={"subset": ["wstn-2", "g"]})) == [
        "stn-g",
        "wstn-2",
        "wstn-2-softmax",
    ]
