"""Checks of the method: leakage, other clusterings of artists, and planted label noise."""

import numpy as np
from markupsafe import Markup

from agf.evaluation.figures import SYSTEMS
from agf.evaluation.metrics_file import SCORES
from agf.evaluation.report.cells import Cell, Column, Table, number, percent, text
from agf.evaluation.report.row_plots import Mark, row_plots
from agf.evaluation.report.scores import plain_table
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
from agf.evaluation.tables import heading

PANEL = (560, 300)
"""Size of the drawing of the planted sweep."""


def leakage_section(leakage):
    """Return ``tables/leakage.csv`` as one drawn table a score, and as a table of all rows."""
    return _by_system(leakage, "protocol", "Leakage")


def clusterings_section(clusterings):
    """Return ``tables/clusterings.csv`` as one drawn table a score, and as a table of all rows."""
    return _by_system(clusterings, "clustering", "Clusterings")


def _by_system(frame, label, caption):
    """Draw the mean over cases of each system, one row for each value of the column `label`."""
    drawn = []
    systems = [system for system in SYSTEMS if (frame["system"] == system).any()]
    for score in SCORES:
        marks, names, values = [], [], []
        for name, rows in frame.groupby(label, sort=False):
            means = {system: _mean(rows[rows["system"] == system], score) for system in systems}
            names.append(name)
            values.append(means)
            marks.append(
                [
                    Mark(
                        mean,
                        None,
                        None,
                        f"{name}, {SYSTEMS[s][0]}: {mean:.4f}",
                        SYSTEMS[s][2],
                        s,
                        4 * (place - (len(systems) - 1) / 2),
                    )
                    for place, (s, mean) in enumerate(means.items())
                    if not np.isnan(mean)
                ]
            )
        axis, drawings = row_plots(marks)
        rows = [
            [text(name), Cell(picture), *(number(means[system]) for system in systems)]
            for name, picture, means in zip(names, drawings, values, strict=True)
        ]
        columns = [Column(label), Column("", axis=axis)]
        columns += [Column(_named(system), True) for system in systems]
        title = f"{caption}: {heading(score)}, mean over cases"
        drawn.append(Table(title, columns, rows, False, "plots"))
    everything = plain_table(frame, f"{caption}: all rows", sortable=True)
    return {"drawn": drawn, "all": everything._replace(class_="dense")}


def _named(system):
    """Return a system's label after its mark."""
    label, _, shape, *_ = SYSTEMS[system]
    mark = element("g", Markup(SHAPES[shape]), transform="translate(7 7)", class_=f"point {system}")
    picture = element("svg", mark, width=14, height=14, aria_hidden="true", class_="inline")
    return Markup("{} {}").format(picture, label)


def _mean(rows, score):
    """Return the mean over cases of rows that are means over some of them."""
    rows = rows.dropna(subset=[score])
    return float(np.average(rows[score], weights=rows["n_cases"])) if len(rows) else float("nan")


def planted_section(planted):
    """Draw log loss against planted label noise.

    Parameters
    ----------
    planted : pandas.DataFrame
        ``tables/planted.csv``: `label_noise`, `repeat`, `case_group`, `log_loss`.

    Returns
    -------
    dict
        ``drawing`` and ``legend``.
    """
    width, height = PANEL
    left, right, top, bottom = 52, width - 10, 26, height - 36
    low, high, ticks = nice_range(list(planted["log_loss"].dropna()))
    shares, across = planted["label_noise"], sorted(planted["label_noise"].unique())
    x = linear(shares.min(), shares.max(), left + 14, right - 14)
    y = linear(low, high, bottom, top)
    parts = [
        grid(ticks, y, left, right),
        *(
            element(
                "text", percent(share), x=x(share), y=bottom + 16, text_anchor="middle",
                class_="tick",
            )
            for share in across
        ),
        element("text", "log loss (nats per track)", x="0", y="12", class_="label"),
        element(
            "text", "share of albums with a wrong genre", x=(left + right) / 2, y=height - 3,
            text_anchor="middle", class_="label",
        ),
    ]  # fmt: skip
    entries, described = [], []
    styles = zip(SHAPES, [*DASHES.values()] * 2, strict=False)
    groups = planted.groupby("case_group", sort=False)
    for place, ((group, rows), (shape, dash)) in enumerate(zip(groups, styles, strict=False)):
        class_ = f"genre-{place}"
        means = rows.groupby("label_noise")["log_loss"].mean()
        parts.append(polyline([(x(s), y(v)) for s, v in means.items()], class_, dash))
        for row in rows.dropna(subset=["log_loss"]).itertuples():
            noise = f"noise {percent(row.label_noise)}, repeat {row.repeat}"
            tip = f"{group}, {noise}: {row.log_loss:.4f}"
            parts.append(marker(shape, x(row.label_noise), y(row.log_loss), tip, class_))
        described.append(f"{group} from {means.iloc[0]:.3f} to {means.iloc[-1]:.3f}")
        symbol = marker(shape, 17, 8, group, class_)
        line = element("path", d="M0 8H34", class_=f"line {class_}", stroke_dasharray=dash)
        picture = element("svg", line, symbol, width=34, height=16, aria_hidden="true")
        entries.append(element("span", picture, " ", group, class_="key"))
    title = "Log loss against planted label noise"
    picture = drawing("planted", title, "; ".join(described) + ".", PANEL, *parts, class_="points")
    return {"drawing": picture, "legend": element("p", *entries, class_="legend")}
