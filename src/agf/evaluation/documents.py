"""Tables and figure as files, and a run's summary as text."""

import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from agf.evaluation.baselines import average_baselines
from agf.evaluation.figures import figure3
from agf.evaluation.html_page import html_page
from agf.evaluation.latex import latex_table
from agf.evaluation.metrics_file import (
    SCORES,
    average_cases,
    count_runs,
    paper_case_names,
    read_metrics,
    repeated_over,
    require_complete,
    score_deviations,
)
from agf.evaluation.published import contradictions
from agf.evaluation.tables import (
    BEST,
    deviation_of,
    heading,
    score_columns,
    table1,
    table2,
    table3,
    table4,
    table5,
)
from agf.files import replacing, write_text

BASELINE_NOTE = (
    "majority: all probability on the most frequent genre; a probability of zero counts as 1e-8 in "
    "the log loss. prior: the genres' shares in training. mfcc_mean, mfcc_mean_std: logistic "
    "regression on a track's mean MFCC, or mean and standard deviation. mfcc_svm: support vector "
    "machine with RBF kernel on seven statistics of 20 MFCC, as in the FMA dataset's own "
    "baselines; its log loss is of calibrated probabilities, the other scores are of its decision."
)

KINDS = ("csv", "md", "tex", "html")
"""Forms in which every table is written."""

BEST_NOTE = "Bold: best value of a column (lowest log loss in nats, highest macro F1)."

ALIAS_NOTE = "† An MTN of one task is its STN; the value is repeated, nothing is trained twice."


class Printed(NamedTuple):
    """A table as it is printed.

    Attributes
    ----------
    cells : pandas.DataFrame of str
        The cells by heading.
    bold : pandas.DataFrame of bool
        Whether a cell is the best of its column.
    numeric : list of bool
        Whether a column is aligned to the right.
    """

    cells: pd.DataFrame
    bold: pd.DataFrame
    numeric: list


