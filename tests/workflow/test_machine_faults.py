"""What a run says, and leaves, where disk, folder, clock or another run stand in its way."""

import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from tiny_run import planned, snakemake

from agf.locks import RUN_LOCK

pytestmark = pytest.mark.workflow

DAY = 86_400
RESULTS = Path("results/tiny")
MEL = RESULTS / "features/mel/000-of-002.parquet"


@pytest.fixture
def finished(tiny, tmp_path):
    folder = tmp_path / "copy"
    # Nothing is linked: a link would hand on the dates that a test sets.
    shutil.copytree(tiny, folder)
    return folder


@contextmanager
def small_disk(folder, size="64k"):
    """Mount an empty file system at a folder."""
    folder.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def set_dates(paths, ahead):
    for path in paths:
        date = path.stat().st_mtime_ns + ahead * 10**9
        os.utime(path, ns=(date, date))


def test_a_disk_that_fills_up_costs_no_more_than_the_job(finished, tiny):
    (finished / MEL).unlink()
    with small_disk(finished / RESULTS / "features"):
        output = snakemake(finished, str(MEL), check=False)
        assert " The disk is full (No space left on device" in output
        assert "Traceback" not in output and "Logging error" not in output
        left = (finished / RESULTS / "features").rglob("*")
        assert not [path for path in left if path.is_file()]
    snakemake(finished, str(MEL))
    assert (finished / MEL).read_bytes() == (tiny / MEL).read_bytes()


def test_a_disk_without_room_for_snakemake_itself_is_one_sentence(finished):
    shutil.rmtree(finished / ".snakemake")
    with small_disk(finished / ".snakemake"):
        output = snakemake(finished, check=False)
    assert "\n.snakemake: the disk is full (No space left on device); free some space" in output
    assert "Traceback" not in output and "Logging error" not in output


def test_results_that_are_read_only_are_one_sentence_and_a_dry_run(finished):
    shutil.rmtree(finished / RESULTS)
    with small_disk(finished / RESULTS, "2m"):
        subprocess.run(["mount", "-o", "remount,ro", finished / RESULTS], check=True)
        assert planned(snakemake(finished, "corpus", "--dry-run")) == {"scan_corpus": 1}
        output = snakemake(finished, "corpus", check=False)
    assert f"\n{RESULTS}: the file system is read-only (Read-only file system); make" in output
    assert "Traceback" not in output and "Job 1:" not in output


def test_a_clock_that_was_a_day_ahead_reruns_nothing(finished, tiny):
    metrics = RESULTS / "tables/metrics.csv"
    everything = [path for path in (finished / RESULTS).rglob("*") if path.is_file()]
    # The run itself writes into its lock, before it looks at dates.
    everything.remove(finished / RESULTS / RUN_LOCK)
    set_dates([*everything, finished / "data/tiny/fma_metadata/tracks.csv"], DAY)
    (finished / metrics).unlink()
    # Without new dates Snakemake would refuse what this job made: it has read files of tomorrow.
    output = snakemake(finished, str(metrics))
    assert f"\nThe dates of {len(everything) - 1} files in {RESULTS}, up to " in output
    assert "tracks.csv has a date in the future" in output
    assert output.count("Finished jobid") == 1
    assert (finished / metrics).read_bytes() == (tiny / metrics).read_bytes()
    assert planned(snakemake(finished, "--dry-run")) == {}


def test_a_second_run_in_a_folder_says_so_and_the_first_goes_on(finished, tiny):
    shard = MEL.parents[1] / "essentia" / MEL.name
    for path in (MEL, shard):
        (finished / path).unlink()
    command = [sys.executable, "-m", "snakemake", "--cores", "1", shard]
    command += ["--configfile", "tiny.yaml"]
    environment = os.environ | {"PYTHONPATH": str(finished / "src")}
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(command, cwd=finished, env=environment, **options) as first:
        while first.poll() is None and not list(finished.glob(".snakemake/locks/*.output.lock")):
            time.sleep(0.05)
        output = snakemake(finished, str(shard), check=False)
        assert "Directory cannot be locked" in output and "Traceback" not in output
        said = first.communicate()[0]
        assert first.returncode == 0, said[-3000:]
    assert (finished / MEL).read_bytes() == (tiny / MEL).read_bytes()


def test_a_second_run_of_a_corpus_whose_lock_another_corpus_removed_is_kept_out(finished, tiny):
    (finished / MEL).unlink()
    script = f"from agf.locks import hold_run\nfile = hold_run({str(RESULTS)!r})\n"
    script += "print(flush=True)\ninput()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", script], cwd=finished, **pipes) as first:
        first.stdout.readline()
        output = snakemake(finished, str(MEL), check=False)
        assert f"Another run is at work on {RESULTS} (process {first.pid} on " in output
        assert "Traceback" not in output and not (finished / MEL).exists()
        # Looking does no harm.
        assert planned(snakemake(finished, str(MEL), "--dry-run")) == {"extract_mel": 1}
        first.communicate("\n")
    snakemake(finished, str(MEL))
    assert (finished / MEL).read_bytes() == (tiny / MEL).read_bytes()


def test_a_second_run_past_the_lock_leaves_the_job_of_the_first_alone(finished, tiny):
    (finished / MEL).unlink()
    log = RESULTS / "logs/extract_mel/000-of-002.log"
    script = f"from agf.job import job\nwith job({str(log)!r}):\n    print(flush=True)\n    input()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", script], cwd=finished, **pipes) as first:
        first.stdout.readline()
        output = snakemake(finished, str(MEL), check=False)
        first.communicate("\n")
    assert f"{log} is held by another job" in output and "Traceback" not in output
    assert not (finished / MEL).exists()
    snakemake(finished, str(MEL))
    assert (finished / MEL).read_bytes() == (tiny / MEL).read_bytes()


def test_a_damaged_file_is_named_and_made_again_once_deleted(finished):
    tracks, split = RESULTS / "corpus/tracks.parquet", RESULTS / "splits/random.parquet"
    status = (finished / tracks).stat()
    os.truncate(finished / tracks, status.st_size // 2)
    os.utime(finished / tracks, ns=(status.st_mtime_ns, status.st_mtime_ns))
    (finished / split).unlink()
    output = snakemake(finished, str(split), check=False)
    assert f" {tracks} is damaged (Parquet magic bytes not found in footer" in output
    assert "delete it and run the workflow again" in output and "Traceback" not in output
    (finished / tracks).unlink()
    assert planned(snakemake(finished, str(split), "--dry-run"))["select_tracks"] == 1


@pytest.mark.parametrize("left", ["split-random", "mel", "artist"])
def test_a_checkpoint_that_was_killed_while_it_wrote_is_made_again(finished, left):
    """Files of the digests that are there, and others that are not, must never pass for done."""
    digests = finished / RESULTS / "corpus/digests"
    for path in digests.iterdir():
        if path.stem != left:
            path.unlink()
    (finished / RESULTS / "provenance.json").unlink()
    (finished / RESULTS / "report.html").unlink()
    assert planned(snakemake(finished, "--dry-run"))["digest_contents"] == 1
    output = snakemake(finished)
    assert "<TBD>" not in output
    assert (finished / RESULTS / "report.html").exists() and len(list(digests.iterdir())) == 7
    assert ": Training " not in output
