"""What the workflow's bookkeeping costs at the size of FMA: time, memory, and what is made again.

    python benchmarks/scale.py --clips FOLDER [--tracks 8000 25000 106574]

For every size it makes a stand-in corpus (stand_in_corpus.py) and runs the target `features` on it
in a copy of the project in which extracting a feature from a track takes no time. What is left is
the scan, Snakemake's graph of jobs, the shards and their rows' keys: all that a large corpus adds
to the work on the single track. It needs Linux, whose /proc tells the peak memory of a process.
"""

import argparse
import contextlib
import datetime
import itertools
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import yaml
from measure import describe_machine, high_water_mark
from stand_in_corpus import FMA_TRACKS, add_tracks, count_artists, find_clips, write_stand_in

from agf.corpus.digests import FEATURES
from agf.errors import UserError
from agf.files import write_json, write_text
from agf.machine import describe_commit

ROOT = Path(__file__).resolve().parents[1]
SEED = 0
CORES = 2
POLLS_PER_SECOND = 20
REPEATS = 3
NEW_TRACKS = 10
PACKAGES = ("snakemake", "pandas", "pyarrow", "psutil")

TARGETS = ("all", "corpus", "features", "targets", "networks", "transfer", "tables")

PROJECT = (
    "Snakefile",
    "config.yaml",
    "requirements.lock",
    "workflow",
    "src",
    "profiles",
    "envs",
    "resources",
)

STUBS = {
    "src/agf/features/shards.py": (
        "def update_shard(",
        """

_update_shard = update_shard


def update_shard(candidates, out, rejected, compute, schema, *others, **options):
    values = {pa.int32(): 1, pa.float32(): 0.0, pa.float64(): 0.0, pa.large_binary(): bytes(4)}
    names = [name for name in schema.names if name not in ("track_id", "key", "digest")]
    row = {name: values[schema.field(name).type] for name in names}
    return _update_shard(candidates, out, rejected, lambda _: row, schema, *others, **options)
""",
    ),
    "src/agf/features/essentia_shards.py": (
        "for name in descriptor_names()",
        """

def descriptor_names():
    return ("first", "second", "third", "fourth")
""",
    ),
}
"""What is appended to files of the copied project, and what they must hold for it to take effect:
no track is decoded, a row is a constant of a few bytes, and Essentia has four columns."""

SECONDS_TARGET = 15
MEGABYTES_TARGET = 1000

FIRST, DRY, IDLE = "first run", "dry run", "nothing to do"
ALL, NEW, DELETED = "dry run of everything", f"{NEW_TRACKS} new tracks", "one file deleted"
TOUCHED = "all files touched"


