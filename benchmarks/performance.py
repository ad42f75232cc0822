"""The page docs/performance.md, made of what the benchmarks wrote.

python benchmarks/performance.py
"""

import json
import math
from pathlib import Path
from typing import NamedTuple

from agf.errors import UserError
from agf.files import write_text

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "performance.md"


class Stage(NamedTuple):
    """One row of the page: what is compared, and what it has to reach."""

    title: str
    alternative: str
    target: str
    command: str


STAGES = {
    "mel": Stage(
        "Decode + mel",
        "librosa: `load`, `melspectrogram` and `power_to_db`, track by track",
        "at least 2.0x; less than 1e-3 dB from librosa before quantisation; a worker below 150 MB",
        "python benchmarks/mel.py --clips FOLDER",
    ),
    "essentia": Stage(
        "Essentia",
        "a plain loop in one process",
        "cores x the single rate within 10 %; bounded memory over thousands of clips",
        "python benchmarks/essentia_descriptors.py --clips FOLDER",
    ),
    "mfcc": Stage(
        "MFCC from mel shards",
        "`librosa.feature.mfcc` from the audio",
        "at least 20x",
        "python benchmarks/mfcc.py --clips FOLDER",
    ),
    "dictionary": Stage(
        "Dictionary of 2048 words, frames",
        "scikit-learn's `MiniBatchKMeans` and `KMeans`",
        "lower inertia on held-out rows at a third of the time",
        "python benchmarks/dictionary.py --clips FOLDER",
    ),
    "assignment": Stage(
        "Assignment of words",
        "scikit-learn's `predict`",
        "at least 2x",
        "python benchmarks/dictionary.py --clips FOLDER",
    ),
    "crops": Stage(
        "Crops",
        "torch's `DataLoader` with access item by item",
        "at least 6x",
        "python benchmarks/crops.py",
    ),
    "network_step_cpu": Stage(
        "Network step, CPU, one core",
        "the plain eager fp32 loop",
        "at least 2x; the same loss curve within seed noise",
        "python benchmarks/network_step.py",
    ),
    "predict": Stage(
        "Prediction, one core",
        "decode + mel alone: their share of the time",
        "at least 0.95x, that is, the network is not the bottleneck",
        "python benchmarks/predict.py --clips FOLDER",
    ),
    "network_step_gpu": Stage(
        "Network step, GPU",
        "the plain eager loop, its data already on the GPU",
        "at least 3x with a CUDA graph per task, for a single network",
        "python benchmarks/gpu.py",
    ),
    "networks_gpu": Stage(
        "Eight networks on one GPU",
        "one after another",
        "at least 1.4x in steps/s overall",
        "python benchmarks/gpu.py",
    ),
    "transfer_gpu": Stage(
        "Transfer MLP, GPU",
        "the eager loop",
        "at least 5x",
        "python benchmarks/gpu.py",
    ),
    "grid_gpu": Stage(
        "Whole grid of the paper on one GPU",
        "eager, one network at a time",
        "at most 45 minutes, projected from steps/s measured at full size (25,000 clips, 66,400 "
        "steps per task in 200 epochs, all windows in the MLPs)",
        "python benchmarks/gpu.py",
    ),
}

GPU_STAGES = [name for name in STAGES if name.endswith("_gpu")]


def render():
    """Write docs/performance.md from the JSON files in benchmarks/results."""
    write_text(page(read_results(RESULTS)), PAGE)


def read_results(folder):
    """Read what the benchmarks wrote.

    Parameters
    ----------
    folder : pathlib.Path
        Of the JSON files; those of other pages are left aside.

    Returns
    -------
    dict of str to dict
        By stage, in the order of :data:`STAGES`, those that were measured, then ``"stages"``, the
        times of a whole run, where there is one.

    Raises
    ------
    UserError
        If a file is not what its benchmark writes.
    """
    results = {}
    for name in (*STAGES, "stages"):
        path = folder / f"{name}.json"
        if path.exists():
            try:
                results[name] = json.loads(path.read_text(encoding="utf-8"))
            except ValueError as error:
                raise UserError(f"{path} is not JSON ({error}): run its benchmark again") from error
    return results


