"""The paper's Figure 3: genre classification against the number of learning tasks."""

from textwrap import fill

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from agf.files import replacing
from agf.tasks import TASKS

SYSTEMS = {
    "stn": ("STN", "#0072B2", "o", "-", -0.21),
    "mtn": ("MTN", "#D55E00", "s", "--", -0.07),
    "wstn_transfer": ("wSTN, transfer MLP", "#009E73", "^", "-.", 0.07),
    "wstn_softmax": ("wSTN, own softmax", "#000000", "D", ":", 0.21),
}
"""Label, colour (Okabe and Ito's palette), marker, line and offset along x of each system.

Marker and line alone tell the systems apart in black and white.
"""

PANELS = (
    ("log_loss", "log loss (nats per track)", "lower is better ↓"),
    ("macro_f1", "macro F1", "higher is better ↑"),
)

TITLE_WIDTH = 80
"""Characters of the title's size that fit the figure's width."""

TITLE_LINE = 0.17
"""Height of a line of the title, in inches."""

FOOTNOTE_WIDTH = 125
"""Characters of the footnote's size that fit the figure's width."""

STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    # A fixed salt makes the ids inside the SVG, and with them its bytes, the same in every run.
    "svg.hashsalt": "agf",
}


def figure3(rows, title, footnote, png_path, svg_path, warnings=(), deviations=None):
    """Draw log loss and macro F1 against the number of tasks, and write PNG and SVG.

    Each point is a case, each line joins the means per number of tasks. The same input gives the
    same bytes.

    Parameters
    ----------
    rows : pandas.DataFrame
        One row per case: `system` (a key of :data:`SYSTEMS`), `n_tasks`, `log_loss`, `macro_f1`.
    title, footnote : str
        Text above and below the panels.
    png_path, svg_path : str or pathlib.Path
        The files to write; the PNG has 200 dots per inch.
    warnings : sequence of str
        Sentences put under the title, marked as warnings.
    deviations : pandas.DataFrame, optional
        `system`, `n_tasks` and, of `log_loss` and `macro_f1`, the standard deviation of the mean
        over cases; drawn as error bars about the means.
    """
    with rc_context(STYLE):
        title = "\n".join([title, *(fill(f"Warning. {w}", TITLE_WIDTH) for w in warnings)])
        height = 3.7 + TITLE_LINE * title.count("\n")
        figure = Figure(figsize=(7.2, height), layout="constrained")
        figure.get_layout_engine().set(w_pad=0.08, h_pad=0.06)
        shown = [system for system in SYSTEMS if (rows["system"] == system).any()]
        n_max = max(len(TASKS), rows["n_tasks"].max())
        for axes, (score, label, direction) in zip(figure.subplots(1, 2), PANELS, strict=True):
            for system in shown:
                _draw_system(axes, rows[rows["system"] == system], score, system, deviations)
            axes.set_title(direction, loc="right", color="0.35")
            axes.set_ylabel(label)
            axes.set_xlabel("number of tasks N")
            axes.set_xlim(0.55, n_max + 0.45)
            axes.set_xticks(range(1, n_max + 1))
            axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
            axes.margins(y=0.08)
            axes.tick_params(axis="x", length=0)
            axes.grid(axis="y", color="0.9", linewidth=0.6)
            axes.set_axisbelow(True)
        figure.legend(
            handles=[_legend_handle(system) for system in shown],
            loc="outside upper left",
            ncols=len(shown),
            frameon=False,
            handlelength=3.2,
            columnspacing=2.2,
            borderpad=0,
            # A title of the figure itself would be drawn over a legend outside the axes.
            title=title,
            title_fontproperties={"size": 10.5, "weight": "bold"},
            alignment="left",
        )
        explanation = "Points are cases, lines join their means."
        if "wstn_transfer" in shown:
            explanation += " A wSTN learns genre alone with the size of the MTN of N tasks."
        sentences = [explanation, *footnote.splitlines()]
        footnotes = "\n".join(fill(sentence, FOOTNOTE_WIDTH) for sentence in sentences)
        figure.supxlabel(footnotes, x=0.01, ha="left", fontsize=7.5, color="0.35")
        write_figure(figure, png_path, svg_path)


def write_figure(figure, png_path, svg_path, description=None):
    """Write a figure as PNG and SVG; the same figure gives the same bytes.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    png_path, svg_path : str or pathlib.Path
        The files to write; the PNG has 200 dots per inch.
    description : str, optional
        What the figure shows, in words, for the files' metadata.
    """
    # Without these keys the files would carry the date and matplotlib's version.
    for path, kind, metadata in (
        (png_path, "png", {"Software": None, "Description": description}),
        (svg_path, "svg", {"Date": None, "Creator": None, "Description": description}),
    ):
        with replacing(path) as temporary:
            figure.savefig(temporary, format=kind, dpi=200, metadata=metadata)


def _draw_system(axes, rows, score, system, deviations):
    _, colour, marker, line, offset = SYSTEMS[system]
    axes.plot(
        rows["n_tasks"] + offset,
        rows[score],
        linestyle="none",
        marker=marker,
        markersize=5,
        markerfacecolor=colour,
        markeredgecolor="white",
        markeredgewidth=0.5,
        alpha=0.7,
    )
    means = rows.groupby("n_tasks")[score].mean()
    axes.plot(means.index + offset, means, color=colour, linestyle=line, linewidth=1.5)
    if deviations is not None:
        of_system = deviations[deviations["system"] == system]
        bars = of_system.set_index("n_tasks")[score].reindex(means.index)
        axes.errorbar(
            means.index + offset, means, bars, fmt="none", ecolor=colour, elinewidth=1, capsize=2.5
        )


def _legend_handle(system):
    label, colour, marker, line, _ = SYSTEMS[system]
    return Line2D(
        [],
        [],
        color=colour,
        linestyle=line,
        marker=marker,
        markersize=5,
        linewidth=1.5,
        label=label,
    )