def measure_size(clips, n_tracks, n_shards, folder):
    """Measure every step on a stand-in corpus of one size.

    Parameters
    ----------
    clips : list of pathlib.Path
        MP3 files on the file system of `folder`; their times are changed.
    n_tracks, n_shards : int
        Size of the corpus and number of its shards.
    folder : pathlib.Path
        A new folder for the copy of the project and the corpus.

    Returns
    -------
    dict
        ``tracks``, ``artists``, ``load_average`` of the minute before, ``corpus_seconds`` to make
        the corpus, and ``steps``: for every step a list of measurements as :func:`measure` makes
        them.

    Raises
    ------
    UserError
        Where a step fails, with the end of its output.
    """
    copy_project(folder)
    load, start = os.getloadavg()[0], time.perf_counter()
    data = folder / "data"
    write_stand_in(clips, n_tracks, SEED, data)
    corpus_seconds = time.perf_counter() - start
    config = {
        "corpus": f"stand-in-{n_tracks}",
        "source": "fma",
        "data_dir": "data",
        "audio_dir": "audio",
        "subset": "large",
        "duplicates": "keep",
        "shards": n_shards,
        "min_seconds": 3.0,
    }
    write_text(yaml.safe_dump(config, sort_keys=False), folder / "scale.yaml")
    results = folder / "results" / config["corpus"]

    steps = {}

    def step(name, *arguments, repeats=1):
        steps[name] = []
        for _ in range(repeats):
            print(f"{n_tracks} tracks: {name}", file=sys.stderr, flush=True)
            steps[name].append(measure(name, folder, results, *arguments))

    step(FIRST, "features")
    step(DRY, "features", "--dry-run", repeats=REPEATS)
    step(IDLE, "features", repeats=REPEATS)
    step(ALL, "all", "--dry-run", repeats=REPEATS)
    add_tracks(clips, NEW_TRACKS, SEED, data)
    step(NEW, "features")
    files = sorted((data / "audio").rglob("*.mp3"))
    files.pop(len(files) // 2).unlink()
    step(DELETED, "features")
    for file in files:
        os.utime(file)
    step(TOUCHED, "features")
    return {
        "tracks": n_tracks,
        "artists": count_artists(n_tracks),
        "load_average": load,
        "corpus_seconds": corpus_seconds,
        "steps": steps,
    }


def copy_project(folder):
    """Copy what a run needs to `folder` and make the extraction of features trivial there.

    Raises
    ------
    RuntimeError
        Where the code has changed so that a stub would not take effect.
    """
    for name in PROJECT:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
            shutil.copytree(ROOT / name, folder / name, ignore=ignored)
        else:
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    for name, (needed, stub) in STUBS.items():
        text = (folder / name).read_text(encoding="utf-8")
        if needed not in text:
            raise RuntimeError(f"{name} has no {needed!r}: adapt STUBS in {__file__}")
        write_text(text + stub, folder / name)


def measure(name, folder, results, *arguments):
    """Run snakemake once and measure it.

    Parameters
    ----------
    name : str
        Names the step where it fails.
    folder : pathlib.Path
        The copy of the project, with ``scale.yaml``.
    results : pathlib.Path
        Where that configuration's results lie.
    *arguments : str
        Targets and options of snakemake.

    Returns
    -------
    dict
        ``seconds`` of wall time; ``snakemake_megabytes``, peak memory of snakemake's own process;
        ``tree_megabytes``, the largest sum over it and its descendants. Of a dry run, ``planned``
        jobs. Of a run, ``jobs`` by rule; ``counts``, for every feature the tracks ``computed``,
        ``kept`` and ``rejected`` in the shards it looked at; ``scan_seconds`` where it scanned;
        ``tracks`` and ``rejected`` of the corpus afterwards.

    Raises
    ------
    UserError
        Where snakemake fails.
    """
    before = _times(results)
    command = [sys.executable, "-m", "snakemake", "--cores", str(CORES), *arguments]
    seconds, own, tree, output = _run([*command, "--configfile", "scale.yaml"], folder, name)
    measured = {"seconds": seconds, "snakemake_megabytes": own, "tree_megabytes": tree}
    if "--dry-run" in arguments:
        return {**measured, "planned": planned_jobs(output)}
    written = {path for path, time_ns in _times(results).items() if before.get(path) != time_ns}
    scan = results / "benchmarks" / "scan_corpus.tsv"
    return {
        **measured,
        "jobs": finished_jobs(output),
        "counts": {feature: shard_counts(feature, results, written) for feature in FEATURES},
        "scan_seconds": float(scan.read_text().split("\n")[1].split("\t")[0])
        if scan in written
        else None,
        "tracks": pq.read_metadata(results / "corpus" / "tracks.parquet").num_rows,
        "rejected": pq.read_metadata(results / "corpus" / "rejected.parquet").num_rows,
    }


def planned_jobs(output):
    """Return how many jobs a dry run plans, target rules left out."""
    table = re.search(r"^job +count\n-.*?\n(.*?)^total ", output, re.M | re.S)
    if table is None:
        if "Nothing to be done" not in output:
            raise RuntimeError(f"neither jobs nor 'Nothing to be done' in:\n{_tail(output)}")
        return 0
    rows = (line.split() for line in table[1].splitlines())
    return sum(int(count) for rule, count in rows if rule not in TARGETS)


def finished_jobs(output):
    """Return how many jobs of each rule a run finished, target rules left out."""
    rules = re.findall(r"^Finished jobid: \d+ \(Rule: (\w+)\)", output, re.M)
    return dict(Counter(rule for rule in rules if rule not in TARGETS))


def shard_counts(feature, results, written):
    """Sum what the shards' logs say of one feature, over the logs that were just written."""
    sums = {"computed": 0, "kept": 0, "rejected": 0}
    pattern = re.compile(rf"shard \S+ {feature}: (\d+) computed, (\d+) kept, (\d+) rejected")
    for log in sorted((results / "logs" / f"extract_{feature}").glob("*.log")):
        if log in written:
            last = pattern.findall(log.read_text(encoding="utf-8"))[-1]
            sums = {key: sums[key] + int(n) for key, n in zip(sums, last, strict=True)}
    return sums


def _times(results):
    """Return when each log and benchmark was written, by the clock of the file system."""
    paths = [path for name in ("logs", "benchmarks") for path in (results / name).rglob("*.*")]
    return {path: path.stat().st_mtime_ns for path in paths}


def _run(command, folder, name):
    """Return wall time, peak memory of the process and of its tree (MB), and the output."""
    log = folder / "output.txt"
    environment = os.environ | {"PYTHONPATH": str(folder / "src")}
    own = tree = 0
    with open(log, "wb") as stream:
        start = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=stream, stderr=subprocess.STDOUT
        )
        try:
            while process.poll() is None:
                own = max(own, high_water_mark(process.pid))
                tree = max(tree, _tree_memory(process.pid))
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(1 / POLLS_PER_SECOND)
            seconds = time.perf_counter() - start
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
    output = log.read_text(encoding="utf-8", errors="replace")
    if process.returncode:
        raise UserError(f"The step {name!r} failed. Its output ends:\n{_tail(output)}")
    # Memory that all processes share is in the sum once for each, so the sum is never too small.
    return seconds, own / 1e6, max(own, tree) / 1e6, output


