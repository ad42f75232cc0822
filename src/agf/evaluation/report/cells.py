"""Tables of the page as columns and cells, which one template prints."""

from typing import NamedTuple

import pandas as pd


class Column(NamedTuple):
    """A column: its heading, whether it holds numbers, and a drawing below the heading."""

    label: str
    numeric: bool = False
    axis: object = None


class Cell(NamedTuple):
    """A cell: what is printed, what it is sorted by, CSS classes and inline style."""

    text: object
    sort: object = None
    class_: str = ""
    style: str | None = None


class Table(NamedTuple):
    """A table: caption, columns, rows of cells, and whether a reader can sort it."""

    caption: str
    columns: list
    rows: list
    sortable: bool = False
    class_: str = ""


MISSING = "\N{EN DASH}"
"""Printed where there is no value."""


def fixed(value, digits=4, signed=False):
    """Return a number as text, with a minus sign that is as wide as a plus."""
    sign = "+" if signed else ""
    # Rounded first, a small negative number is not a negative zero.
    return f"{round(value, digits) + 0.0:{sign},.{digits}f}".replace("-", "\N{MINUS SIGN}")


def number(value, digits=4, signed=False, class_=""):
    """Return a cell with a number; one that is missing is a dash and sorts last."""
    if value is None or pd.isna(value):
        return Cell(MISSING, "", class_)
    return Cell(fixed(value, digits, signed), repr(float(value)), class_)


def text(value, sort=None, class_=""):
    """Return a cell with text; a missing value is empty."""
    value = "" if value is None or (isinstance(value, float) and pd.isna(value)) else value
    return Cell(value, sort, class_)


def interval(low, high, digits=3, signed=False):
    """Return a cell with the two ends of an interval."""
    if pd.isna(low) or pd.isna(high):
        return Cell(MISSING, "")
    ends = (fixed(end, digits, signed) for end in (low, high))
    return Cell(" to ".join(ends), repr(float(low)))


def percent(share, digits=0):
    """Return a share as ``25 %``."""
    return f"{100 * share:.{digits}f}\N{NO-BREAK SPACE}%"


def count(n, what, plural=None):
    """Return ``1 track`` or ``2,000 tracks``."""
    return f"{n:,.0f} {what if n == 1 else plural or what + 's'}"
