"""The corpus: what came in, what was kept, and what the two sides of the split share."""

from markupsafe import Markup

from agf.evaluation.report.cells import Cell, Column, Table, count, number, percent, text
from agf.evaluation.report.svg import element

SIZES = ("tracks", "artists", "albums", "top genres", "subgenres in use")
"""Measures of the section ``sizes`` that are shown."""

SHARED = (
    "artists in both train and evaluation",
    "albums in both train and evaluation",
    "share of evaluation tracks whose artist is in training",
    "share of evaluation tracks whose album is in training",
    "evaluation tracks identical to a training track",
)
"""Measures of a split that say what its two sides share."""


def corpus_section(audit):
    """Return the tables of the audit.

    Parameters
    ----------
    audit : pandas.DataFrame
        ``corpus/audit.parquet``.

    Returns
    -------
    dict
        ``sizes``, ``genres``, ``rejected`` (None where no track was) and ``splits``, tables;
        ``sentences``.
    """
    sizes = audit[audit["section"] == "sizes"].set_index("measure")
    rejected = audit[audit["section"] == "rejected"]
    tracks = sizes.loc["tracks"]
    lost = tracks["scanned"] - tracks["kept"]
    shown = [measure for measure in SIZES if measure in sizes.index]
    size_rows = [
        [text(m), number(sizes.at[m, "scanned"], 0), number(sizes.at[m, "kept"], 0)] for m in shown
    ]
    numbers = [Column("in", True), Column("kept", True)]
    return {
        "sentences": [
            f"{count(tracks['scanned'], 'track')} in: {count(tracks['kept'], 'track')} kept, "
            f"{lost:,.0f} rejected."
        ],
        "sizes": Table("Sizes", [Column("", False), *numbers], size_rows),
        "genres": genre_bars(audit),
        "rejected": _bars("Rejected tracks by reason", "reason", rejected, "scanned"),
        "splits": _splits(audit),
    }


def genre_bars(audit):
    """Return the tracks kept by top genre as a bar chart."""
    genres = audit[audit["section"] == "top genres"]
    return _bars("Tracks by top genre", "top genre", genres[genres["kept"] > 0], "kept")


def bar(share):
    """Return a bar whose length is `share`, 0 to 1, of its cell."""
    inner = element("span", style=f"width:{max(share, 0) * 100:.2f}%")
    return element("span", inner, class_="bar", aria_hidden="true")


def _bars(caption, label, rows, column):
    if rows.empty:
        return None
    most = rows[column].max()
    cells = [
        [text(row["group"]), Cell(bar(row[column] / most)), number(row[column], 0)]
        for _, row in rows.iterrows()
    ]
    columns = [Column(label), Column(Markup("<span class='hidden'>bar</span>"))]
    return Table(caption, [*columns, Column("tracks", True)], cells, False, "bars")


def _splits(audit):
    names = [s for s in audit["section"].unique() if s.startswith("split ")]
    if not names:
        return None
    by_name = {name: audit[audit["section"] == name] for name in names}
    rows = [
        [text(f"{what} in {part}"), *(number(_value(by_name[n], what, part), 0) for n in names)]
        for what in ("tracks", "artists", "albums")
        for part in ("train", "evaluation")
    ]
    for measure in SHARED:
        share = measure.startswith("share of ")
        cells = []
        for name in names:
            value = _value(by_name[name], measure)
            shown = percent(value, 1) if share and value == value else None
            cells.append(Cell(shown, repr(value)) if shown else number(value, 0))
        rows.append([text(measure), *cells])
    columns = [Column(""), *(Column(name.removeprefix("split "), True) for name in names)]
    return Table("What the two sides of the split share", columns, rows)


def _value(section, measure, group=""):
    found = section[(section["measure"] == measure) & (section["group"].fillna("") == group)]
    return float(found["kept"].iloc[0]) if len(found) else float("nan")
