"""A run that is killed more than a hundred times ends like one that was left alone."""

import json
import re
import signal
import statistics
import time
from collections import Counter

import pandas as pd
import psutil
import pytest
from killing import (
    CONFIG,
    SEED,
    Kills,
    alive,
    belonging,
    children,
    content,
    contents,
    copy_of,
    finish,
    jobs,
    kill_group,
    killed_after,
    new_project,
    outputs,
    remove,
    stage_seconds,
    start,
    temporaries,
    wait_for_change,
    wait_until_gone,
    write_config,
)
from safetensors import safe_open
from writers import train

from agf.keyed_random import generator
from agf.verify import verify_results

pytestmark = pytest.mark.long

EACH = ("run", "job", "run", "job")

PLAN = {
    "generate_demo": EACH,
    "scan_corpus": (*EACH, "job"),
    "extract_mel": (*EACH, "job"),
    "extract_mfcc": EACH,
    "extract_essentia": (*EACH, "child", "child", "child", "job", "interrupt", "terminate"),
    "select_tracks": EACH,
    "split_tracks": EACH,
    "digest_contents": (*EACH, "job"),
    "audit_corpus": EACH,
    "fit_artist_group_factors": (*EACH, "job", "run"),
    "score_agreement": EACH,
    "pack_mels": (*EACH, "job"),
    "fit_scaler": EACH,
    "train_network": (*EACH, *EACH, "job", "job", "interrupt", "terminate"),
    "embed_windows": (*EACH, "job", "run"),
    "train_transfer": (*EACH, *EACH, "interrupt", "terminate"),
    "score_own_softmax": EACH,
    "score_cases": EACH,
    "collect_metrics": EACH,
    "score_baselines": EACH,
    "write_provenance": EACH,
    "draw_tables": (*EACH, "job"),
    "compare_cases": EACH,
    "sum_tables": EACH,
    "write_report": EACH,
}
"""Whom to kill in each stage: snakemake itself (`run`), a job's Python, or that one's own child.
The shell that starts a job is not among them, since bash makes way for Python. `interrupt` is
Ctrl-C in a terminal, `terminate` SIGTERM to snakemake."""

GENTLE = ("interrupt", "terminate")

FEW = 4
"""Jobs of a stage that has to be made undone again where it was over before it was hit; of others
there are more to come."""


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """A finished run that nobody disturbed, what is temporary kept."""
    folder = tmp_path_factory.mktemp("reference")
    new_project(folder)
    finish(folder, "--notemp", cores=2)
    return folder


@pytest.fixture(scope="module")
def killed(reference, tmp_path_factory):
    """A project whose only run was killed as planned, again and again, and the list of kills."""
    folder = copy_of(reference, tmp_path_factory.mktemp("killed"), made=False)
    return folder, kill_as_planned(folder, reference, PLAN)


