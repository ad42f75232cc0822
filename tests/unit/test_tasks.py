"""The paper's tasks, networks and cases."""

import pytest

from agf.tasks import all_cases, all_networks, case_by_name, network_by_name, task_combinations


def test_combinations_are_written_in_task_order():
    combinations = task_combinations()
    assert len(combinations) == len(set(combinations)) == 2**5 - 1
    order = "gsedm"
    assert all(list(c) == sorted(c, key=order.index) for c in combinations)
    assert combinations[:6] == ["g", "s", "e", "d", "m", "gs"]


def test_35_networks():
    kinds = [network.kind for network in all_networks()]
    assert {kind: kinds.count(kind) for kind in kinds} == {"stn": 5, "mtn": 26, "wstn": 4}
    assert network_by_name("mtn-gse") == ("mtn-gse", "mtn", "gse", 3)
    assert network_by_name("wstn-4") == ("wstn-4", "wstn", "g", 4)


def test_62_cases_are_57_results_and_four_wide_baselines_follow():
    cases = all_cases()
    assert len(cases) == 62 + 4
    assert [case.name for case in cases if case.alias_of] == [f"mtn-{task}" for task in "gsedm"]
    assert sum(case.alias_of is None for case in cases[:62]) == 57


def test_a_case_takes_its_features_from_networks_that_exist():
    names = {network.name for network in all_networks()}
    for case in all_cases():
        assert set(case.networks) <= names
        assert case.kind == "mtn" or len(case.networks) == len(case.tasks)
    assert case_by_name("stn-gse").networks == ("stn-g", "stn-s", "stn-e")
    assert case_by_name("mtn-gse").networks == ("mtn-gse",) * 3
    assert case_by_name("mtn-g").networks == ("stn-g",)


def test_unknown_names_are_errors():
    with pytest.raises(KeyError):
        case_by_name("stn-esg")
    with pytest.raises(KeyError):
        network_by_name("mtn-g")
