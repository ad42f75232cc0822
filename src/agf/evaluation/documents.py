"""Tables and figure as files, and a run's summary as text."""

from pathlib import Path

import pandas as pd

from agf.evaluation.figures import figure3
from agf.evaluation.metrics_file import SCORES, average_cases, read_metrics, require_complete
from agf.evaluation.published import contradictions
from agf.evaluation.tables import (
    BEST,
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
    "regression on a track's mean MFCC, or mean and standard deviation."
)

ALIAS_NOTE = "† An MTN of one task is its STN; the value is repeated, nothing is trained twice."


def write_tables(
    metrics_path,
    out_dir,
    sizes=None,
    layers=None,
    baselines=None,
    published=None,
    notes=(),
    provenance=None,
):
    """Write Tables 1 to 5 as CSV and Markdown, and Figure 3 as PNG and SVG.

    Parameters
    ----------
    metrics_path : str or pathlib.Path
        A complete metrics file, see :func:`read_metrics`.
    out_dir : str or pathlib.Path
        Folder of ``table1.csv``, ``table1.md`` ... ``table5.md``, ``figure3.png``,
        ``figure3.svg`` and, with `baselines`, ``baselines.csv``.
    sizes : dict, optional
        See :func:`table1`; without it Table 1 is not written.
    layers : list of dict, optional
        See :func:`table2`; without it Table 2 is not written.
    baselines : pandas.DataFrame, optional
        From :func:`agf.evaluation.baselines.baseline_metrics`; shown under Table 4.
    published : dict, optional
        See :func:`read_published`; shown where corpus and split are the paper's.
    notes : sequence of str
        Sentences put under Tables 3 to 5 and Figure 3, for example that the transfer was fitted
        on all rows.
    provenance : str, optional
        Hash of the run's provenance; shown under every table.

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
    about = _about(metrics)
    common = [about, *notes]
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
    documents["table3"] = (
        table3(metrics, published),
        "Mean scores with and without the genre task",
        [*common, "STN rows include single tasks, MTN rows do not, as in the publication."],
    )
    documents["table4"] = (
        table4(metrics, published),
        "Scores of all task combinations",
        [*common, ALIAS_NOTE],
    )
    documents["table5"] = (
        table5(metrics, published),
        "Best scores per number of tasks N",
        [*common, ALIAS_NOTE, *contradictions(published, metrics)],
    )
    written = []
    for name, (table, title, sentences) in documents.items():
        with replacing(out_dir / f"{name}.csv") as temporary:
            table.to_csv(temporary, index=False)
        text = _markdown(f"Table {name[-1]}. {title}", table, sentences)
        if name == "table4" and baselines is not None:
            text += "\n" + _markdown("Baselines", baselines, [BASELINE_NOTE], level=2)
        if provenance is not None:
            text += f"\nProvenance: {provenance}\n"
        write_text(text, out_dir / f"{name}.md")
        written += [out_dir / f"{name}.csv", out_dir / f"{name}.md"]
    if baselines is not None:
        with replacing(out_dir / "baselines.csv") as temporary:
            baselines.to_csv(temporary, index=False)
        written.append(out_dir / "baselines.csv")
    cases = average_cases(metrics)
    # The aliases would draw the STN's points a second time.
    drawn = cases[(cases["system"] != "mtn") | (cases["n_tasks"] > 1)]
    png, svg = out_dir / "figure3.png", out_dir / "figure3.svg"
    figure3(drawn, "Figure 3. Genre classification by number of tasks", "\n".join(common), png, svg)
    return [*written, png, svg]


def summary_text(metrics, out_dir, baselines):
    """Return the lines printed at the end of a run.

    Parameters
    ----------
    metrics : pandas.DataFrame
        As :func:`read_metrics` returns it.
    out_dir : str or pathlib.Path
        Where the tables lie.
    baselines : pandas.DataFrame or None
        From :func:`agf.evaluation.baselines.baseline_metrics`.

    Returns
    -------
    str
        The five distinct cases of Table 4 with the lowest log loss, the baselines, and where
        everything lies.
    """
    cases = average_cases(metrics)
    in_table4 = cases["system"].isin(["stn", "mtn"])
    alias = (cases["system"] == "mtn") & (cases["n_tasks"] == 1)
    best = cases[in_table4 & ~alias].nsmallest(5, "log_loss")
    lines = [_about(metrics), "", "Best of Table 4 by log loss    log loss  macro F1"]
    lines += [
        f"  {row.case:<27} {row.log_loss:9.4f} {row.macro_f1:9.4f}" for row in best.itertuples()
    ]
    if baselines is not None:
        lines.append("Baselines")
        lines += [
            f"  {row.baseline:<27} {row.log_loss:9.4f} {row.macro_f1:9.4f}"
            for row in baselines.itertuples()
        ]
    lines += ["", f"In {out_dir}:"]
    for what, names in (
        ("the paper's tables (.csv beside them)", [f"table{n}.md" for n in range(1, 6)]),
        ("the paper's Figure 3", ["figure3.png", "figure3.svg"]),
        ("all values", ["metrics.csv"]),
        ("the baselines", ["baselines.csv"]),
    ):
        there = [name for name in names if (Path(out_dir) / name).exists()]
        if there:
            lines.append(f"  {', '.join(there)}: {what}")
    return "\n".join(lines)


def _about(metrics):
    """Say which runs the values come from, and that they are means where there are several."""
    runs = metrics[["split", "seed"]].drop_duplicates()
    splits = ", ".join(dict.fromkeys(runs["split"]))
    about = f"Corpus {metrics['corpus'].iloc[0]}, split {splits}"
    seeds = [str(seed) for seed in runs["seed"].dropna().unique()]
    if seeds:
        about += f", seed {', '.join(seeds)}"
    n_tracks = metrics["n_tracks"].dropna().unique()
    if len(n_tracks) == 1:
        about += f", {int(n_tracks[0])} evaluation tracks"
    if len(runs) > 1:
        return f"{about}. Each case is first averaged over these {len(runs)} runs."
    return f"{about}."


def _markdown(title, table, sentences, level=1):
    """Return a table as Markdown: title, pipe table, then one line per sentence."""
    shown = table.drop(columns=["alias_of"], errors="ignore")
    numeric = [c for c in shown if pd.api.types.is_numeric_dtype(shown[c])]
    cells = {column: _cells(shown[column]) for column in shown}
    for column in score_columns(shown):
        best = f"{getattr(shown[column], BEST[_score(column)])():.4f}"
        cells[column] = [f"**{cell}**" if cell == best else cell for cell in cells[column]]
        if column.startswith("mtn_"):
            single = shown["n_tasks"] == 1
            cells[column] = [
                f"{cell} †" if alias else cell
                for cell, alias in zip(cells[column], single, strict=True)
            ]
    if "alias_of" in table:
        cells["case"] = [
            f"{cell} †" if alias else cell
            for cell, alias in zip(cells["case"], table["alias_of"], strict=True)
        ]
    lines = [
        "#" * level + f" {title}",
        "",
        "| " + " | ".join(heading(column) for column in shown) + " |",
        "| " + " | ".join("---:" if column in numeric else ":---" for column in shown) + " |",
        *("| " + " | ".join(row) + " |" for row in zip(*cells.values(), strict=True)),
    ]
    if level == 1 and score_columns(shown):
        sentences = [
            "Bold: best value of a column (lowest log loss in nats, highest macro F1).",
            *sentences,
        ]
    for sentence in sentences:
        lines += ["", sentence]
    return "\n".join(lines) + "\n"


def _score(column):
    return next(score for score in SCORES if column.endswith(score))


def _cells(values):
    sign = "+" if str(values.name).startswith("difference_") else ""
    if pd.api.types.is_float_dtype(values):
        return ["" if pd.isna(value) else f"{value:{sign}.4f}" for value in values]
    return ["" if pd.isna(value) else str(value) for value in values]