def write_tables(
    metrics_path,
    out_dir,
    sizes=None,
    layers=None,
    baselines=None,
    published=None,
    notes=(),
    provenance=None,
    warnings=(),
):
    """Write Tables 1 to 5 as CSV, Markdown and LaTeX, and Figure 3 as PNG and SVG.

    Parameters
    ----------
    metrics_path : str or pathlib.Path
        A complete metrics file, see :func:`read_metrics`.
    out_dir : str or pathlib.Path
        Folder of ``table1.csv``, ``table1.md``, ``table1.tex`` ... ``table5.tex``,
        ``figure3.png``, ``figure3.svg`` and, with `baselines`, ``baselines.tex`` and ``.html``.
    sizes : dict, optional
        See :func:`table1`; without it Table 1 is not written.
    layers : list of dict, optional
        See :func:`table2`; without it Table 2 is not written.
    baselines : pandas.DataFrame, optional
        From :func:`agf.evaluation.baselines.read_baselines`; shown under Tables 3 to 5.
    published : dict, optional
        See :func:`read_published`; shown where corpus and split are the paper's.
    notes : sequence of str
        Sentences put under Tables 3 to 5 and Figure 3.
    provenance : str, optional
        Hash of the run's provenance; shown under every table, in LaTeX as a comment.
    warnings : sequence of str
        Sentences put at the top of every table and of Figure 3, for example that the transfer was
        fitted on all rows. The CSV files are without them.

    Returns
    -------
    list of pathlib.Path
        The files written.

    Raises
    ------
    UserError
        When the metrics file is not valid or not complete; nothing is written then.
    """
    metrics = read_metrics(metrics_path)
    require_complete(metrics, metrics_path)
    out_dir = Path(out_dir)
    common = [*_about(metrics), *notes]
    documents = {}
    if sizes is not None:
        documents["table1"] = (table1(sizes), "Learning tasks", [])
    if layers is not None:
        documents["table2"] = (
            table2(layers),
            "Network architecture of an STN",
            [
                "Output: mel bands x frames x channels.",
                "The publication prints 128x43x1 after the first convolution; it has 16 channels.",
            ],
        )
    scored4 = table4(metrics, published)
    alias_note = [ALIAS_NOTE] if (scored4["alias_of"] != "").any() else []
    documents["table3"] = (
        table3(metrics, published),
        "Mean scores with and without the genre task",
        [*common, "STN rows include single tasks, MTN rows do not, as in the publication."],
    )
    documents["table4"] = (
        scored4,
        "Scores of all task combinations",
        [*common, *_deviation_note(metrics, "±"), *alias_note],
    )
    documents["table5"] = (
        table5(metrics, published),
        "Best scores per number of tasks N",
        [*common, *alias_note, *contradictions(published, metrics)],
    )
    foot, foot_notes = None, [BASELINE_NOTE]
    if baselines is not None:
        foot = average_baselines(baselines)
        n_splits = baselines["split"].nunique()
        if n_splits > 1:
            foot_notes.insert(0, f"±: standard deviation over {n_splits} splits.")
    written = []
    for name, (table, title, sentences) in documents.items():
        scored = bool(score_columns(table))
        if scored:
            sentences = [BEST_NOTE, *sentences]
        written += write_table(
            out_dir / name,
            table,
            title,
            sentences,
            warnings,
            provenance,
            number=name[-1],
            foot=foot if scored else None,
            foot_notes=foot_notes,
        )
    if foot is not None:
        latex, page = out_dir / "baselines.tex", out_dir / "baselines.html"
        sentences = [BEST_NOTE, f"{_data(metrics)}.", *foot_notes]
        _write_latex(latex, _printed(foot), "Baselines", sentences, warnings, provenance)
        write_text(html_page(*_printed(foot), "Baselines", sentences, warnings), page)
        written += [latex, page]
    cases = average_cases(metrics)
    png, svg = out_dir / "figure3.png", out_dir / "figure3.svg"
    figure3(
        # The aliases would draw the STN's points a second time.
        cases[cases["alias_of"] == ""],
        "Figure 3. Genre classification by number of tasks",
        "\n".join([*common, *_deviation_note(metrics, "Bars")]),
        png,
        svg,
        warnings=warnings,
        deviations=_mean_deviations(metrics),
    )
    return [*written, png, svg]


def write_table(
    stem,
    table,
    title,
    sentences,
    warnings=(),
    provenance=None,
    number=None,
    foot=None,
    foot_notes=(),
    shown=None,
):
    """Write one table as CSV, Markdown, LaTeX and HTML.

    Parameters
    ----------
    stem : pathlib.Path
        The files' path without ``.csv``, ``.md``, ``.tex`` and ``.html``.
    table : pandas.DataFrame
        Scores have columns that end in ``log_loss`` or ``macro_f1``; the best of each is bold.
        Their standard deviations, in columns that end in ``_sd``, are printed behind them.
    title : str
        Title and caption.
    sentences : sequence of str
        Put under the table.
    warnings : sequence of str
        Put above it.
    provenance : str, optional
        Hash of the run's provenance.
    number : str, optional
        Number of the paper's table.
    foot : pandas.DataFrame, optional
        Baselines, as :func:`agf.evaluation.baselines.average_baselines` returns them.
    foot_notes : sequence of str
        Put under the baselines.
    shown : pandas.DataFrame, optional
        What is printed of `table` where that has more columns than a page.

    Returns
    -------
    list of pathlib.Path
        The files written.
    """
    paths = [stem.with_name(f"{stem.name}.{kind}") for kind in KINDS]
    with replacing(paths[0]) as temporary:
        table.to_csv(temporary, index=False)
    printed = _printed(table if shown is None else shown)
    first_line = f"# Table {number}. {title}" if number else f"# {title}"
    text = _markdown(first_line, printed, sentences, warnings)
    if foot is not None:
        text += "\n" + _markdown("## Baselines", _printed(foot), foot_notes)
        sentences = [*sentences, _baseline_sentence(foot)]
    if provenance is not None:
        text += f"\nProvenance: {provenance}\n"
    write_text(text, paths[1])
    _write_latex(paths[2], printed, title, sentences, warnings, provenance)
    write_text(html_page(*printed, first_line[2:], sentences, warnings), paths[3])
    return paths


