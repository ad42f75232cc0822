"""Inline SVG that takes its colours from the page, so that it follows light, dark and print.

Everything is built through :func:`element`, which escapes names that come from tags of music files.
"""

from itertools import pairwise

from markupsafe import Markup
from matplotlib.ticker import MaxNLocator

from agf.evaluation.report.cells import fixed

SHAPES = {
    "o": '<circle r="4.2"/>',
    "s": '<path d="M-3.8-3.8H3.8V3.8H-3.8Z"/>',
    "^": '<path d="M0-4.9 4.7 3.6H-4.7Z"/>',
    "D": '<path d="M0-5.2 5.2 0 0 5.2-5.2 0Z"/>',
    "v": '<path d="M0 4.9 4.7-3.6H-4.7Z"/>',
    "P": '<path d="M-1.7-4.8H1.7V-1.7H4.8V1.7H1.7V4.8H-1.7V1.7H-4.8V-1.7H-1.7Z"/>',
}
"""Markers around the origin by matplotlib's letters, some ten units wide."""

DASHES = {"-": None, "--": "6 3", "-.": "7 3 2 3", ":": "2 3"}
"""Dash patterns by matplotlib's names."""


def element(name, *children, **attributes):
    """Return one element as markup.

    Parameters
    ----------
    name : str
        Of the element.
    *children : str, markupsafe.Markup or None
        Text is escaped, markup is not; None is left out.
    **attributes
        ``class_`` is ``class``, other underscores are hyphens; None is left out, numbers are
        rounded to a tenth.

    Returns
    -------
    markupsafe.Markup
    """
    written = Markup("").join(
        Markup(' {}="{}"').format(key.rstrip("_").replace("_", "-"), _number(value))
        for key, value in attributes.items()
        if value is not None
    )
    inside = Markup("").join(child for child in children if child is not None)
    return Markup("<{0}{1}>{2}</{0}>").format(Markup(name), written, inside)


def drawing(identity, title, description, size, *children, role="img", class_=None):
    """Return a whole drawing with a title and a description for those who do not see it.

    Parameters
    ----------
    identity : str
        Unique on the page.
    title, description : str
        What it is, and what it shows.
    size : tuple of int
        Width and height of the coordinates, in CSS pixels where there is room.
    *children : markupsafe.Markup
    role : str
        ``img``, or ``group`` where its parts can be reached one by one.
    class_ : str, optional

    Returns
    -------
    markupsafe.Markup
    """
    width, height = size
    return element(
        "svg",
        element("title", title, id=f"{identity}-title"),
        element("desc", description, id=f"{identity}-desc"),
        *children,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width} {height}",
        width=width,
        height=height,
        role=role,
        aria_labelledby=f"{identity}-title",
        aria_describedby=f"{identity}-desc",
        class_=class_,
    )


def marker(shape, x, y, tip, class_, **attributes):
    """Return a marker that names what it stands for when it is pointed at."""
    return element(
        "g",
        element("title", tip),
        Markup(SHAPES[shape]),
        transform=f"translate({x:.1f} {y:.1f})",
        class_=f"point {class_}",
        **attributes,
    )


def polyline(points, class_, dash=None):
    """Return a line through `points`, pairs of x and y."""
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    return element("path", d=path, class_=f"line {class_}", stroke_dasharray=dash)


def linear(low, high, start, end):
    """Return the function that takes `low` to `start` and `high` to `end`, linear between."""
    factor = (end - start) / ((high - low) or 1)
    return lambda value: start + (value - low) * factor


def nice_range(values, most=6, pad=0.06):
    """Return limits around `values`, and round ticks within.

    Parameters
    ----------
    values : sequence of float
        At least one, all finite.
    most : int
        Largest number of intervals between ticks.
    pad : float
        Share of the span added at both ends.

    Returns
    -------
    low, high : float
    ticks : list of float
    """
    low, high = min(values), max(values)
    margin = (high - low) * pad or abs(high) * 0.1 or 0.1
    low, high = low - margin, high + margin
    ticks = MaxNLocator(most, steps=[1, 2, 5, 10]).tick_values(low, high)
    return low, high, [float(tick) for tick in ticks if low <= tick <= high]


def tick_text(value, ticks):
    """Return a tick's number with as many digits as tell neighbours apart."""
    step = min((b - a for a, b in pairwise(ticks)), default=1)
    digits = next((n for n in range(6) if abs(round(step, n) - step) < step / 100), 6)
    return fixed(value, digits) if abs(value) > 1e-12 else "0"


def grid(ticks, scale, x0, x1):
    """Return horizontal lines with their numbers to the left of `x0`."""
    parts = []
    for tick in ticks:
        y = scale(tick)
        parts.append(element("line", x1=x0, x2=x1, y1=y, y2=y, class_="grid"))
        parts.append(
            element(
                "text", tick_text(tick, ticks), x=x0 - 6, y=y + 4, text_anchor="end", class_="tick"
            )
        )
    return Markup("").join(parts)


def _number(value):
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else value
