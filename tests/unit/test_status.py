"""How far a run is, read from what its stages have written."""

import os
import subprocess
import sys

import pandas as pd
import pyarrow as pa
import pytest

from agf.errors import UserError
from agf.features.shards import update_shard
from agf.status import summarise_status

SHARDS = ["000-of-003", "001-of-003", "002-of-003"]


def touch(*paths):
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def write_log(results, feature, shard, text):
    path = results / "logs" / f"extract_{feature}" / f"{shard}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def words(text, first):
    """Return the words of the one line that begins with `first`."""
    (line,) = [line for line in text.splitlines() if line.split()[:1] == [first]]
    return line.split()


@pytest.fixture
def results(tmp_path):
    """A scan of 1,500 tracks, of which 300 are no candidates; its three shards."""
    results = tmp_path / "results" / "mine"
    (results / "corpus").mkdir(parents=True)
    scan = pd.DataFrame(
        {"track_id": range(1500), "reason": ["missing: no such file"] * 300 + [None] * 1200}
    )
    scan.to_parquet(results / "corpus" / "scan.parquet")
    touch(*(results / "corpus" / "shards" / f"{shard}.parquet" for shard in SHARDS))
    return results


def test_scan_and_selection(results):
    lines = summarise_status(results).splitlines()
    assert lines[:3] == [
        "Run        none at work",
        "Scan       1500 in, 1200 candidates, 300 rejected (300 missing)",
        "Selection  not yet",
    ]
    pd.DataFrame({"track_id": [7, 8]}).to_parquet(results / "corpus" / "tracks.parquet")
    reasons = ["missing: no such file", "truncated: 3.1 s", "missing: not readable"]
    pd.DataFrame({"reason": reasons}).to_parquet(results / "corpus" / "rejected.parquet")
    lines = summarise_status(results).splitlines()
    assert lines[2] == "Selection  5 in, 2 kept, 3 rejected (2 missing, 1 truncated)"


def test_shards_are_added_up(results):
    for shard, counts in zip(SHARDS, [(10, 405, 2), (0, 1200, 0), (3, 5, 1)], strict=True):
        last = "12:03:11 shard {} mel: {} computed, {} kept, {} rejected\n".format(shard, *counts)
        # The log of a large shard is longer than what is read of it.
        write_log(results, "mel", shard, f"12:00:00 {shard} mel: 1 of 9\n" * 500 + last)
    write_log(results, "mfcc", SHARDS[0], "12:03:11 shard x mfcc: 7 computed, 0 kept, 0 rejected\n")
    text = summarise_status(results)
    assert words(text, "mel") == ["mel", "3", "of", "3", "13", "1,610", "3"]
    assert words(text, "mfcc") == ["mfcc", "1", "of", "3", "7", "0", "0"]
    assert words(text, "essentia") == ["essentia", "0", "of", "3", "0", "0", "0"]
    assert "Failed" not in text
    table = text.splitlines()[5:9]
    assert len({len(line) for line in table}) == 1


def test_the_line_of_a_real_shard_is_understood(results, caplog):
    schema = pa.schema(
        {"track_id": pa.int64(), "key": pa.string(), "digest": pa.string(), "value": pa.int64()}
    )
    candidates = [{"track_id": i, "key": "k", "path": "a.mp3"} for i in range(4)]
    out = results / "features" / "mel" / f"{SHARDS[1]}.parquet"
    with caplog.at_level("INFO"):
        update_shard(candidates, out, None, lambda row: {"value": 1}, schema, "mel")
    write_log(results, "mel", SHARDS[1], "".join(f"12:00:00 {m}\n" for m in caplog.messages))
    assert words(summarise_status(results), "mel") == ["mel", "1", "of", "3", "4", "0", "0"]


def test_shards_that_are_not_complete_are_named_with_their_last_line(results):
    write_log(results, "mel", SHARDS[0], "12:00:01 000-of-003 mel: 3 of 9, 1.0/s, 6 s left\n\n")
    write_log(results, "mel", SHARDS[1], "")
    write_log(results, "essentia", SHARDS[2], f"OSError: {'x' * 300}\n")
    text = summarise_status(results)
    assert "\nmel            0 of 3 " in text
    block = text.split("Failed or stopped, with the last line of the log\n")[1]
    lines = block.split("\n\n")[0].splitlines()
    assert lines[0].split(maxsplit=2) == [
        "mel",
        "000-of-003",
        "12:00:01 000-of-003 mel: 3 of 9, 1.0/s, 6 s left",
    ]
    assert lines[1].split(maxsplit=2) == ["mel", "001-of-003", "(empty so far)"]
    feature, shard, last = lines[2].split(maxsplit=2)
    assert (feature, shard) == ("essentia", "002-of-003")
    assert last.startswith("OSError: xxx") and len(last) == 120
    assert len(lines) == 3


