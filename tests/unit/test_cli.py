"""The command line."""

import json

import pytest

from agf.cli import main


def test_networks_are_the_papers_35(capsys):
    assert main(["networks", "--json"]) == 0
    rows = {row["network"]: row for row in json.loads(capsys.readouterr().out)}
    assert len(rows) == 35
    assert rows["stn-g"] == {
        "network": "stn-g",
        "tasks": "g",
        "parameters": 566_320,
        "epochs": 200,
        # 21,250 tracks are 332 whole batches of 64.
        "updates": 200 * 332,
    }
    assert rows["mtn-gsedm"]["parameters"] == 2_854_608 == rows["wstn-5"]["parameters"]
    assert rows["mtn-gsedm"]["epochs"] == 1000


def test_networks_as_a_table(capsys):
    assert main(["networks"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + 35
    assert lines[2].split() == ["stn-g", "g", "566,320", "200", "66,400"]


def test_status_of_a_run_that_has_just_begun(capsys, tmp_path):
    (tmp_path / "logs").mkdir()
    assert main(["status", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Scan       not yet" and lines[-1] == "Tables     0 of 5"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["tables", "--metrics", "nowhere.csv", "--out", "out"], "nowhere.csv"),
        (["summary", "nowhere"], "finish the run first"),
        (["status", "nowhere"], "nowhere does not exist"),
    ],
)
def test_a_mistake_is_one_sentence(arguments, words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 1
    message = capsys.readouterr().err
    assert message.startswith("agf: ") and words in message
    assert message.count("\n") == 1
    assert not list(tmp_path.iterdir())
