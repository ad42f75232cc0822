"""How long the run took, on what, and what it was made of."""

import pandas as pd
import yaml

from agf.evaluation.report.cells import Cell, Column, Table, count, number, text
from agf.evaluation.report.corpus import bar


def run_times(benchmarks):
    """Sum up Snakemake's benchmarks by rule.

    Parameters
    ----------
    benchmarks : list of pathlib.Path
        ``benchmarks/{rule}.tsv`` or ``benchmarks/{rule}/**/*.tsv``: columns ``s``, seconds, and
        ``max_rss``, mebibytes.

    Returns
    -------
    pandas.DataFrame
        By rule, the longest first: ``jobs``, ``seconds`` of all of them, ``peak`` memory of one.
    """
    rows = []
    for path in benchmarks:
        below = path.parts[len(path.parts) - 1 - path.parts[::-1].index("benchmarks") + 1 :]
        frame = pd.read_csv(path, sep="\t", na_values="-")
        rows += [
            {"rule": below[0].removesuffix(".tsv"), "seconds": row.s, "peak": row.max_rss}
            for row in frame.itertuples()
        ]
    frame = pd.DataFrame(rows, columns=["rule", "seconds", "peak"])
    sums = frame.groupby("rule").agg(
        jobs=("rule", "size"), seconds=("seconds", "sum"), peak=("peak", "max")
    )
    return sums.sort_values("seconds", ascending=False, kind="stable").reset_index()


def run_time_section(benchmarks):
    """Return the run time by rule as a table, None without benchmarks."""
    times = run_times(benchmarks)
    if times.empty:
        return None
    longest = times["seconds"].max() or 1
    rows = [
        [
            text(row.rule),
            number(row.jobs, 0),
            Cell(bar(row.seconds / longest)),
            Cell(duration(row.seconds), repr(float(row.seconds))),
            number(row.peak, 0),
        ]
        for row in times.itertuples()
    ]
    columns = [
        Column("rule"),
        Column("jobs", True),
        Column("", axis=""),
        Column("time of all jobs", True),
        Column("peak memory of one, MiB", True),
    ]
    return {
        "table": Table("Run time by rule", columns, rows, True),
        "sentence": f"{count(times['jobs'].sum(), 'job')}, {duration(times['seconds'].sum())} one "
        "after the other; jobs that ran side by side took less time on the clock.",
    }


def duration(seconds):
    """Return seconds as text: ``42 s``, ``3 min 20 s``, ``2 h 05 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60:02d} min"


def provenance_section(provenance):
    """Return what the run was made of.

    Parameters
    ----------
    provenance : dict
        ``provenance.json``.

    Returns
    -------
    dict
        ``facts``, pairs of name and value; ``versions``, a table; ``configuration``, YAML.
    """
    hardware = provenance["hardware"]
    machine = [
        hardware["processor"],
        count(hardware["cores"], "core"),
        f"{hardware['memory_gigabytes']:g} GB of memory",
        hardware["kernel"],
        *([hardware["gpu"]] if "gpu" in hardware else []),
    ]
    facts = [
        ("provenance", provenance["hash"]),
        ("commit", provenance["commit"] or "not known"),
        ("requirements.lock", provenance["lock"]),
        ("files with a digest, tables apart", f"{len(provenance['files']):,}"),
        ("machine", ", ".join(machine)),
    ]
    rows = [[text(name), text(version)] for name, version in provenance["versions"].items()]
    return {
        "facts": facts,
        "versions": Table("Versions", [Column("library"), Column("version")], rows),
        "configuration": yaml.safe_dump(
            provenance["configuration"], sort_keys=False, allow_unicode=True
        ),
    }