def page(results):
    """Return the page as Markdown.

    Parameters
    ----------
    results : dict of str to dict
        Of :func:`read_results`.

    Returns
    -------
    str
    """
    commands = dict.fromkeys(stage.command for stage in STAGES.values())
    lines = [
        "# Performance",
        "",
        "What the stages that take the time cost beside the obvious way to do the same. Both run "
        "in turns on one machine, after a round that does not count, so that a slow minute of the "
        "machine falls on both. A speed-up is taken in every round; the tables give the median "
        "over the rounds (smallest to largest). A process has one thread. Each script says what "
        "was expected of it, and why.",
        "",
        "This page is made from the files in `benchmarks/results/`, which hold more than it shows; "
        "it is not edited by hand. Every benchmark replaces its file there and makes the page anew "
        "(`git checkout benchmarks docs` takes that back). Measure on a quiet machine. FOLDER is "
        "any folder of MP3 clips of 30 s, a hundred or more; here 235 clips of Magnatune's music. "
        "With `.venv` activated:",
        "",
        "```sh",
        "export OMP_NUM_THREADS=1",
        *commands,
        "python benchmarks/stages.py results/CORPUS    # of a finished run: its time and memory",
        "python benchmarks/performance.py              # this page, from the figures there are",
        "```",
        "",
        "## Speed-up",
        "",
        *_missing(results),
        *_table(
            ("stage", "against", "speed-up", "to reach", "reached"),
            (_speed_row(stage, results.get(name)) for name, stage in STAGES.items()),
        ),
        "",
    ]
    measured = {name: results[name] for name in STAGES if name in results}
    if measured:
        lines += [
            "## Figures",
            "",
            "The first row of a stage is ours.",
            "",
            *_table(
                ("stage", "what ran", "median (smallest to largest)", "unit"),
                (row for name, result in measured.items() for row in _figure_rows(name, result)),
            ),
            "",
            "## Expected figure and memory",
            "",
            *_table(
                ("stage", "expected", "speed-up", "peak of our process (MB)"),
                (_expected_row(name, result) for name, result in measured.items()),
            ),
            "",
            "## How it was measured",
            "",
        ]
    for name, result in measured.items():
        lines += _paragraph(name, result)
    if "stages" in results:
        lines += _run_section(results["stages"])
    return "\n".join(lines).rstrip() + "\n"


def summary(result):
    """Return what one benchmark found as a few lines of text."""
    lines = [f"{STAGES[result['stage']].title} ({result['unit']})"]
    lines += [f"  {label}: {_spread(values)}" for label, values in result["measured"].items()]
    lines += [
        f"  speed-up: {_times(result['ratio'])}; expected: {result['predicted']}",
        f"  {'reached' if result['reached'] else 'MISSED'}: {STAGES[result['stage']].target}",
    ]
    if result["megabytes"] is not None:
        lines.append(f"  peak memory: {_number(result['megabytes'])} MB")
    if result["remark"]:
        lines.append(f"  {result['remark']}")
    return "\n".join(lines)


def _missing(results):
    """Return the lines that say why stages are not measured, none where all are."""
    if all(name in results for name in STAGES):
        return []
    text = "A stage without figures is not measured"
    if not any(name in results for name in GPU_STAGES):
        text += "; those of a GPU are not because no GPU has been at hand"
    return [f"{text}.", ""]


def _speed_row(stage, result):
    if result is None:
        return stage.title, stage.alternative, "not measured", stage.target, ""
    reached = "yes" if result["reached"] else "**no**"
    return stage.title, stage.alternative, _times(result["ratio"]), stage.target, reached


def _figure_rows(name, result):
    title = STAGES[name].title
    for label, values in result["measured"].items():
        yield title, label, _spread(values), result["unit"]
        title = ""


def _expected_row(name, result):
    expected = result["predicted"].partition(":")[0]
    megabytes = "" if result["megabytes"] is None else _number(result["megabytes"])
    return STAGES[name].title, expected, _times(result["ratio"]), megabytes


