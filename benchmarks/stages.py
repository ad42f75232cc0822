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
from measure import describe_machine

from agf.errors import UserError
from agf.files import write_json
from agf.machine import describe_commit

RULES = performance.ROOT / "workflow" / "rules"
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


def read_reserved(folder):
    """Return the memory in MB that each rule in a folder of rule files asks for."""
    reserved = {}
    for file in sorted(folder.glob("*.smk")):
        parts = re.split(r"^ *(?:rule|checkpoint) (\w+):", file.read_text(), flags=re.M)
        for rule, text in zip(parts[1::2], parts[2::2], strict=True):
            if (number := re.search(r"^ +mem_mb=(\d+),", text, re.M)) is not None:
                reserved[rule] = int(number[1])
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
        rules = sum_rules(read_jobs(arguments.results / "benchmarks"), read_reserved(RULES))
    except UserError as error:
        sys.exit(str(error))
    run = {
        "date": datetime.date.today().isoformat(),
        "commit": describe_commit(performance.ROOT),
        "command": "python benchmarks/stages.py results/CORPUS",
        "machine": describe_machine(*PACKAGES),
        "corpus": arguments.results.resolve().name,
        "tracks": pq.read_metadata(tracks).num_rows,
        "wall_seconds": arguments.wall_seconds,
        "before_seconds": arguments.before_seconds,
        "note": arguments.note,
        "rules": rules,
    }
    write_json(run, performance.RESULTS / "stages.json")
    performance.render()


if __name__ == "__main__":
    main()
