"""The command line."""

import json
import os
import subprocess
import sys

import pytest
from report_folder import write_run

from agf.cli import _printable, main
from agf.files import write_parquet


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
    assert lines[1] == "Scan       not yet" and lines[-1] == "Tables     0 of 5"


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


def test_a_report_is_written_where_it_is_asked_for(tmp_path, capsys):
    write_run(tmp_path / "run", combinations=["g", "gs"])
    assert main(["report", str(tmp_path / "run"), "--out", str(tmp_path / "page.html")]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'page.html'}\n"
    assert "<h1" in (tmp_path / "page.html").read_text()
    assert main(["report", str(tmp_path / "none")]) == 1
    assert "metrics.csv does not exist: finish the run" in capsys.readouterr().err


def test_rejected_tracks_come_as_csv(tmp_path, capsys):
    assert main(["rejected", str(tmp_path)]) == 1
    printed = capsys.readouterr()
    assert "run the target corpus first" in printed.err and printed.out == ""
    path = tmp_path / "corpus" / "scan.parquet"
    names = ["a, b.mp3", "c.mp3"]
    write_parquet({"track_id": [1, 2], "path": names, "reason": ["no artist", None]}, path)
    assert main(["rejected", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "track_id,path,reason",
        '1,"a, b.mp3",no artist',
    ]


def test_a_reader_who_has_seen_enough_is_no_error(tmp_path):
    path = tmp_path / "corpus" / "scan.parquet"
    rows = {"track_id": list(range(50_000)), "path": ["a.mp3"] * 50_000}
    write_parquet(rows | {"reason": ["no artist"] * 50_000}, path)
    command = f"{sys.executable} -c 'import agf.cli; agf.cli.main()' rejected {tmp_path} | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert done.stdout.strip() == "track_id,path,reason"
    assert done.stderr == ""


def test_a_fault_of_the_machine_is_one_sentence(tmp_path, capsys):
    path = tmp_path / "corpus" / "scan.parquet"
    path.parent.mkdir()
    path.touch()
    assert main(["rejected", str(tmp_path)]) == 1
    message = capsys.readouterr().err
    assert message.startswith(f"agf: {path} is damaged (Parquet file size is 0 bytes): delete it")
    assert message.count("\n") == 1


def test_names_that_an_encoding_has_not_are_printed_all_the_same(tmp_path):
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    row = {"track_id": [7], "path": ["Ü/\x1b[31m.mp3"], "reason": ["no genre"]}
    write_parquet(row, corpus / "scan.parquet")
    done = subprocess.run(
        [sys.executable, "-c", "from agf.cli import main; main()", "rejected", str(tmp_path)],
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
    )
    assert done.stderr == ""
    assert "\\xdc" in done.stdout and "no genre" in done.stdout


def test_a_terminal_gets_no_commands_from_names():
    assert _printable("Ü \x1b[31m\n") == "Ü \\x1b[31m\\n"
