"""Learning curves: the loss of every task of every network, epoch by epoch."""

import json

import pandas as pd

from agf.evaluation.report.svg import drawing, element, grid, linear, nice_range, polyline
from agf.tasks import ALL_TASKS, all_networks

POINTS = 80
"""Most points of one curve; where there are more epochs, neighbours are averaged."""

PANEL = (218, 150)
"""Size of one network's panel."""

DASHES = {"g": None, "s": "6 2", "e": "2 2", "d": "8 2 2 2", "m": "4 2 1 2", "c": "1 3"}
"""Dash pattern of each task, so that colour is not needed."""


def learning_curves(histories, summaries):
    """Draw one small panel for each network, all on one scale of loss.

    Parameters
    ----------
    histories, summaries : list of pathlib.Path
        ``networks/{split}/seed{seed}/{network}/history.parquet`` and ``summary.json`` of one split
        and seed.

    Returns
    -------
    dict or None
        ``groups``: heading and panels by number of tasks; ``agf_tasks``: letters of the tasks
        learnt beside g; ``warnings``: a sentence for each task whose loss in evaluation mode
        exceeds that in training; ``longest``: most epochs of a task; ``points``: most points of a
        curve. None without histories.
    """
    frames = {path.parent.name: pd.read_parquet(path) for path in histories}
    frames = {name: frame for name, frame in frames.items() if len(frame)}
    if not frames:
        return None
    curves = {name: _curves(frame) for name, frame in frames.items()}
    losses = [loss for of in curves.values() for curve in of.values() for _, loss in curve]
    limits = nice_range(losses, most=4)
    learnt = {task for of in curves.values() for task in of}
    groups = {}
    for network in all_networks(ALL_TASKS):
        if network.name in curves:
            longest = int(frames[network.name]["epoch"].max()) + 1
            panel = _panel(network.name, curves[network.name], longest, limits)
            groups.setdefault(_heading(network), []).append(panel)
    return {
        "groups": list(groups.items()),
        "agf_tasks": [task for task in ALL_TASKS if task != "g" and task in learnt],
        "warnings": _warnings(summaries),
        "longest": max(frame["task"].value_counts().max() for frame in frames.values()),
        "points": POINTS,
    }


def _heading(network):
    if network.kind == "wstn":
        return "Wide networks of genre alone"
    if network.kind == "stn":
        return "Single-task networks"
    return f"Multi-task networks of {network.size} tasks"


def _curves(frame):
    """Return epoch and loss of each task, averaged over neighbours where there are many."""
    curves = {}
    for task, rows in frame.groupby("task"):
        width = -(-len(rows) // POINTS)
        rows = rows.sort_values("epoch").reset_index(drop=True)
        means = rows.groupby(rows.index // width)[["epoch", "loss"]].mean()
        means = means[means["loss"].notna()]
        curves[task] = list(zip(means["epoch"], means["loss"], strict=True))
    return {task: curves[task] for task in ALL_TASKS if curves.get(task)}


def _panel(name, curves, epochs, limits):
    width, height = PANEL
    left, right, top, bottom = 30, width - 20, 20, height - 18
    low, high, ticks = limits
    x, y = linear(0, max(epochs - 1, 1), left, right), linear(low, high, bottom, top)
    parts = [
        element("text", name, x="0", y="11", class_="label strong"),
        grid(ticks, y, left, right),
        element("text", "1", x=left, y=height - 5, text_anchor="middle", class_="tick"),
    ]
    if epochs > 1:
        last = f"{epochs:,} epochs"
        parts.append(element("text", last, x=right, y=height - 5, text_anchor="end", class_="tick"))
    for task, curve in curves.items():
        points = [(x(epoch), y(loss)) for epoch, loss in curve]
        if len(points) == 1:
            points.append((points[0][0] + 1, points[0][1]))
        parts.append(polyline(points, f"task-{task}", DASHES.get(task)))
    for task, where in _apart({task: y(curve[-1][1]) for task, curve in curves.items()}).items():
        parts.append(element("text", task, x=right + 5, y=where + 4, class_=f"end task-{task}"))
    last = "; ".join(
        f"{ALL_TASKS[task]} from {curve[0][1]:.3f} to {curve[-1][1]:.3f}"
        for task, curve in curves.items()
    )
    return drawing(f"learning-{name}", f"Learning curve of {name}", f"Loss: {last}.", PANEL, *parts)


def _apart(positions, least=10):
    """Move labels down until no two are closer than `least`, upper ones first."""
    placed, previous = {}, float("-inf")
    for key, where in sorted(positions.items(), key=lambda item: item[1]):
        previous = max(where, previous + least)
        placed[key] = previous
    beyond = previous - (PANEL[1] - 18)
    return {key: where - max(beyond, 0) for key, where in placed.items()}


def _warnings(summaries):
    sentences = []
    for path in summaries:
        summary = json.loads(path.read_text(encoding="utf-8"))
        for task, values in summary.get("tasks", {}).items():
            if values.get("gap_warning"):
                sentences.append(
                    f"{path.parent.name}, task {task}: loss {values['evaluation_mode_loss']:.3f} "
                    f"in evaluation mode, {values['training_loss']:.3f} in training."
                )
    return sentences
