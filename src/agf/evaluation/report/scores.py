"""Scores of all cases: the paper's tables, and its Figure 3."""

import pandas as pd
from markupsafe import Markup

from agf.evaluation.figures import PANELS, SYSTEMS
from agf.evaluation.metrics_file import SCORES, average_cases
from agf.evaluation.report.cells import Cell, Column, Table, count, number, text
from agf.evaluation.report.svg import (
    DASHES,
    SHAPES,
    drawing,
    element,
    grid,
    linear,
    marker,
    nice_range,
    polyline,
)
from agf.evaluation.tables import BEST, SYSTEM_LABELS, heading
from agf.tasks import ALL_TASKS, TASKS, case_by_name

BASELINES = {
    "majority": "all probability on the most frequent genre",
    "prior": "the genres' shares in training, for every track",
    "mfcc_mean": "logistic regression on a track's mean MFCC",
    "mfcc_mean_std": "logistic regression on mean and standard deviation of a track's MFCC",
    "mfcc_svm": "support vector machine on seven statistics of 20 MFCC, as for FMA's own baseline",
}
"""What each baseline predicts; one that is not here goes by its name alone."""

PANEL = (360, 300)
"""Size of a panel of Figure 3."""

PAPER_OFFSET = 0.08
"""How far to the right of ours the published values stand, in tasks."""


def drawn_cases(metrics):
    """Return the mean scores of the cases that differ: an MTN of one task repeats its STN."""
    cases = average_cases(metrics)
    return cases[(cases["system"] != "mtn") | (cases["n_tasks"] > 1)].reset_index(drop=True)


def _tasks_cell(tasks, places):
    """Return a combination of tasks as letters in fixed places."""
    letters = [
        element("span", letter, class_="on" if letter in tasks else "off") for letter in places
    ]
    return Cell(
        element("span", *letters, class_="tasks", role="img", aria_label=" ".join(tasks)), tasks
    )


def table4(frame):
    """Return Table 4 with ours, and the published values where the run has them beside it.

    Parameters
    ----------
    frame : pandas.DataFrame
        ``tables/table4.csv``.

    Returns
    -------
    Table
    """
    columns = [Column("case"), Column("tasks"), Column("N", True)]
    shown = []
    for score in SCORES:
        deviation = frame.get(f"{score}_sd")
        label = heading(score) + (" ± sd" if deviation is not None else "")
        columns.append(Column(label, True))
        shown.append((score, score, deviation))
        for kind in ("published", "difference"):
            name = f"{kind}_{score}"
            if name in frame:
                columns.append(Column(heading(name), True))
                shown.append((name, None, None))
    best = {score: getattr(frame[score], BEST[score])() for score in SCORES}
    there = TASKS.keys() | set("".join(frame["tasks"]))
    places = [task for task in ALL_TASKS if task in there]
    rows = []
    for position, row in frame.iterrows():
        alias = isinstance(row["alias_of"], str) and row["alias_of"]
        name = Markup("{} <abbr title='the same as {}'>†</abbr>").format(row["case"], alias)
        cells = [
            text(name if alias else row["case"], row["case"]),
            _tasks_cell(row["tasks"], places),
            number(row["n_tasks"], 0),
        ]
        for column, score, deviation in shown:
            value = row[column]
            cell = number(value, signed=column.startswith("difference_"))
            if deviation is not None:
                cell = with_deviation(cell, deviation[position])
            if score and value == best[score]:
                cell = cell._replace(class_="best")
            cells.append(cell)
        rows.append(cells)
    return Table("Table 4. Scores of all task combinations", columns, rows, True, "dense")


def baselines_table(frame):
    """Return the baselines with what each is; deviations over splits where there are several.

    Parameters
    ----------
    frame : pandas.DataFrame
        From :func:`agf.evaluation.baselines.average_baselines`.
    """
    scores = [score for score in (*SCORES, "accuracy") if score in frame]
    rows = [
        [
            text(row["baseline"]),
            text(BASELINES.get(row["baseline"], "")),
            *(with_deviation(number(row[score]), row.get(f"{score}_sd")) for score in scores),
        ]
        for _, row in frame.iterrows()
    ]
    columns = [Column("baseline"), Column("what it predicts")]
    return Table("Baselines", [*columns, *(Column(heading(s), True) for s in scores)], rows, True)


def with_deviation(cell, deviation):
    """Return the cell of a number with its standard deviation behind it, where there is one."""
    if cell.sort == "" or pd.isna(deviation):
        return cell
    return cell._replace(text=f"{cell.text} ± {deviation:.4f}")


def plain_table(frame, caption, sortable=False):
    """Return a table as its CSV has it."""
    columns, cells = [], []
    for name in frame:
        numeric = pd.api.types.is_numeric_dtype(frame[name])
        columns.append(Column(heading(name), numeric))
        whole = numeric and (frame[name].dropna() % 1 == 0).all()
        signed = name.startswith("difference_") and not name.endswith(("_low", "_high"))
        cells.append(
            [number(v, 0 if whole else 4, signed) if numeric else text(v) for v in frame[name]]
        )
    rows = [list(row) for row in zip(*cells, strict=True)]
    return Table(caption, columns, rows, sortable)