def test_a_stopped_run_still_fits_a_screen(results):
    names = [f"{i:03d}-of-256" for i in range(256)]
    touch(*(results / "corpus" / "shards" / f"{name}.parquet" for name in names))
    for name in names:
        os.utime(results / "corpus" / "shards" / f"{name}.parquet", (2_000_000_000,) * 2)
        write_log(results, "mel", name, "12:00:00 No space left on device\n")
    text = summarise_status(results)
    # The shards of the scan before, 003 in number, are left out.
    assert words(text, "essentia")[:4] == ["essentia", "0", "of", "256"]
    assert "and 246 more" in text
    assert len(text.splitlines()) < 25


def test_networks_and_cases_by_split_and_seed(results):
    touch(results / "splits" / "artist.parquet", results / "splits" / "random.parquet")
    touch(*(results / "targets" / "random" / f"{task}.parquet" for task in "mds"))
    touch(results / "targets" / "random" / "m.bags.parquet")
    networks = results / "networks" / "random"
    touch(networks / "scaler.parquet", networks / "seed0" / "stn-g" / "history.parquet")
    touch(networks / "seed10" / "stn-g" / "weights.safetensors")
    touch(networks / "seed10" / "wstn-5" / "weights.safetensors")
    cases = results / "cases" / "random" / "seed10"
    # mtn-g repeats stn-g and is none of the 65.
    for case in ("stn-g", "mtn-g", "wstn-5", "wstn-5-softmax", "mtn-gs"):
        touch(cases / case / "predictions.parquet")
    touch(cases / "stn-s" / "metrics.json")
    lines = [line.replace(" of ", "/").split() for line in summarise_status(results).splitlines()]
    start = next(i for i, line in enumerate(lines) if line[:2] == ["split", "seed"])
    assert lines[start + 1 : start + 4] == [
        ["artist", "-", "yes", "0/4", "0/35", "0/65"],
        ["random", "0", "yes", "3/4", "0/35", "0/65"],
        ["random", "10", "yes", "3/4", "2/35", "4/65"],
    ]


def test_tables(results):
    assert words(summarise_status(results), "Tables") == ["Tables", "0", "of", "5"]
    touch(*(results / "tables" / f"table{n}.md" for n in range(1, 6)))
    assert words(summarise_status(results), "Tables")[:4] == ["Tables", "5", "of", "5"]


def test_files_that_are_half_there_count_as_not_there(results):
    (results / "corpus" / "scan.parquet").write_bytes(b"PAR1")
    pd.DataFrame({"track_id": [7]}).to_parquet(results / "corpus" / "tracks.parquet")
    touch(results / "corpus" / "rejected.parquet")
    lines = summarise_status(results).splitlines()
    assert lines[1:3] == ["Scan       not yet", "Selection  not yet"]


def test_a_run_that_has_just_begun(tmp_path):
    (tmp_path / "logs").mkdir()
    lines = summarise_status(tmp_path).splitlines()
    assert lines == [
        "Run        none at work",
        "Scan       not yet",
        "Selection  not yet",
        "",
        "Tables     0 of 5",
    ]


def test_a_run_at_work_is_named_and_its_open_jobs_may_still_run(results):
    write_log(results, "mel", SHARDS[0], "12:00:01 000-of-003 mel: 3 of 9, 1.0/s, 6 s left\n")
    assert "Failed or stopped" in summarise_status(results)
    script = f"from agf.locks import hold_run\nfile = hold_run({str(results)!r})\n"
    script += "print(flush=True)\ninput()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", script], **pipes) as run:
        run.stdout.readline()
        text = summarise_status(results)
        run.communicate("\n")
    assert text.startswith(f"Run        process {run.pid} on ")
    assert "Failed or still running" in text


def test_a_folder_without_a_run_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match="nowhere does not exist: give the folder of a corpus"):
        summarise_status(tmp_path / "nowhere")
    with pytest.raises(UserError, match="holds nothing of a run"):
        summarise_status(tmp_path)


def test_networks_in_training_are_shown_with_the_last_line_of_their_log(results):
    logs = results / "logs"
    for rule, name, line in (
        (
            "train_network",
            "stn-g",
            "12:00:00 stn-g, epochs: 3 of 9, task g, loss 0.5, 40.1 steps/s",
        ),
        (
            "train_network",
            "stn-s",
            "12:00:00 stn-s, epochs: 9 of 9, task s, loss 0.4, 40.1 steps/s",
        ),
        ("train_transfer", "mtn-gs", "12:00:00 transfer mtn-gs, epochs: 1 of 5, loss 1.2"),
    ):
        path = logs / rule / "random" / "seed0" / f"{name}.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"11:59:00 before\n{line}\n")
    touch(results / "networks" / "random" / "seed0" / "stn-s" / "weights.safetensors")
    lines = summarise_status(results).splitlines()
    running = [line.split(maxsplit=2) for line in lines if line.startswith("train_")]
    assert [line[:2] for line in running] == [
        ["train_network", "random/seed0/stn-g"],
        ["train_transfer", "random/seed0/mtn-gs"],
    ]
    assert running[0][2].endswith("epochs: 3 of 9, task g, loss 0.5, 40.1 steps/s")
