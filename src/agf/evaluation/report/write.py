"""Writing the page: sections in their order, one template, everything inside one file."""

import base64
import hashlib
import json
from importlib.resources import files as package_files
from pathlib import Path

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from agf.corpus.tracks import read_tracks
from agf.evaluation.baselines import average_baselines
from agf.evaluation.figures import SYSTEMS
from agf.evaluation.report import (
    answer,
    best_case,
    checks,
    corpus,
    groups,
    learning,
    protocol,
    running,
    scores,
    statistics,
)
from agf.evaluation.report.inputs import check_files, first_run, of_run, read_csv
from agf.evaluation.tables import published_applies
from agf.files import write_text
from agf.study import leaks

PACKAGE = "agf.evaluation.report"

SMALL_TABLES = {
    "table1": "Table 1. Learning tasks",
    "table2": "Table 2. Network architecture of an STN",
    "table3": "Table 3. Mean scores with and without the genre task",
    "table5": "Table 5. Best scores per number of tasks N",
}
"""Captions of the paper's tables besides the fourth."""


def write_report(files, out):
    """Write ``report.html``, one page that needs nothing else.

    The same files give the same bytes.

    Parameters
    ----------
    files : dict of str to (str or pathlib.Path) or list of them
        Files by the names of :data:`agf.evaluation.report.inputs.FILES` and ``LISTS``.
        ``provenance``, ``metrics`` and ``table4`` must be there; without another file its section
        is left out, or says why. Of lists with several splits and seeds the files of the first row
        of ``metrics`` are used; all paths are as in ``results/{corpus}``.
    out : str or pathlib.Path
        The page.

    Raises
    ------
    UserError
        A name is unknown, or a file is missing without which there is no report.
    """
    check_files(files)
    write_text(render(page(files)), out)


def page(files):
    """Return everything that the page shows.

    Parameters
    ----------
    files : dict
        As :func:`write_report` takes it.

    Returns
    -------
    dict
        Variables of the template ``page.html``.
    """
    metrics = read_csv(files, "metrics")
    split, seed = first_run(metrics)
    provenance = json.loads(Path(files["provenance"]).read_text(encoding="utf-8"))
    configuration = provenance["configuration"]
    table4, baselines, comparisons = (
        read_csv(files, name) for name in ("table4", "baselines", "comparisons")
    )
    bootstrap = read_csv(files, "bootstrap")
    baselines = _with(baselines, average_baselines)
    if bootstrap is not None:
        bootstrap = bootstrap[(bootstrap["split"] == split) & (bootstrap["seed"] == seed)]
    best = answer.best_cases(metrics)["log_loss"]["case"]
    published = scores.published_cases(table4)
    panels, legend = scores.figure3(scores.drawn_cases(metrics), published)
    runs = metrics[["split", "seed"]].drop_duplicates()
    return {
        "corpus_name": metrics["corpus"].iloc[0],
        "split": split,
        "seed": seed,
        "n_runs": len(runs),
        "n_splits": runs["split"].nunique(),
        "hash": provenance["hash"],
        "commit": provenance["commit"],
        "leaks": leaks(configuration),
        "published_applies": published_applies(metrics),
        "answer": answer.answer(metrics, baselines, bootstrap, comparisons),
        "corpus": _with(_parquet(files, "audit"), corpus.corpus_section),
        "protocol": protocol.protocol_table(protocol.protocol_items(configuration)),
        "table4": scores.table4(table4),
        "has_aliases": table4["alias_of"].notna().any(),
        "baselines": _with(baselines, scores.baselines_table),
        "small_tables": [
            scores.plain_table(frame, caption)
            for name, caption in SMALL_TABLES.items()
            if (frame := read_csv(files, name)) is not None
        ],
        "figure3": {"panels": panels, "legend": legend, "published": published is not None},
        "best": _best(files, best, split, seed),
        "learning": learning.learning_curves(
            of_run(files.get("histories", []), split, seed),
            of_run(files.get("summaries", []), split, seed),
        ),
        "groups": _groups(files, split, configuration["seeds"][0]),
        "statistics": _with(comparisons, statistics.statistics_section),
        "bootstrap": _with(bootstrap, statistics.bootstrap_table),
        "leakage": _with(read_csv(files, "leakage"), checks.leakage_section),
        "clusterings": _with(read_csv(files, "clusterings"), checks.clusterings_section),
        "planted": _with(read_csv(files, "planted"), checks.planted_section),
        "run_time": running.run_time_section([Path(path) for path in files.get("benchmarks", [])]),
        "provenance": running.provenance_section(provenance),
    }


def render(variables):
    """Return the page as text.

    Parameters
    ----------
    variables : dict
        From :func:`page`.

    Returns
    -------
    str
        HTML. Its content policy lets no request leave, and runs no script but its own.
    """
    environment = Environment(
        loader=PackageLoader(PACKAGE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style, script = (
        (package_files(PACKAGE) / name).read_text(encoding="utf-8")
        for name in ("page.css", "page.js")
    )
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template("page.html").render(
        **variables,
        style=Markup(style),
        script=Markup(script),
        script_digest=digest,
        systems={system: colour for system, (_, colour, *_) in SYSTEMS.items()},
    )


def _with(value, function):
    return None if value is None else function(value)


def _parquet(files, name):
    return pd.read_parquet(files[name]) if name in files else None


def _best(files, case, split, seed):
    paths = of_run(files.get("predictions", []), split, seed)
    predictions = best_case.read_predictions(paths, case)
    if predictions is None:
        return None
    genres = read_csv(files, "genres")
    counts = best_case.confusion(predictions)
    return {
        "case": case,
        "n_tracks": len(predictions),
        "confusions": best_case.confusions(counts),
        "matrix": best_case.confusion_table(counts, case),
        "genres": best_case.genre_table(predictions, case, genres),
        "intervals": genres is not None and (genres["case"] == case).any(),
    }


def _groups(files, split, seed):
    topics = of_run(files.get("topics", []), split)
    if not topics or "tracks" not in files:
        return None
    return groups.group_pages(
        topics,
        of_run(files.get("top_words", []), split),
        read_tracks(files["tracks"]),
        read_csv(files, "agreement"),
        seed,
    )