def published_cases(frame):
    """Return the published values of Table 4 like :func:`drawn_cases`, None where there are none.

    Parameters
    ----------
    frame : pandas.DataFrame
        ``tables/table4.csv``; it has ``published_`` columns only for the paper's own corpus and
        split.
    """
    columns = [score for score in SCORES if f"published_{score}" in frame]
    if not columns:
        return None
    cases = frame[["case", "n_tasks"]].assign(system=frame["case"].str.partition("-")[0])
    for score in SCORES:
        cases[score] = frame[f"published_{score}"] if score in columns else float("nan")
    return cases[[not case_by_name(name).alias_of for name in cases["case"]]]


def figure3(cases, published=None):
    """Draw log loss and macro F1 against the number of tasks.

    Parameters
    ----------
    cases : pandas.DataFrame
        From :func:`drawn_cases`.
    published : pandas.DataFrame, optional
        From :func:`published_cases`; drawn hollow beside ours.

    Returns
    -------
    panels : list of markupsafe.Markup
    legend : markupsafe.Markup
    """
    panels = [_panel(cases, published, *panel) for panel in PANELS]
    entries = [
        _legend_entry(SHAPES[shape], system, label, DASHES[line])
        for system, (label, _, shape, line, _) in SYSTEMS.items()
        if (cases["system"] == system).any()
    ]
    if published is not None:
        entries.append(_legend_entry(SHAPES["o"], "published", "hollow: published", None))
    return panels, element("p", *entries, class_="legend")


def _panel(cases, published, score, label, direction):
    width, height = PANEL
    left, right, top, bottom = 52, width - 8, 26, height - 34
    values = [v for v in cases[score] if pd.notna(v)]
    if published is not None:
        values += [v for v in published[score] if pd.notna(v)]
    low, high, ticks = nice_range(values)
    n_max = max(len(TASKS), cases["n_tasks"].max())
    x, y = linear(0.55, n_max + 0.45, left, right), linear(low, high, bottom, top)
    parts = [grid(ticks, y, left, right)]
    for n in range(1, n_max + 1):
        parts.append(element("text", n, x=x(n), y=bottom + 16, text_anchor="middle", class_="tick"))
    middle = (left + right) / 2
    parts += [
        element("text", label, x="0", y="12", class_="label"),
        element("text", direction, x=right, y="12", text_anchor="end", class_="tick"),
        element(
            "text", "number of tasks N", x=middle, y=height - 4, text_anchor="middle",
            class_="label",
        ),
    ]  # fmt: skip
    for system, (_, _, shape, dash, offset) in SYSTEMS.items():
        group = cases[(cases["system"] == system) & cases[score].notna()]
        if group.empty:
            continue
        means = group.groupby("n_tasks")[score].mean()
        line = [(x(n + offset), y(value)) for n, value in means.items()]
        parts.append(polyline(line, system, DASHES[dash]))
        # Points are reached in the order in which they lie.
        for row in group.sort_values(["n_tasks", score]).itertuples():
            value = getattr(row, score)
            tip = f"{row.case}: {value:.4f}"
            where = x(row.n_tasks + offset), y(value)
            parts.append(marker(shape, *where, tip, system, data_case=row.case))
        if published is not None:
            theirs = published[(published["system"] == system) & published[score].notna()]
            for row in theirs.sort_values(["n_tasks", score]).itertuples():
                value = getattr(row, score)
                where = x(row.n_tasks + offset + PAPER_OFFSET), y(value)
                tip = f"{row.case}, published: {value:.4f}"
                parts.append(marker(shape, *where, tip, f"{system} hollow", data_case=row.case))
    best = cases.loc[getattr(cases[score], f"idx{BEST[score]}")()]
    return drawing(
        f"figure3-{score}",
        f"{heading(score)} against the number of tasks",
        f"{count(cases[score].notna().sum(), 'case')}; best: {best['case']} with "
        f"{best[score]:.4f}. All values are in Table 4 and in metrics.csv.",
        PANEL,
        *parts,
        role="group",
        class_="points",
    )


def _legend_entry(shape, class_, label, dash):
    line = None
    if class_ != "published":
        line = element("path", d="M0 8H34", class_=f"line {class_}", stroke_dasharray=dash)
    symbol = element("g", Markup(shape), transform="translate(17 8)", class_=f"point {class_}")
    picture = element("svg", line, symbol, width=34, height=16, aria_hidden="true")
    return element("span", picture, " ", label, class_="key")


def case_system(case):
    """Return the label of a case's system."""
    return SYSTEM_LABELS["wstn_transfer" if case.startswith("wstn") else case.partition("-")[0]]