def summary_text(metrics, out_dir, baselines):
    """Return the lines printed at the end of a run.

    Parameters
    ----------
    metrics : pandas.DataFrame
        As :func:`read_metrics` returns it.
    out_dir : str or pathlib.Path
        Where the tables lie.
    baselines : pandas.DataFrame or None
        From :func:`agf.evaluation.baselines.read_baselines`.

    Returns
    -------
    str
        The five distinct cases of Table 4 with the lowest log loss, the baselines, and where
        everything lies.
    """
    cases = average_cases(metrics)
    in_table4 = cases["system"].isin(["stn", "mtn"])
    distinct = cases["alias_of"] == ""
    best = cases[in_table4 & distinct].nsmallest(5, "log_loss")
    lines = [*_about(metrics), "", "Best of Table 4 by log loss    log loss  macro F1"]
    lines += [
        f"  {row.case:<27} {row.log_loss:9.4f} {row.macro_f1:9.4f}" for row in best.itertuples()
    ]
    if baselines is not None:
        lines.append("Baselines")
        lines += [
            f"  {row.baseline:<27} {row.log_loss:9.4f} {row.macro_f1:9.4f}"
            for row in average_baselines(baselines).itertuples()
        ]
    lines += ["", f"In {out_dir}:"]
    for what, names in (
        ("the paper's tables (.csv and .tex beside them)", [f"table{n}.md" for n in range(1, 6)]),
        ("the paper's Figure 3", ["figure3.png", "figure3.svg"]),
        ("all values", ["metrics.csv"]),
        ("the baselines", ["baselines.csv"]),
        ("differences between systems, with intervals", ["comparisons.md"]),
    ):
        there = [name for name in names if (Path(out_dir) / name).exists()]
        if there:
            lines.append(f"  {', '.join(there)}: {what}")
    report = Path(out_dir).parent / "report.html"
    if report.exists():
        lines += ["", f"{report}: everything on one page, to begin with"]
    return "\n".join(lines)


def _data(metrics):
    """Name the corpus and its splits."""
    splits = ", ".join(_split_names(metrics["split"].unique()))
    return f"Corpus {metrics['corpus'].iloc[0]}, split {splits}"


def _about(metrics):
    """Say in sentences which runs the values come from, and of which cases where not of all."""
    about = _data(metrics)
    seeds = metrics["seed"].dropna().unique()
    if len(seeds):
        about += f", seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"
    n_tracks = metrics["n_tracks"].dropna()
    if len(n_tracks):
        low, high = n_tracks.min(), n_tracks.max()
        about += (
            f", {low} evaluation tracks" if low == high else f", {low} to {high} evaluation tracks"
        )
    n_runs = count_runs(metrics)
    sentences = [f"{about}."]
    if n_runs > 1:
        sentences = [f"{about}. Each case is first averaged over these {n_runs} runs."]
    n_there = len(set(paper_case_names()) & set(metrics["case"]))
    if n_there < len(paper_case_names()):
        sentences.append(f"This is a subset of the paper's 62 cases: {n_there} of them.")
    return sentences


def _split_names(splits):
    """Return the kinds of split, several draws of a kind (``random``, ``random-2``) as one."""
    draws = Counter(re.sub(r"-\d+$", "", split) for split in splits)
    names = [split for split in splits if draws[re.sub(r"-\d+$", "", split)] == 1]
    return names + [f"{kind} ({n} draws)" for kind, n in draws.items() if n > 1]