def _tree_memory(pid):
    """Return the resident memory of a process and all below it in bytes, summed."""
    total = 0
    with contextlib.suppress(psutil.NoSuchProcess):
        parent = psutil.Process(pid)
        total, command = parent.memory_info().rss, parent.cmdline()
        for process in parent.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                # A child that still bears its parent's command line was forked just now and has
                # not begun its own program: its memory is its parent's.
                if process.cmdline() != command:
                    total += process.memory_info().rss
    return total


def _tail(output):
    return "\n".join(output.splitlines()[-40:])


def check_targets(size):
    """Hold the measurements of one size against the targets for all of FMA.

    Parameters
    ----------
    size : dict
        From :func:`measure_size`.

    Returns
    -------
    list of (str, str, bool)
        Target, measured value, and whether it was reached. Of repeated steps the worst counts.
    """
    steps, rows = size["steps"], []
    for name in (DRY, IDLE):
        seconds = max(one["seconds"] for one in steps[name])
        megabytes = max(one["tree_megabytes"] for one in steps[name])
        limit = f"{name}: less than {SECONDS_TARGET} s"
        rows.append((limit, f"{seconds:.1f} s", seconds < SECONDS_TARGET))
        limit = f"{name}: less than {MEGABYTES_TARGET} MB"
        rows.append((limit, f"{megabytes:.0f} MB", megabytes < MEGABYTES_TARGET))
    (first,), (new,) = steps[FIRST], steps[NEW]
    (deleted,), (touched,) = steps[DELETED], steps[TOUCHED]
    for name, one, wanted in (
        (FIRST, first, size["tracks"]),
        (NEW, new, NEW_TRACKS),
        (DELETED, deleted, 0),
        (TOUCHED, touched, 0),
    ):
        computed = [one["counts"][feature]["computed"] for feature in FEATURES]
        met = computed == [wanted] * len(FEATURES)
        rows.append((f"{name}: {wanted} computed", _computed(one), met))
    text = f"{deleted['tracks']} kept, {deleted['rejected']} rejected"
    kept = size["tracks"] + NEW_TRACKS - 1
    met = (deleted["tracks"], deleted["rejected"]) == (kept, 1)
    rows.append((f"{DELETED}: {kept} kept, 1 rejected", text, met))
    return rows


