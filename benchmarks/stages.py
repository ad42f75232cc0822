"""Time and memory of every rule in a run that is finished, from Snakemake's benchmark files.

    python benchmarks/stages.py results/CORPUS [--wall-seconds S] [--before-seconds S] [--note TEXT]

They go to benchmarks/results/stages.json and from there to docs/performance.md.
"""

import argparse
import datetime
import re
import sys
from pathlib import Path

import pandas as pd
import performance
import pyarrow.parquet as pq
import yaml
from measure import describe_machine

from agf.corpus.manifest import current_shards
from agf.errors import UserError
from agf.files import write_json
from agf.machine import describe_commit

MEMORY = performance.ROOT / "workflow" / "memory.yaml"
COLUMNS = ("s", "cpu_time", "max_rss")
PACKAGES = ("snakemake", "torch", "essentia", "faiss-cpu", "scikit-learn", "numpy")


def read_jobs(folder):
    """Read all benchmark files of one corpus.

    Parameters
    ----------
    folder : pathlib.Path
        ``results/{corpus}/benchmarks``, as the workflow lays it out: a rule's file or folder has
        the rule's name.

    Returns
    -------
    pandas.DataFrame
        A row per job: ``rule``, ``s`` and ``cpu_time`` in seconds, ``max_rss`` in MB; the last two
        are missing where a job ended before Snakemake first looked at it.

    Raises
    ------
    UserError
        If there is no benchmark file, or one that Snakemake did not write.
    """
    files = sorted(folder.rglob("*.tsv"))
    if not files:
        raise UserError(f"{folder} has no .tsv file: give the results folder of a finished run")
    jobs = []
    for file in files:
        # Snakemake has written a dash or NA, by its version, where it measured nothing.
        table = pd.read_csv(file, sep="\t", na_values=["-"])
        missing = [column for column in COLUMNS if column not in table]
        if missing or len(table) != 1:
            raise UserError(
                f"{file} is not one line with the columns {', '.join(COLUMNS)}: "
                "remove it and run its job again"
            )
        rule = file.relative_to(folder).parts[0].removesuffix(".tsv")
        jobs.append({"rule": rule, **table.loc[0, list(COLUMNS)]})
    return pd.DataFrame(jobs)


def sum_rules(jobs, reserved):
    """Sum the jobs of each rule.

    Parameters
    ----------
    jobs : pandas.DataFrame
        Of :func:`read_jobs`.
    reserved : dict of str to int
        Of :func:`read_reserved`.

    Returns
    -------
    list of dict
        ``rule``, ``jobs``, ``seconds``, ``cpu_seconds``, ``median_seconds``, ``longest_seconds``,
        ``megabytes`` (None where no job was looked at) and ``mem_mb`` (None where the rule is not
        known); the rule that took longest first.
    """
    rules = []
    for rule, table in jobs.groupby("rule"):
        peak = table.max_rss.max()
        rules.append(
            {
                "rule": rule,
                "jobs": len(table),
                "seconds": float(table.s.sum()),
                "cpu_seconds": float(table.cpu_time.sum()),
                "median_seconds": float(table.s.median()),
                "longest_seconds": float(table.s.max()),
                "megabytes": None if pd.isna(peak) else float(peak),
                "mem_mb": reserved.get(rule),
            }
        )
    return sorted(rules, key=lambda rule: -rule["seconds"])


def read_reserved(n_tracks, n_shards):
    """Return the memory in MB that each rule's job takes by its own figures (workflow/memory.yaml).

    Of rules with a figure for each task the largest counts.
    """
    reserved = {}
    for name, figures in yaml.safe_load(MEMORY.read_text(encoding="utf-8")).items():
        rule = re.sub(r"_[a-z]$", "", name)
        of_corpus = figures.get("per_1000_tracks", 0) * n_tracks
        of_shard = figures.get("per_1000_tracks_of_shard", 0) * n_tracks / n_shards
        asked = round(figures["base"] + (of_corpus + of_shard) / 1000)
        reserved[rule] = max(asked, reserved.get(rule, 0))
    return reserved


def main():
    """Write benchmarks/results/stages.json from the command line and render the page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("results", type=Path, help="results/{corpus} of a finished run")
    parser.add_argument("--wall-seconds", type=float, help="what the whole run took")
    parser.add_argument("--before-seconds", type=float, help="what the same run took earlier")
    parser.add_argument("--note", default="", help="one line: what a reader has to know")
    arguments = parser.parse_args()
    try:
        tracks = arguments.results / "corpus" / "tracks.parquet"
        table = arguments.results / "tables" / "table4.md"
        for path in (tracks, table):
            if not path.exists():
                raise UserError(f"{path} is missing: give the results folder of a finished run")
        n_tracks = pq.read_metadata(tracks).num_rows
        n_shards = len(current_shards(arguments.results / "corpus" / "shards"))
        jobs = read_jobs(arguments.results / "benchmarks")
        rules = sum_rules(jobs, read_reserved(n_tracks, n_shards))
    except UserError as error:
        sys.exit(str(error))
    run = {
        "date": datetime.date.today().isoformat(),
        "commit": describe_commit(performance.ROOT),
        "command": "python benchmarks/stages.py results/CORPUS",
        "machine": describe_machine(*PACKAGES),
        "corpus": arguments.results.resolve().name,
        "tracks": n_tracks,
        "wall_seconds": arguments.wall_seconds,
        "before_seconds": arguments.before_seconds,
        "note": arguments.note,
        "rules": rules,
    }
    write_json(run, performance.RESULTS / "stages.json")
    performance.render()


if __name__ == "__main__":
    main()
