"""Checks of the method: leakage, other clusterings of artists, and planted label noise."""

import numpy as np
from markupsafe import Markup

from agf.evaluation.figures import SYSTEMS
from agf.evaluation.metrics_file import SCORES
from agf.evaluation.report.cells import Cell, Column, Table, fixed, interval, number, percent, text
from agf.evaluation.report.row_plots import Mark, row_plots
from agf.evaluation.report.scores import with_deviation
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
    """Draw the scores of each system, one row for each value of the column `label`."""
    gains = [_gains(frame, label, caption, score) for score in SCORES]
    return {
        "drawn": [_means(frame, label, caption, score) for score in SCORES],
        "gains": [table for table in gains if table],
        "all": _all_rows(frame, label, f"{caption}: all rows"),
    }


def _all_rows(frame, label, caption):
    """Return every row with its deviations and intervals."""
    columns = [Column(label), Column("system"), Column("N", True), Column("cases", True)]
    for score in SCORES:
        columns += [Column(f"{heading(score)} ± sd", True), Column("minus stn-g", True)]
        columns.append(Column("95 % interval", True))
    rows = []
    for row in frame.to_dict("records"):
        cells = [text(row[label]), text(SYSTEMS[row["system"]][0])]
        cells += [number(row[name], 0) for name in ("n_tasks", "n_cases")]
        for score in SCORES:
            name = f"difference_from_g_{score}"
            cells.append(with_deviation(number(row[score]), row.get(f"{score}_sd")))
            cells.append(number(row[name], signed=True))
            cells.append(interval(row[f"{name}_low"], row[f"{name}_high"], signed=True))
        rows.append(cells)
    return Table(caption, columns, rows, True, "dense")


def _means(frame, label, caption, score):
    """Draw the mean over cases of each system."""
    systems = [system for system in SYSTEMS if (frame["system"] == system).any()]
    rows, points = [], []
    for name, group in frame.groupby(label, sort=False):
        means = {system: _mean(group[group["system"] == system], score) for system in systems}
        rows.append(([text(name)], means))
        points.append({s: (mean, np.nan, np.nan) for s, mean in means.items()})
    title = f"{caption}: {heading(score)}, mean over cases"
    return _drawn(title, [Column(label)], systems, rows, points)


def _gains(frame, label, caption, score):
    """Draw what networks of several tasks gain over the genre task alone; None without any."""
    name = f"difference_from_g_{score}"
    frame = frame[frame[name].notna()]
    systems = [system for system in SYSTEMS if (frame["system"] == system).any()]
    rows, points = [], []
    for value, group in frame.groupby(label, sort=False):
        for place, (n_tasks, found) in enumerate(group.groupby("n_tasks")):
            found = found.set_index("system")
            differences = {system: found[name].get(system) for system in systems}
            rows.append(([text("" if place else value), number(n_tasks, 0)], differences))
            columns = [name, f"{name}_low", f"{name}_high"]
            points.append({row[0]: tuple(row[1:]) for row in found[columns].itertuples()})
    columns = [Column(label), Column("N", True)]
    title = f"{caption}: {heading(score)} of N tasks minus that of stn-g"
    return _drawn(title, columns, systems, rows, points, reference=0.0) if rows else None


def _drawn(title, columns, systems, rows, points, reference=None):
    """Return a table with a drawn column and the value of each system.

    Parameters
    ----------
    title : str
    columns : list of Column
        Those before the drawing.
    systems : list of str
    rows : list of tuple
        Cells before the drawing, and value by system.
    points : list of dict
        For each row, by system, value and ends of its interval, NaN where there is none.
    reference : float, optional
        Where the scale has a line, as signed values have.
    """
    signed = reference is not None
    marks = [
        [
            Mark(
                value,
                *(None if np.isnan(end) else end for end in ends),
                f"{SYSTEMS[system][0]}: {fixed(value, signed=signed)}",
                SYSTEMS[system][2],
                system,
                4 * (systems.index(system) - (len(systems) - 1) / 2),
            )
            for system, (value, *ends) in row.items()
            if not np.isnan(value)
        ]
        for row in points
    ]
    axis, drawings = row_plots(marks, reference)
    columns = [*columns, Column("", axis=axis), *(Column(_named(s), True) for s in systems)]
    cells = [
        [*first, Cell(picture), *(number(values[system], signed=signed) for system in systems)]
        for (first, values), picture in zip(rows, drawings, strict=True)
    ]
    return Table(title, columns, cells, False, "plots")


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