def report(results):
    """Return the Markdown report of a benchmark.

    Parameters
    ----------
    results : dict
        What :func:`main` writes as JSON.

    Returns
    -------
    str
    """
    machine, sizes = results["machine"], results["sizes"]
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    lines = [
        "# Scale: what a large corpus costs before any music is heard",
        "",
        "**Feature extraction is replaced here.** Tracks are neither decoded nor analysed: a stub "
        "returns a constant of a few bytes for each of them. Everything else is the workflow as it "
        "is: the scan of metadata and audio files with their sha256, Snakemake's graph of jobs, "
        f"one process per shard and feature ({results['shards']} shards), the key of every row, "
        "which rows are kept and which are made anew, and the jobs that follow from it. The times "
        "below are what the workflow adds to the work on the tracks, not the time of that work.",
        "",
        "The corpus is a stand-in in FMA's layout: one file per track, hard links to "
        f"{results['clips']} clips of {results['clips_megabytes']:.0f} MB, with metadata of FMA's "
        "size and shape (`benchmarks/stand_in_corpus.py`). A scan hashes every file, but reads the "
        "clips from the system's cache; a real corpus has to come from the disk at its first scan.",
        "",
        "```sh",
        results["command"],
        "```",
        "",
        f"- Date: {results['date']}; commit: {results['commit'] or 'not known'}",
        f"- Machine: {machine['processor']}, {machine['cores']} cores, "
        f"{machine['memory_gigabytes']} GB of memory, {machine['kernel']}",
        f"- Versions: {versions}",
        f"- Snakemake: target `features`, {CORES} cores, the project's default profile",
        f"- Memory: snakemake's own peak (VmHWM), and the largest sum over it and its jobs, looked "
        f"at {POLLS_PER_SECOND} times a second; shared pages count once for each process",
        f"- Dry runs and runs with nothing to do: median of {REPEATS} (smallest to largest)",
        "- Jobs: finished by a run, planned by a dry run; target rules are left out. The dry run "
        "of everything plans what is left once the features are there",
        "",
    ]
    for size in sizes:
        lines += _size_table(size)
    lines += _growth_table(sizes)
    lines += ["## Targets", ""]
    full = [size for size in sizes if size["tracks"] == FMA_TRACKS]
    if not full:
        lines += [f"They are set for {FMA_TRACKS:,} tracks, a size that was not measured here.", ""]
    for size in full:
        lines += [f"At {FMA_TRACKS:,} tracks; of repeated steps the worst counts.", ""]
        lines += ["| target | measured | |", "|---|---|---|"]
        for target, measured, met in check_targets(size):
            lines.append(f"| {target} | {measured} | {'reached' if met else '**missed**'} |")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _size_table(size):
    first = size["steps"][FIRST][0]
    lines = [
        f"## {size['tracks']:,} tracks, {size['artists']:,} artists",
        "",
        f"The scan of the first run took {first['scan_seconds']:.1f} s. Load average of the "
        f"machine in the minute before: {size['load_average']:.2f}.",
        "",
        "| step | wall time (s) | snakemake (MB) | with its jobs (MB) | jobs | tracks computed | "
        "tracks kept in the corpus |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, measurements in size["steps"].items():
        one = measurements[0]
        if "planned" in one:
            jobs, computed, kept = f"{one['planned']} planned", "", ""
        else:
            jobs, computed = str(sum(one["jobs"].values())), _computed(one)
            kept = f"{one['tracks']} of {one['tracks'] + one['rejected']}"
        cells = [
            name,
            _spread(measurements, "seconds", ".1f"),
            _spread(measurements, "snakemake_megabytes", ".0f"),
            _spread(measurements, "tree_megabytes", ".0f"),
            jobs,
            computed,
            kept,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, ""]


def _growth_table(sizes):
    if len(sizes) < 2:
        return []
    pairs = list(itertools.pairwise(sizes))
    heads = [f"{small['tracks']:,} to {large['tracks']:,}" for small, large in pairs]
    lines = [
        "## Growth",
        "",
        "Time per track at the larger size, as a multiple of that at the smaller: 1.00 where time "
        "grows with the corpus, more where it grows faster. The last row is what a step would show "
        "whose time does not depend on the corpus.",
        "",
        f"| step | {' | '.join(heads)} |",
        f"|---|{'---|' * len(pairs)}",
    ]
    rows = {"scan, first run": [size["steps"][FIRST][0]["scan_seconds"] for size in sizes]}
    for name in sizes[0]["steps"]:
        rows[name] = [_median(size["steps"][name], "seconds") for size in sizes]
    rows["constant time"] = [1.0] * len(sizes)
    n_tracks = [size["tracks"] for size in sizes]
    for name, seconds in rows.items():
        each = [time / n for time, n in zip(seconds, n_tracks, strict=True)]
        ratios = [f"{b / a:.2f}" for a, b in itertools.pairwise(each)]
        lines.append(f"| {name} | {' | '.join(ratios)} |")
    return [*lines, ""]


def _median(measurements, key):
    return statistics.median(one[key] for one in measurements)


def _spread(measurements, key, form):
    text = format(_median(measurements, key), form)
    if len(measurements) == 1:
        return text
    values = [one[key] for one in measurements]
    return f"{text} ({min(values):{form}} to {max(values):{form}})"


def _computed(measured):
    """Return the number of tracks computed: one number where all features agree."""
    counts = {feature: measured["counts"][feature]["computed"] for feature in FEATURES}
    if len(set(counts.values())) == 1:
        return str(counts["mel"])
    return ", ".join(f"{feature} {count}" for feature, count in counts.items())


def main():
    """Measure all sizes from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--clips", required=True, help="folder with mp3 files, a few hundred")
    parser.add_argument("--tracks", type=int, nargs="+", default=[8000, 25000, FMA_TRACKS])
    parser.add_argument("--shards", type=int, default=256)
    parser.add_argument("--out", type=Path, help="where to work [the system's temporary folder]")
    parser.add_argument("--report", type=Path, default=ROOT / "docs" / "scale.md")
    parser.add_argument("--json", type=Path, default=ROOT / "benchmarks" / "results" / "scale.json")
    parser.add_argument("--keep", action="store_true", help="leave corpora and results there")
    arguments = parser.parse_args()
    try:
        run(arguments)
    except UserError as error:
        sys.exit(str(error))


def run(arguments):
    """Measure all sizes, and write results and report after each, so that no size is lost."""
    clips = find_clips(arguments.clips)
    numbers = " ".join(map(str, arguments.tracks))
    results = {
        "date": datetime.date.today().isoformat(),
        "commit": describe_commit(ROOT),
        "command": f"python benchmarks/scale.py --clips FOLDER --tracks {numbers} "
        f"--shards {arguments.shards}",
        "machine": describe_machine(*PACKAGES),
        "clips": len(clips),
        "clips_megabytes": sum(clip.stat().st_size for clip in clips) / 1e6,
        "shards": arguments.shards,
        "cores": CORES,
        "sizes": [],
    }
    if arguments.out is not None:
        arguments.out.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix="agf-scale-", dir=arguments.out))
    try:
        # Links to the clips themselves would pass the touching on to them.
        copies = [work / "clips" / f"{i:05d}.mp3" for i in range(len(clips))]
        (work / "clips").mkdir()
        for clip, copy in zip(clips, copies, strict=True):
            shutil.copyfile(clip, copy)
        for n_tracks in sorted(set(arguments.tracks)):
            folder = work / f"tracks-{n_tracks}"
            size = measure_size(copies, n_tracks, arguments.shards, folder)
            results["sizes"].append(size)
            write_json(results, arguments.json)
            write_text(report(results), arguments.report)
            if not arguments.keep:
                shutil.rmtree(folder)
    finally:
        if arguments.keep:
            print(f"Corpora and results are in {work}", file=sys.stderr)
        else:
            shutil.rmtree(work)
    print(report(results))


if __name__ == "__main__":
    main()