def _deviation_note(metrics, mark):
    if count_runs(metrics) == 1:
        return []
    unit = repeated_over(metrics)
    note = f"{mark}: standard deviation over {metrics[unit].nunique(dropna=False)} {unit}s"
    several = unit == "split" and metrics["seed"].nunique(dropna=False) > 1
    return [f"{note}, seeds averaged first." if several else f"{note}."]


def _mean_deviations(metrics):
    if count_runs(metrics) == 1:
        return None
    return score_deviations(metrics, ["system", "n_tasks"]).reset_index()


def _baseline_sentence(foot):
    scores = [
        f"{row.baseline} {_number(row.log_loss)} and {_number(row.macro_f1)}"
        for row in foot.dropna(subset=list(SCORES)).itertuples()
    ]
    return f"Baselines, log loss and macro F1: {'; '.join(scores)}."


def _printed(table):
    """Return a table of scores or sizes as :class:`Printed`."""
    deviations = [column for column in table if column.endswith("_sd")]
    shown = table.drop(columns=["alias_of", *deviations], errors="ignore")
    numeric = [pd.api.types.is_numeric_dtype(shown[column]) for column in shown]
    cells = {column: _cells(shown[column]) for column in shown}
    bold = pd.DataFrame(False, index=shown.index, columns=list(shown))
    for column in score_columns(shown):
        best = _number(getattr(shown[column], BEST[_score(column)])())
        bold[column] = [cell == best and cell != "" for cell in cells[column]]
        if column.startswith("mtn_"):
            cells[column] = _marked(cells[column], (shown["n_tasks"] == 1) & shown[column].notna())
    for column in shown:
        if deviation_of(column) in deviations:
            cells[column] = [
                f"{cell} ± {_number(deviation)}" if pd.notna(deviation) else cell
                for cell, deviation in zip(cells[column], table[deviation_of(column)], strict=True)
            ]
    if "alias_of" in table:
        cells["case"] = _marked(cells["case"], table["alias_of"] != "")
    headings = [heading(column) for column in shown]
    bold.columns = headings
    return Printed(
        pd.DataFrame(dict(zip(headings, cells.values(), strict=True)), dtype=str), bold, numeric
    )


def _marked(cells, aliases):
    return [f"{cell} †" if alias else cell for cell, alias in zip(cells, aliases, strict=True)]


def _markdown(title, printed, sentences, warnings=()):
    """Return a table as Markdown: title, warnings, pipe table, then one line per sentence."""
    # A mark behind a value is not part of it.
    bold = printed.cells.replace(r"^(.*?)( †)?$", r"**\1**\2", regex=True)
    cells = printed.cells.where(~printed.bold, bold)
    lines = [title, ""]
    for warning in warnings:
        lines += [f"> **Warning.** {warning}", ""]
    lines += [
        "| " + " | ".join(cells) + " |",
        "| " + " | ".join("---:" if numeric else ":---" for numeric in printed.numeric) + " |",
        *("| " + " | ".join(row) + " |" for row in cells.itertuples(index=False, name=None)),
    ]
    for sentence in sentences:
        lines += ["", sentence]
    return "\n".join(lines) + "\n"


def _write_latex(path, printed, title, sentences, warnings, provenance):
    text = latex_table(
        printed.cells, f"{title}.", f"tab:{path.stem}", sentences, printed.bold, warnings
    )
    if provenance is not None:
        text = f"% Provenance: {provenance}\n{text}"
    write_text(text, path)


def _score(column):
    return next(score for score in SCORES if column.endswith(score))


def _number(value):
    return "" if pd.isna(value) else f"{value:.4f}"


def _cells(values):
    sign = "+" if str(values.name).startswith("difference_") else ""
    if pd.api.types.is_float_dtype(values):
        return ["" if pd.isna(value) else f"{value:{sign}.4f}" for value in values]
    return ["" if pd.isna(value) else str(value) for value in values]