def kill_as_planned(folder, reference, plan):
    """Run the workflow and kill it as planned until it ends; return the list of kills."""
    kills, known, expected = Kills(), {}, contents(reference, {})
    taken, written = stage_seconds(reference), outputs(reference)
    usual = {stage: statistics.median(seconds) for stage, seconds in taken.items()}
    todo = {stage: list(enumerate(victims)) for stage, victims in plan.items()}
    tries, wanted = Counter(), []
    run, doubtful = start(folder), False
    try:
        while any(todo.values()):
            stage, job = next_job(run, todo)
            if job is None:
                assert doubtful or run.returncode == 0, last_words(folder)
                if run.returncode == 0:
                    # The first stage that was not hit enough is made again, by name: Snakemake
                    # does not miss what nothing else has to be made of.
                    wanted = written[next(stage for stage in todo if todo[stage])]
                    remove(folder, wanted)
                run, doubtful = start(folder, *wanted), False
                continue
            number, victim = todo[stage][0]
            tries[stage] += 1
            draw = generator(SEED, "kills", stage, tries[stage])
            moment, fraction = draw.choice(["random", "writing"]), draw.random()
            at_work, began = len(jobs(run)), time.monotonic()
            if moment == "random":
                psutil.wait_procs([job], fraction * usual[stage])
            else:
                wait_for_change(folder, job)
                time.sleep(fraction * 0.02)
            delay = time.monotonic() - began
            if not strike(run, job, victim):
                # That it went on may be wrong: another job may have been on its way.
                doubtful = True
                # The machine may be faster by now than when the stage was timed.
                usual[stage] *= 0.7
                few = len(taken[stage]) <= FEW
                if few or run.poll() is not None:
                    end(folder, run, written[stage] if few else [])
                    run = start(folder, *wanted)
                    doubtful = False
                continue
            todo[stage].pop(0)
            survivors = belonging(folder)
            # Most killed runs are started again while their jobs may still be ending.
            at_once = victim == "run" and number > 0
            if not at_once:
                seconds = wait_until_gone(survivors)
                check_whole(folder, known, expected)
            left = len(temporaries(folder / "results", folder / "data"))
            if victim == "run":
                finish(folder, "--unlock")
            run, doubtful = start(folder, *wanted, cores=1 + len(kills.rows) % 2), False
            if at_once:
                seconds = wait_until_gone(survivors)
            kills.add(
                stage,
                victim,
                delay,
                moment=moment,
                jobs=at_work,
                left=left,
                survivors=len(survivors),
                survived=round(seconds, 2),
                rerun="at once" if at_once else "when all was quiet",
            )
        assert run.wait() == 0, last_words(folder)
        finish(folder)
    finally:
        if run.poll() is None:
            kill_group(run)
        print(f"seed {SEED}\n{kills.table()}", flush=True)
    return kills


def end(folder, run, written):
    """End a run by SIGKILL and remove what it has written."""
    run.kill()
    run.wait()
    wait_until_gone(belonging(folder))
    remove(folder, written)
    finish(folder, "--unlock")


def last_words(folder):
    return (folder / "snakemake.log").read_text(errors="replace")[-4000:]


def check_whole(folder, known, expected):
    """Hold every file under its final name against that of the run that nobody disturbed."""
    differing = [
        name
        for name, digest in contents(folder, known).items()
        if name.startswith("results/") and digest != expected.get(name)
    ]
    assert not differing, f"not what an undisturbed run writes: {differing}"


def next_job(run, todo):
    """Wait for a job of a stage that is to be hit; None where the run ends without one."""
    while run.poll() is None:
        found = dict(jobs(run))
        # The first of the plan: later stages have more jobs to come.
        for stage in todo:
            if todo[stage] and stage in found:
                return stage, found[stage]
        time.sleep(0.05)
    return None, None


def strike(run, job, victim):
    """Kill the victim; return whether the run ended of it, and the victim was at work."""
    targets = {"run": [run], "job": [job], "child": children(job)}
    if not alive(job) or (victim not in GENTLE and not targets[victim]):
        return False
    if victim == "interrupt":
        kill_group(run, signal.SIGINT)
    elif victim == "terminate":
        run.terminate()
    else:
        targets[victim][0].kill()
    hit = victim != "run" or alive(job)
    at_work = {process for _, process in jobs(run)}
    while run.poll() is None:
        if {process for _, process in jobs(run)} - at_work:
            return False  # It goes on: the victim had done its work.
        time.sleep(0.05)
    return hit and run.returncode != 0


def test_a_run_killed_again_and_again_ends_with_the_same_files(reference, killed):
    folder, _ = killed
    expected = contents(reference, {})
    for name in list(expected):
        if "/embeddings/" in name:
            del expected[name]
    assert contents(folder, {}) == expected
    assert verify_results(folder / "results" / "demo")[2] == []


def test_a_killed_run_leaves_nothing_half_done(killed):
    folder, _ = killed
    assert temporaries(folder / "results", folder / "data") == []
    assert not list((folder / "results/demo/cache/resume").glob("*"))
    assert belonging(folder) == []
    assert "Nothing to be done" in finish(folder)


def test_every_stage_was_killed_in_every_way(killed):
    rows = killed[1].rows
    assert {(row["stage"], row["victim"]) for row in rows} == {
        (stage, victim) for stage, victims in PLAN.items() for victim in victims
    }
    assert sum(row["victim"] not in GENTLE for row in rows) >= 100


