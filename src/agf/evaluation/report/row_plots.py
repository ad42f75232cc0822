"""Points and intervals drawn in the cells of a table, one row each on a common scale.

Positions are percentages, so that the drawing is as wide as its column and its marks keep their
shape. The values stand as text in the same row: the drawings are hidden from screen readers.
"""

from typing import NamedTuple

from markupsafe import Markup

from agf.evaluation.report.svg import SHAPES, element, linear, nice_range, tick_text

HEIGHT = 24


class Mark(NamedTuple):
    """One point of a row.

    Attributes
    ----------
    value : float
    low, high : float or None
        Ends of its interval.
    tip : str
        Shown when it is pointed at.
    shape : str
        A key of :data:`agf.evaluation.report.svg.SHAPES`.
    class_ : str
        Gives the colour.
    shift : float
        Pixels below the middle of the row, so that marks of one value are all seen.
    """

    value: float
    low: float | None
    high: float | None
    tip: str
    shape: str = "o"
    class_: str = "accent"
    shift: float = 0.0


def row_plots(rows, reference=None, limits=None, most_ticks=5):
    """Draw rows of marks on one scale.

    Parameters
    ----------
    rows : list of list of Mark
    reference : float, optional
        Where a vertical line runs through all rows.
    limits : tuple of float, optional
        Ends of the scale; by default those of the marks and of `reference`.
    most_ticks : int
        Fewer where the column is narrow.

    Returns
    -------
    axis : markupsafe.Markup
        For the column's header.
    drawings : list of markupsafe.Markup
        One for each row.
    """
    values = [
        value
        for marks in rows
        for mark in marks
        for value in (mark.value, mark.low, mark.high)
        if value is not None
    ]
    values += [reference] if reference is not None else []
    low, high, ticks = nice_range(
        limits or values or [0, 1], most=most_ticks, pad=0 if limits else 0.06
    )
    scale = linear(low, high, 3, 97)
    lines = [_vertical(scale(tick), "grid") for tick in ticks]
    if reference is not None:
        lines.append(_vertical(scale(reference), "reference"))
    axis = _cell(
        [
            element(
                "text",
                tick_text(tick, ticks),
                x=_percent(scale(tick)),
                y="15",
                text_anchor="middle",
                class_="tick",
            )
            for tick in ticks
        ]
    )
    return axis, [
        _cell([*lines, *(_mark(mark, scale) for mark in marks)], values=len(marks))
        for marks in rows
    ]


def _cell(children, values=None):
    return element(
        "svg",
        *children,
        width="100%",
        height=HEIGHT,
        class_="row-plot",
        aria_hidden="true",
        data_marks=values,
    )


def _mark(mark, scale):
    middle = HEIGHT / 2 + mark.shift
    interval = None
    if mark.low is not None and mark.high is not None:
        interval = element(
            "line",
            x1=_percent(scale(mark.low)),
            x2=_percent(scale(mark.high)),
            y1=middle,
            y2=middle,
            class_=f"interval {mark.class_}",
        )
    # A nested svg moves by a percentage, which a transform cannot.
    point = element(
        "svg",
        element("g", element("title", mark.tip), Markup(SHAPES[mark.shape]), class_="point"),
        x=_percent(scale(mark.value)),
        y=middle,
        class_=f"anchor {mark.class_}",
    )
    return Markup("").join(filter(None, (interval, point)))


def _vertical(x, class_):
    return element("line", x1=_percent(x), x2=_percent(x), y1=0, y2=HEIGHT, class_=class_)


def _percent(value):
    return f"{value:.2f}%"