def _paragraph(name, result):
    load = result["load_average"]
    lines = [
        f"### {STAGES[name].title}",
        "",
        f"Ours: {result['ours']}. Against: {result['alternative']}. "
        f"Expected: {result['predicted'].rstrip('.')}.",
    ]
    if result["remark"]:
        lines += ["", result["remark"]]
    return [
        *lines,
        "",
        f"- `{result['command']}`",
        _origin(result),
        f"- Load average of the machine: {load['before']:.2f} before, {load['after']:.2f} after",
        "",
    ]


def _origin(result):
    """Return date, commit, machine and versions as one item of a list."""
    machine = result["machine"]
    parts = [machine["processor"], f"{machine['cores']} cores"]
    parts += [machine["gpu"]] if "gpu" in machine else []
    parts += [f"{machine['memory_gigabytes']} GB of memory", machine["kernel"]]
    versions = [f"{name} {number}" for name, number in machine["versions"].items()]
    return (
        f"- {result['date']}, commit {result['commit'] or 'not known'}; {', '.join(parts)}; "
        f"{', '.join(versions)}"
    )


def _run_section(run):
    """Return the lines about a whole run, as stages.py writes it."""
    lines = [
        "## Time and memory of every stage",
        "",
        f"One run of the whole workflow on the corpus `{run['corpus']}`, {run['tracks']:,} tracks, "
        "summed over the jobs of each rule from Snakemake's own benchmark files. Memory is the "
        "largest resident memory that Snakemake saw of any job of the rule, its children included; "
        "jobs of less than a second it hardly sees. Reserved is the `mem_mb` the rule asks for.",
    ]
    if run["wall_seconds"] is not None:
        text = f"The run took {run['wall_seconds']:,.0f} s"
        if run["before_seconds"] is not None:
            times = run["before_seconds"] / run["wall_seconds"]
            text += f", {times:.2f} times as fast as before ({run['before_seconds']:,.0f} s)"
        lines += ["", f"{text}."]
    if run["note"]:
        lines += ["", run["note"]]
    heads = ("rule", "jobs", "time (s)", "CPU (s)", "median job (s)", "longest job (s)")
    rows = []
    for rule in run["rules"]:
        keys = ("seconds", "cpu_seconds", "median_seconds", "longest_seconds")
        times = [format(rule[key], ",.1f") for key in keys]
        memory = "" if rule["megabytes"] is None else format(rule["megabytes"], ",.0f")
        reserved = "" if rule["mem_mb"] is None else format(rule["mem_mb"], ",")
        rows.append((f"`{rule['rule']}`", str(rule["jobs"]), *times, memory, reserved))
    sums = [format(sum(rule[key] for rule in run["rules"]), ",.1f") for key in keys[:2]]
    jobs = str(sum(rule["jobs"] for rule in run["rules"]))
    rows.append(("all", jobs, *sums, "", "", "", ""))
    return [
        *lines,
        "",
        *_table((*heads, "memory (MB)", "reserved (MB)"), rows),
        "",
        f"- `{run['command']}`",
        _origin(run),
        "",
    ]


def _table(heads, rows):
    """Return the lines of a Markdown table; a bar within a cell would end it."""
    lines = [heads, ["---"] * len(heads), *rows]
    cells = [[" ".join(cell.replace("|", "\\|").split()) for cell in line] for line in lines]
    return [f"| {' | '.join(line)} |" for line in cells]


def _times(ratio):
    middle, *ends = (format(ratio[key], ".2f") for key in ("median", "smallest", "largest"))
    return f"{middle}x ({' to '.join(ends)})"


def _spread(values):
    middle, *ends = (_number(values[key]) for key in ("median", "smallest", "largest"))
    return f"{middle} ({' to '.join(ends)})"


def _number(value):
    """Return a figure with three digits, or all digits before the point where there are more."""
    if value == 0 or not 1e-3 <= abs(value) < 1e9:
        return format(value, ".3g")
    decimals = max(0, 2 - math.floor(math.log10(abs(value))))
    return format(value, f",.{decimals}f")


if __name__ == "__main__":
    render()
