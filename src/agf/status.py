"""How far a run is: what each stage has written so far, while it runs or afterwards."""

import contextlib
import re
from pathlib import Path

import pyarrow as pa

from agf.corpus.digests import FEATURES
from agf.corpus.manifest import current_shards
from agf.corpus.selection import describe_scan, describe_selection
from agf.errors import UserError
from agf.locks import running
from agf.study import split_of
from agf.tasks import AGF_TASKS, WORDS_OF, all_cases, all_networks

FOLDERS = (
    "corpus",
    "logs",
    "features",
    "splits",
    "targets",
    "networks",
    "cases",
    "tables",
)
"""Folders of a corpus's results."""

DONE = re.compile(r"shard \S+ \S+: (\d+) computed, (\d+) kept, (\d+) rejected$")
"""The last line of the log of a shard that is complete."""

TAIL = 4096
"""Bytes read from the end of a log: more than its last line."""

LISTED = 10
"""Incomplete shards shown; there may be hundreds when a run is stopped."""

LINE_WIDTH = 120
"""Columns of text a log's last line may take."""


def summarise_status(results):
    """Return how far the run of one corpus is.

    Parameters
    ----------
    results : str or pathlib.Path
        ``results/{corpus}``. Files may come and go meanwhile: what is not there, or not yet
        readable, counts as not yet made.

    Returns
    -------
    str
        Whether a run is at work; the scan and the selection; per feature the shards that are
        complete, the others by name with the last line of their log; per split and seed what is
        there of targets, networks and cases; trainings and transfers that are not complete with
        the last line of their log; the tables.

    Raises
    ------
    UserError
        Where `results` is no folder, or holds nothing of a run.
    """
    results = Path(results)
    if not any((results / name).is_dir() for name in FOLDERS):
        what = "holds nothing of a run" if results.is_dir() else "does not exist"
        raise UserError(f"{results} {what}: give the folder of a corpus, like results/demo.")
    at_work = running(results)
    unfinished = "Failed or still running" if at_work else "Failed or stopped"
    unfinished += ", with the last line of the log"
    blocks = [
        f"Run        {at_work or 'none at work'}\n{_corpus(results)}",
        _features(results, unfinished),
        _runs(results),
        _open_jobs(results, unfinished),
        _tables(results),
    ]
    return "\n\n".join(block for block in blocks if block)


def _corpus(results):
    corpus = results / "corpus"
    scan = selection = "not yet"
    with contextlib.suppress(OSError, pa.ArrowInvalid):
        scan = describe_scan(corpus / "scan.parquet").removeprefix("Scan: ")
    with contextlib.suppress(OSError, pa.ArrowInvalid):
        line = describe_selection(corpus / "tracks.parquet", corpus / "rejected.parquet")
        selection = line.removeprefix("Tracks: ")
    return f"Scan       {scan}\nSelection  {selection}"


def _features(results, unfinished):
    shards = current_shards(results / "corpus" / "shards")
    if not shards:
        return ""
    rows, open_shards = [], []
    further = dict.fromkeys(name for name in WORDS_OF.values() if name not in FEATURES)
    logged = [name for name in further if (results / "logs" / f"extract_{name}").is_dir()]
    for feature in (*FEATURES, *logged):
        counts = []
        for shard in shards:
            last = _last_line(results / "logs" / f"extract_{feature}" / f"{shard}.log")
            if last is None:
                continue
            if match := DONE.search(last):
                counts.append([int(number) for number in match.groups()])
            else:
                open_shards.append([feature, shard, last])
        totals = [sum(column) for column in zip(*counts, strict=True)] or [0, 0, 0]
        rows.append([feature, f"{len(counts):,} of {len(shards):,}", *(f"{n:,}" for n in totals)])
    text = "Features, as each shard's last job counted them\n"
    text += _columns([["feature", "shards done", "computed", "kept rows", "rejected"], *rows])
    if open_shards:
        listed = [[feature, shard, _cut(last)] for feature, shard, last in open_shards[:LISTED]]
        text += f"\n\n{unfinished}\n"
        text += _columns(listed, right=False)
        if len(open_shards) > LISTED:
            text += f"\nand {len(open_shards) - LISTED:,} more"
    return text


