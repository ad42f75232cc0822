"""A picture of one prediction: spectrogram above, genre probabilities over time below."""

import warnings

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

from agf.features.mel import mel_edges
from agf.files import replacing
from agf.predict.track import CURVE_POINTS

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Okabe and Ito's palette, without black and the yellow that is lost on white."""

TITLE_LENGTH = 90
"""Characters that fit; of a longer path the end says most."""

TICKS_HZ = (100, 500, 1000, 2000, 5000, 10_000, 20_000)

STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def draw_curve(model, prediction, title, path):
    """Draw a prediction.

    Parameters
    ----------
    model : agf.predict.Model
        Of :func:`agf.predict.load`.
    prediction : agf.predict.Prediction
        With a picture.
    title : str
        Text above.
    path : str or pathlib.Path
        The PNG to write. The most probable genres are coloured, the others grey.
    """
    config = model.config["spectrogram"]
    mean = prediction.mean()
    top = np.argsort(-mean, kind="stable")[: len(COLOURS)]
    seconds, curves = prediction.curve(CURVE_POINTS)
    with rc_context(STYLE):
        figure = Figure(figsize=(10, 5.6), layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(1, 1.15))
        above.imshow(
            prediction.picture.T,
            origin="lower",
            aspect="auto",
            cmap="magma",
            extent=(0, prediction.duration, -0.5, config["n_mels"] - 0.5),
            interpolation="nearest",
        )
        _frequency_axis(above, config)
        others = [genre for genre in range(len(mean)) if genre not in top]
        grey = below.plot(seconds, curves[:, others], color="0.8", linewidth=0.8)
        for colour, genre in zip(COLOURS, top, strict=False):
            label = f"{model.genres[genre]}  {mean[genre]:.2f}"
            below.plot(seconds, curves[:, genre], color=colour, linewidth=1.6, label=_plain(label))
        coloured, labels = below.get_legend_handles_labels()
        if others:
            coloured, labels = [*coloured, grey[0]], [*labels, f"others  {mean[others].sum():.2f}"]
        below.set_ylabel("probability")
        # Room for a line at the very end of the scale.
        below.set_ylim(-0.015, 1.015)
        below.set_xlim(0, prediction.duration)
        below.grid(axis="y", color="0.9", linewidth=0.6)
        below.set_axisbelow(True)
        below.set_xlabel(_time_axis(below, prediction.duration))
        below.legend(
            coloured,
            labels,
            loc="center left",
            bbox_to_anchor=(1.0, 0.5),
            frameon=False,
            title="mean over the track",
            alignment="left",
        )
        if len(title) > TITLE_LENGTH:
            title = f"…{title[-TITLE_LENGTH:]}"
        above.set_title(_plain(title), loc="left", fontsize=10.5, fontweight="bold")
        with replacing(path) as temporary, warnings.catch_warnings():
            # A name may be in a script that the font has not: boxes are drawn for it.
            warnings.filterwarnings("ignore", "Glyph .* missing")
            figure.savefig(temporary, format="png", dpi=160, metadata={"Software": None})


def _frequency_axis(axes, config):
    centres = mel_edges(config["sample_rate"], config["n_mels"])[1:-1]
    ticks = [hz for hz in TICKS_HZ if centres[0] <= hz <= centres[-1]]
    bands = np.interp(ticks, centres, np.arange(len(centres)))
    axes.yaxis.set_major_locator(FixedLocator(bands))
    axes.set_yticklabels([f"{hz / 1000:g}k" if hz >= 1000 else str(hz) for hz in ticks])
    axes.set_ylabel("mel band (Hz)")
    axes.tick_params(axis="x", bottom=False)


def _time_axis(axes, duration):
    """Label time in the unit that fits; return the axis's label."""
    if duration < 60:
        axes.xaxis.set_major_locator(MaxNLocator(10, steps=[1, 2, 5, 10]))
        return "time (s)"
    steps = (10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)
    step = next((step for step in steps if duration / step <= 12), 7200)
    axes.xaxis.set_major_locator(FixedLocator(np.arange(0, duration, step)))
    hours = duration >= 3600

    def text(seconds, _):
        large, small = divmod(round(seconds / (60 if hours else 1)), 60)
        return f"{large}:{small:02}"

    axes.xaxis.set_major_formatter(FuncFormatter(text))
    return "time (h:min)" if hours else "time (min:s)"


def _plain(text):
    """Return text that matplotlib takes for text, not for mathematics, and that a line can show."""
    text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    return text.replace("$", r"\$")