def checkpoint_epochs(folder):
    """Return how many epochs the state of an interrupted training is worth; 0 without one."""
    for path in folder.glob("*/state.safetensors"):
        with safe_open(path, "np") as file:
            return len(json.loads(file.metadata()["agf"]))
    return 0


def resumed_after(log):
    """Return the epoch after which a training went on; 0 where it began anew."""
    found = re.search(r"Resumed after epoch (\d+) ", log.read_text())
    return int(found[1]) if found else 0


def test_a_training_killed_after_a_few_epochs_each_goes_on_to_the_same_bits(reference, tmp_path):
    results, name, epochs = reference / "results" / "demo", "mtn-gsem", 20
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir()
    broken.mkdir()
    assert not killed_after(None, train, results, name, epochs, whole, begun=lambda: True)
    assert resumed_after(whole / "train.log") == 0

    draw, kills = generator(SEED, "kills of a training"), Kills()
    written = 0

    def begun():
        """Whether it has come further, and in every second turn is writing its next state."""
        further = checkpoint_epochs(broken / "resume") > before
        return further and (len(kills.rows) % 2 == 0 or len(temporaries(broken)) > 0)

    while True:
        before = checkpoint_epochs(broken / "resume")
        seconds = draw.uniform(0, 0.4) if len(kills.rows) % 2 == 0 else 0.0
        was_killed = killed_after(seconds, train, results, name, epochs, broken, begun=begun)
        assert resumed_after(broken / "train.log") == before
        if not was_killed:
            break
        left = len(temporaries(broken))
        written += left
        kills.add("training", "process", seconds, resumed=before, left=left)
    assert len(kills.rows) >= 10
    assert written > 0, "no kill fell into the writing of a checkpoint"
    assert contents_of(broken) == contents_of(whole)
    assert not list((broken / "resume").iterdir())


def contents_of(folder):
    names = ("weights.safetensors", "history.parquet", "summary.json")
    return {name: content(folder / name) for name in names}


def test_a_long_training_goes_on_from_its_checkpoint_in_a_new_run(reference, tmp_path):
    """A state is written once a minute: a training of about four minutes, killed twice."""
    history = "results/demo/networks/random/seed0/stn-g/history.parquet"
    folders = [copy_of(reference, tmp_path / name) for name in ("whole", "broken")]
    config = CONFIG | {"networks": CONFIG["networks"] | {"epochs": long_epochs(folders[0])}}
    for folder in folders:
        write_config(folder, config)
    whole, broken = folders
    network = (broken / history).parent
    log = broken / "results/demo/logs/train_network/random/seed0/stn-g.log"
    draw, kills = generator(SEED, "kills of a long training"), Kills()
    undisturbed = start(whole, history)
    resumed = 0
    for victim in ("run", "job"):
        run = start(broken, history)
        while checkpoint_epochs(broken / "results/demo/cache/resume") <= resumed:
            assert run.poll() is None
            time.sleep(0.05)
        seconds = draw.uniform(0, 15)
        time.sleep(seconds)
        before = belonging(broken)
        ((_, job),) = jobs(run)
        assert resumed_after(log) == resumed
        assert strike(run, job, victim)
        wait_until_gone(before)
        kills.add("train_network", victim, seconds, resumed=resumed)
        resumed = checkpoint_epochs(broken / "results/demo/cache/resume")
        if victim == "run":
            finish(broken, "--unlock")
    finish(broken, history)
    assert resumed_after(log) == resumed > 0
    assert undisturbed.wait() == 0
    assert len(pd.read_parquet(broken / history)) == config["networks"]["epochs"]
    assert contents_of(network) == contents_of((whole / history).parent)


def long_epochs(folder):
    """Return how many epochs of stn-g two processes train in about four minutes."""
    probe = folder / "probe"
    probe.mkdir()
    arguments = (folder / "results" / "demo", "stn-g", 60, probe)
    assert not killed_after(None, train, *arguments, begun=lambda: True)
    return int(240 / pd.read_parquet(probe / "history.parquet").seconds.median())