def _last_line(path):
    """Return the last line of a log, None where there is no log."""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, file.seek(0, 2) - TAIL))
            lines = file.read().decode(errors="replace").split("\n")
    except OSError:
        return None
    return next((line.strip() for line in reversed(lines) if line.strip()), "(empty so far)")


def _cut(line):
    return line if len(line) <= LINE_WIDTH else line[: LINE_WIDTH - 1] + "…"


def _runs(results):
    """Return a table with one row per split, protocol, clustering and seed."""
    networks = [network.name for network in all_networks()]
    cases = [case for case in all_cases() if case.alias_of is None]
    names = [case.name for case in cases]
    names += [f"{case.name}-softmax" for case in cases if case.kind == "wstn"]
    rows = []
    for split in _splits(results):
        targets = [results / "targets" / split / f"{task}.parquet" for task in AGF_TASKS]
        divided = results / "splits" / f"{split_of(split)}.parquet"
        divided = "yes" if divided.is_file() else "no"
        for seed in _seeds(results, split) or [None]:
            row = [split, "-" if seed is None else str(seed), divided, _count(targets)]
            run = Path(split) / f"seed{seed}"
            row += [
                _count(
                    results / "networks" / run / name / "weights.safetensors" for name in networks
                ),
                _count(results / "cases" / run / name / "predictions.parquet" for name in names),
            ]
            rows.append(row)
    if not rows:
        return ""
    header = ["split", "seed", "tracks split", "targets", "networks", "cases"]
    # What a subset needs stands in the configuration, which may have changed since.
    note = "of all there are: a subset of the cases, or another protocol, needs fewer"
    return f"{_columns([header, *rows])}\n({note})"


def _open_jobs(results, unfinished):
    """Return the last lines of the logs of networks and cases whose result is not there."""
    lines = []
    for rule, stage, result in (
        ("train_network", "networks", "weights.safetensors"),
        ("train_transfer", "cases", "predictions.parquet"),
    ):
        logs = results / "logs" / rule
        for log in sorted(logs.rglob("*.log")):
            name = log.relative_to(logs).with_suffix("")
            if not (results / stage / name / result).is_file():
                lines.append([rule, str(name), _cut(_last_line(log) or "")])
    if not lines:
        return ""
    text = _columns(lines[:LISTED], right=False)
    more = f"\nand {len(lines) - LISTED:,} more" if len(lines) > LISTED else ""
    return f"{unfinished}\n{text}{more}"


def _splits(results):
    names = {path.stem for path in (results / "splits").glob("[!.]*.parquet")}
    for stage in ("targets", "networks", "cases"):
        names.update(path.name for path in (results / stage).glob("[!.]*") if path.is_dir())
    return sorted(names)


def _seeds(results, split):
    folders = {
        path.name
        for stage in ("networks", "cases")
        for path in (results / stage / split).glob("seed*")
    }
    return sorted(int(name[4:]) for name in folders if name[4:].isdecimal())


def _count(paths):
    there = [path.is_file() for path in paths]
    return f"{sum(there)} of {len(there)}"


def _tables(results):
    folder = results / "tables"
    there = [path for n in range(1, 6) if (path := folder / f"table{n}.md").is_file()]
    where = f" in {folder}" if there else ""
    return f"Tables     {len(there)} of 5{where}"


def _columns(rows, right=True):
    """Return rows as lines with aligned columns: the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        first, *others = zip(row, widths, strict=True)
        cells = [f"{first[0]:<{first[1]}}"]
        cells += [f"{cell:>{width}}" if right else f"{cell:<{width}}" for cell, width in others]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
