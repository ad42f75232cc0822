"""The figure of the planted groups: genre alone against artist groups, by rate of label noise."""

from textwrap import fill

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from agf.evaluation.figures import FOOTNOTE_WIDTH, STYLE, TITLE_LINE, TITLE_WIDTH, write_figure

MARKS = (
    ("#000000", "o", "-"),
    ("#0072B2", "s", "--"),
    ("#D55E00", "^", "-."),
    ("#009E73", "D", ":"),
    ("#CC79A7", "v", (0, (5, 1, 1, 1, 1, 1))),
    ("#E69F00", "P", (0, (8, 2))),
    ("#56B4E9", "X", (0, (1, 1))),
)
"""Colour (Okabe and Ito's palette), marker and line of the cases in order, genre alone first.

Marker and line alone tell the cases apart in black and white.
"""

COLUMNS = (("annotated", "scored against annotated genres"), ("true", "scored against true genres"))

ROWS = (
    ("log_loss", "log loss (nats per track)"),
    ("difference_log_loss", "log loss minus that of stn-g"),
)

DESCRIPTION = (
    "Four panels against the share of wrongly annotated albums. Left: scored against the annotated "
    "genres; right: against the true ones. Above: mean log loss of each case; below: the log loss "
    "of each case with artist groups minus that of genre alone, with 95 % intervals around it; "
    "below zero artist groups help. The numbers stand in the table."
)
"""The figure in words."""

SPREAD = 0.35
"""Width over which differences of one rate lie side by side, in the smallest distance of rates."""


def draw_planted(summary, png_path, svg_path, warnings=()):
    """Draw mean log loss and differences against label noise, and write PNG and SVG.

    Parameters
    ----------
    summary : pandas.DataFrame
        From :func:`agf.evaluation.planted.summarise_planted`; the first case is genre alone, and
        there are at most seven.
    png_path, svg_path : str or pathlib.Path
        The files to write.
    warnings : sequence of str
        Sentences put under the title, marked as warnings.
    """
    cases = list(dict.fromkeys(summary["case"]))
    rates = np.unique(summary["label_noise"])
    step = np.diff(rates).min() if len(rates) > 1 else 0.1
    # Genre alone has no difference from itself.
    sides = np.linspace(-0.5, 0.5, len(cases) - 1) if len(cases) > 2 else [0.0]
    offsets = dict(zip(cases, [0.0, *np.multiply(sides, SPREAD * step)], strict=True))
    marks = dict(zip(cases, MARKS, strict=False))
    title = "Genre alone and with artist groups, by label noise"
    with rc_context(STYLE):
        title = "\n".join([title, *(fill(f"Warning. {w}", TITLE_WIDTH) for w in warnings)])
        height = 5.6 + TITLE_LINE * title.count("\n")
        figure = Figure(figsize=(7.2, height), layout="constrained")
        figure.get_layout_engine().set(w_pad=0.08, h_pad=0.06)
        grid = figure.subplots(2, 2, sharex=True, sharey="row")
        for (score, label), row in zip(ROWS, grid, strict=True):
            for (labels, heading), axes in zip(COLUMNS, row, strict=True):
                for case in cases:
                    rows = summary[(summary["labels"] == labels) & (summary["case"] == case)]
                    _draw_case(axes, rows, score, case, offsets[case], marks[case])
                axes.grid(axis="y", color="0.9", linewidth=0.6)
                axes.set_axisbelow(True)
                axes.set_xticks(rates, [f"{rate:g}" for rate in rates])
                axes.tick_params(axis="x", length=0)
                axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
                if score == "log_loss":
                    axes.set_title(heading, loc="left")
                else:
                    axes.axhline(0, color="0.4", linewidth=0.8)
                    axes.set_xlabel("share of albums annotated wrongly")
            row[0].set_ylabel(label)
            row[1].set_title("lower is better ↓", loc="right", color="0.35", fontsize=8)
        handles, _ = grid[0, 0].get_legend_handles_labels()
        figure.legend(
            handles=handles,
            loc="outside upper left",
            ncols=min(len(cases), 4),
            frameon=False,
            handlelength=3.2,
            columnspacing=2.2,
            borderpad=0,
            title=title,
            title_fontproperties={"size": 10.5, "weight": "bold"},
            alignment="left",
        )
        n_splits = summary["n_splits"].max()
        footnote = f"Demo corpus, means over {n_splits} splits." if n_splits > 1 else "One split."
        if n_splits > 1:
            footnote += " Bars: 95 % intervals by the corrected resampled t test, one by one."
        footnote += " Differences of one rate are set side by side."
        footnote = fill(footnote, FOOTNOTE_WIDTH)
        figure.supxlabel(footnote, x=0.01, ha="left", fontsize=7.5, color="0.35")
        write_figure(figure, png_path, svg_path, DESCRIPTION)


def _draw_case(axes, rows, score, case, offset, mark):
    colour, marker, line = mark
    style = {"color": colour, "marker": marker, "markersize": 5, "linewidth": 1.5, "label": case}
    if score == "log_loss":
        # Not side by side: on a slope, a curve set to the right looks like a lower one.
        axes.plot(rows["label_noise"], rows[score], linestyle=line, **style)
    elif rows[score].notna().any():
        # Without a second split there is no interval; matplotlib leaves out bars of NaN.
        bars = [rows[score] - rows[f"{score}_low"], rows[f"{score}_high"] - rows[score]]
        x = rows["label_noise"] + offset
        axes.errorbar(x, rows[score], bars, linestyle="none", elinewidth=1, capsize=2.5, **style)
