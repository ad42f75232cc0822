"""Which systems are compared, over splits and over artists, and how the outcome is worded.

A comparison is a weighted sum of cases: ``mtn-gse - stn-gse``, or the mean of 26 such differences.
The same sum is taken of the metrics of every split, for the corrected t, and of the scores of every
resample of artists, for the bootstrap.
"""

import logging
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from agf.corpus.tracks import read_part
from agf.errors import UserError
from agf.evaluation.html_page import html_page
from agf.evaluation.latex import MINUS, latex_table
from agf.evaluation.metrics import probabilities_and_labels
from agf.evaluation.metrics_file import COLUMNS, SCORES, numbers, read_text_table
from agf.evaluation.statistics import (
    ALPHA,
    N_RESAMPLES,
    POWER,
    ROPE,
    corrected_t,
    detectable_difference,
    draw_artists,
    holm,
    percentile_interval,
    resampled_f1,
    resampled_scores,
    rope_probabilities,
    sum_by_artist,
)
from agf.evaluation.tables import BEST
from agf.files import replacing
from agf.keyed_random import generator
from agf.progress import progress
from agf.tasks import ALL_TASKS, WIDE, task_combinations

logger = logging.getLogger(__name__)

TITLE = "Comparisons of systems"

FAMILIES = {
    "mtn_vs_stn": "MTN minus STN of the same tasks",
    "with_g_vs_without": "With the genre task minus without it",
    "n_tasks_vs_one": "N tasks minus the genre task alone",
    "vs_wstn": "MTN of N tasks minus the wide network of their size",
}
"""Families of comparisons, and their titles."""

COMPARISON_COLUMNS = (
    "family",
    "comparison",
    "score",
    "n_splits",
    "difference",
    "low",
    "high",
    "p",
    "p_holm",
    "p_better",
    "p_equal",
    "p_worse",
    "detectable",
    "bootstrap_low",
    "bootstrap_high",
)
"""Columns of ``comparisons.csv``."""

BOOTSTRAP_SCORES = ("log_loss", "macro_f1", "accuracy")

ONE_SPLIT = (
    "one split: only the bootstrap over artists is shown, which says nothing about other splits or "
    "other trainings"
)


class Comparison(NamedTuple):
    """One question asked of the cases.

    Attributes
    ----------
    family : str
        A key of :data:`FAMILIES`.
    name : str
        ``mtn-gse - stn-gse``; ``mean of 26`` for the mean of a family's comparisons.
    weights : dict of str to float
        By case; the difference is the sum of weights times scores.
    """

    family: str
    name: str
    weights: dict


def list_comparisons(cases):
    """Return the comparisons that a set of cases allows.

    Parameters
    ----------
    cases : collection of str
        Names of cases, ``stn-gse``, ``mtn-gse``, ``wstn-3`` or ``wstn-3-softmax``.

    Returns
    -------
    list of Comparison
        By family, the mean of its comparisons last. An MTN of one task is an STN: it is no MTN
        here, and adding g to it is no comparison of MTNs.
    """
    combined = task_combinations(ALL_TASKS)
    combinations = {
        "stn": [tasks for tasks in combined if f"stn-{tasks}" in cases],
        "mtn": [tasks for tasks in combined if len(tasks) > 1 and f"mtn-{tasks}" in cases],
    }
    found = []

    def add(family, plus, minus):
        one = plus[0] if len(plus) == 1 else _mean_name(plus)
        weights = {case: 1 / len(plus) for case in plus} | {minus: -1.0}
        found.append(Comparison(family, f"{one} - {minus}", weights))

    def add_mean(family, prefix=""):
        of_family = [c for c in found if c.family == family and c.name.startswith(prefix)]
        if len(of_family) > 1:
            total = Counter()
            for comparison in of_family:
                total.update(comparison.weights)
            weights = {case: weight / len(of_family) for case, weight in total.items()}
            name = f"mean of {len(of_family)}"
            found.append(Comparison(family, f"{prefix}: {name}" if prefix else name, weights))

    for tasks in combinations["mtn"]:
        if tasks in combinations["stn"]:
            add("mtn_vs_stn", [f"mtn-{tasks}"], f"stn-{tasks}")
    add_mean("mtn_vs_stn")

    for system, there in combinations.items():
        for tasks in there:
            # g is the first letter of every combination that has it.
            if "g" not in tasks and f"g{tasks}" in there:
                add("with_g_vs_without", [f"{system}-g{tasks}"], f"{system}-{tasks}")
        add_mean("with_g_vs_without", system)

    for system, there in combinations.items():
        for n in WIDE:
            of_size = [f"{system}-{tasks}" for tasks in there if len(tasks) == n]
            if of_size and "stn-g" in cases:
                add("n_tasks_vs_one", of_size, "stn-g")

    for n in WIDE:
        of_size = [f"mtn-{tasks}" for tasks in combinations["mtn"] if len(tasks) == n]
        for wide in (f"wstn-{n}", f"wstn-{n}-softmax"):
            if of_size and wide in cases:
                add("vs_wstn", of_size, wide)
    return found


def is_mean(name):
    """Return whether a comparison of this name is the mean of others of its family."""
    return " - " not in name


def compare_systems(metrics, sizes):
    """Compare the systems over splits.

    Parameters
    ----------
    metrics : pandas.DataFrame
        The content of ``tables/metrics.csv``. Splits are repeats of one kind, ``random``,
        ``random-2`` and so on; the seeds of a split are averaged first.
    sizes : dict of str to tuple of int
        Number of training and of evaluation tracks of each split.

    Returns
    -------
    pandas.DataFrame
        A row per comparison and score, columns :data:`COMPARISON_COLUMNS`: mean `difference` over
        the splits; interval `low` to `high` and `p` of :func:`corrected_t`; `p_holm` over the
        comparisons of one family and score, NaN for means of several of them; `p_better`,
        `p_equal`, `p_worse` of :func:`rope_probabilities`; `detectable`, see
        :func:`detectable_difference`. With one split all of these but `difference` are NaN. The
        bootstrap's columns are NaN: see :func:`fill_bootstrap`.

    Raises
    ------
    UserError
        When there are no metrics, a case comes twice for one split and seed, the splits are of
        several kinds, or the size of one is not given.
    """
    splits = list(dict.fromkeys(metrics["split"]))
    _check_rows(metrics)
    _check_splits(splits, sizes)
    ratio = float(np.mean([sizes[split][1] / sizes[split][0] for split in splits]))
    scores = _mean_over_seeds(metrics)
    rows = []
    for comparison in list_comparisons(set(scores["log_loss"].columns)):
        for score in SCORES:
            differences = _weighted_sum(comparison, scores[score])
            test = corrected_t(differences, ratio)
            better, equal, worse = rope_probabilities(differences, ratio, BEST[score] == "min")
            rows.append(
                {
                    "family": comparison.family,
                    "comparison": comparison.name,
                    "score": score,
                    "n_splits": len(splits),
                    "difference": test.mean,
                    "low": test.low,
                    "high": test.high,
                    "p": test.p,
                    "p_better": better,
                    "p_equal": equal,
                    "p_worse": worse,
                    "detectable": detectable_difference(differences, ratio),
                }
            )
    table = pd.DataFrame(rows, columns=list(COMPARISON_COLUMNS))
    single = table[~table["comparison"].map(is_mean).astype(bool)]
    for _, group in single.groupby(["family", "score"]):
        table.loc[group.index, "p_holm"] = holm(group["p"])
    return table.astype(dict.fromkeys(COMPARISON_COLUMNS[4:], "float64"))


class Run(NamedTuple):
    """Scores of one case on one split with one seed, as they are and resampled.

    Attributes
    ----------
    n_tracks, n_artists : int
    scores : dict of str to float
        `log_loss`, `macro_f1`, `accuracy`.
    resampled : dict of str to ndarray, shape (n_resamples,)
        The same of every resample of artists; NaN with a single artist.
    """

    n_tracks: int
    n_artists: int
    scores: dict
    resampled: dict


def resample_runs(prediction_paths, artist, seed, n_resamples=N_RESAMPLES):
    """Score all cases on resamples of the evaluation tracks' artists.

    Every resample draws artists with replacement, each with all of its tracks, and is the same for
    all cases and splits, so that differences are paired. The artists drawn from are those of all
    splits together; a resample that leaves a split without a track is drawn again.

    Parameters
    ----------
    prediction_paths : iterable of str or pathlib.Path
        ``cases/{split}/seed{seed}/{case}/predictions.parquet``.
    artist : pandas.Series
        Artist of each track, by track_id.
    seed : int
        Keys the draws.
    n_resamples : int

    Returns
    -------
    dict of tuple to Run
        By split, seed and case.

    Raises
    ------
    UserError
        When there is no path, or one that does not follow the layout, a file cannot be read as
        predictions, a track has no artist, or the cases of one split are not of the same tracks.
    """
    paths = {_run_of_path(path): Path(path) for path in prediction_paths}
    if not paths:
        raise UserError("There is no predictions.parquet to resample; evaluate the cases first.")
    artists = {}
    for (split, _, _), path in paths.items():
        if split not in artists:
            artists[split] = _artists_of(_read_columns(path, ["track_id"])["track_id"], artist)
    everyone = np.unique(np.concatenate([series.to_numpy() for series in artists.values()]))
    members = {split: np.unique(series) for split, series in artists.items()}
    columns = {split: np.searchsorted(everyone, found) for split, found in members.items()}
    weights = _draw_for_all(len(everyone), list(columns.values()), n_resamples, seed)
    runs = {}
    last_split = None
    ordered = sorted(paths.items())
    for (split, run_seed, case), path in progress(ordered, "bootstrap", len(ordered)):
        if split != last_split:
            of_split, last_split = weights[:, columns[split]].astype(np.float64), split
        frame = _read_columns(path)
        tracks = artists[split]
        if not frame["track_id"].isin(tracks.index).all() or len(frame) != len(tracks):
            raise UserError(
                f"{path} is not of the same tracks as the other cases of split {split!r}; "
                "make the split's cases again."
            )
        sums = _sums(frame, path, tracks, members[split])
        resampled = resampled_scores(sums, of_split)
        if len(members[split]) == 1:
            resampled = {score: np.full(n_resamples, np.nan) for score in resampled}
        as_is = resampled_scores(sums, np.ones((1, len(members[split]))))
        scores = {score: float(value[0]) for score, value in as_is.items()}
        runs[split, run_seed, case] = Run(len(frame), len(members[split]), scores, resampled)
    return runs


def fill_bootstrap(comparisons, metrics, runs):
    """Fill the bootstrap's columns of the comparisons.

    Seeds and splits are averaged within each resample as they are in `difference`, so that the
    interval is of the same number. It holds splits and trainings fixed.

    Parameters
    ----------
    comparisons : pandas.DataFrame
        From :func:`compare_systems`.
    metrics : pandas.DataFrame
        What it was called with.
    runs : dict
        From :func:`resample_runs`.

    Returns
    -------
    pandas.DataFrame
        With `bootstrap_low` and `bootstrap_high`.

    Raises
    ------
    UserError
        When a case that is compared has no predictions.
    """
    comparisons = comparisons.copy()
    cases = set(_mean_over_seeds(metrics)["log_loss"].columns)
    questions = {(c.family, c.name): c for c in list_comparisons(cases)}
    needed = {case for comparison in questions.values() for case in comparison.weights}
    seeds = metrics.groupby("split")["seed"].unique()
    for split, case in ((split, case) for split in seeds.index for case in sorted(needed)):
        for seed in seeds[split]:
            if (split, seed, case) not in runs:
                raise UserError(
                    f"Case {case} of split {split!r} and seed {seed} is in the metrics, but its "
                    "predictions.parquet is not given; give those of all cases."
                )
    # Mean over the seeds of a split, then over splits, as of the metrics.
    means = {
        (case, score): np.mean(
            [
                np.mean([runs[split, seed, case].resampled[score] for seed in seeds[split]], axis=0)
                for split in seeds.index
            ],
            axis=0,
        )
        for case in needed
        for score in SCORES
    }
    for row in comparisons.itertuples():
        weights = questions[row.family, row.comparison].weights
        differences = sum(weight * means[case, row.score] for case, weight in weights.items())
        interval = percentile_interval(differences)
        comparisons.loc[row.Index, ["bootstrap_low", "bootstrap_high"]] = interval
    return comparisons


def bootstrap_cases(runs):
    """Return the scores of every case with the bootstrap's interval.

    Parameters
    ----------
    runs : dict
        From :func:`resample_runs`.

    Returns
    -------
    pandas.DataFrame
        A row per split, seed and case: `split`, `seed`, `case`, `n_tracks`, `n_artists`, then
        `log_loss`, `log_loss_low`, `log_loss_high`, and so on for `macro_f1` and `accuracy`.
    """
    rows = []
    for (split, seed, case), run in runs.items():
        row = {"split": split, "seed": seed, "case": case}
        row |= {"n_tracks": run.n_tracks, "n_artists": run.n_artists}
        for score in BOOTSTRAP_SCORES:
            low, high = percentile_interval(run.resampled[score])
            row |= {score: run.scores[score], f"{score}_low": low, f"{score}_high": high}
        rows.append(row)
    return pd.DataFrame(rows)


def bootstrap_genres(path, artist, seed, n_resamples=N_RESAMPLES):
    """Return F1 of every genre of one case with the bootstrap's interval.

    Parameters
    ----------
    path : str or pathlib.Path
        The case's ``predictions.parquet``.
    artist, seed, n_resamples
        As in :func:`resample_runs`.

    Returns
    -------
    pandas.DataFrame
        A row per genre: `genre`, `support` (tracks), `n_artists` (that have them), `f1`, `low`,
        `high`. The interval leaves out resamples in which the genre is neither true nor predicted,
        and is NaN for a genre of fewer than two artists.
    """
    frame = _read_columns(path)
    tracks = _artists_of(frame["track_id"], artist)
    members = np.unique(tracks)
    sums = _sums(frame, path, tracks, members)
    weights = draw_artists(len(members), n_resamples, generator(seed, "bootstrap artists"))
    resampled = resampled_f1(sums, weights)
    genres = [column for column in frame if column not in ("track_id", "genre_top")]
    table = pd.DataFrame(
        {
            "genre": genres,
            "support": sums.support.sum(axis=0),
            "n_artists": (sums.support > 0).sum(axis=0),
            "f1": resampled_f1(sums, np.ones((1, len(members))))[0],
        }
    )
    intervals = [percentile_interval(values) for values in resampled.T]
    table[["low", "high"]] = np.array(intervals)
    table.loc[table["n_artists"] < 2, ["low", "high"]] = np.nan
    return table


def write_comparisons(
    metrics_csv,
    split_paths,
    prediction_paths,
    tracks_parquet,
    out_comparisons_csv,
    out_bootstrap_csv,
    seed,
):
    """Compare the systems of a run or a study and write both tables.

    Parameters
    ----------
    metrics_csv : str or pathlib.Path
        ``tables/metrics.csv``, of one split or several, of all cases or some.
    split_paths : dict of str to path
        ``splits/{split}.parquet`` by split.
    prediction_paths : iterable of path
        ``cases/{split}/seed{seed}/{case}/predictions.parquet`` of all cases in `metrics_csv`.
    tracks_parquet : str or pathlib.Path
        ``corpus/tracks.parquet``.
    out_comparisons_csv, out_bootstrap_csv : str or pathlib.Path
        The tables of :func:`fill_bootstrap` and :func:`bootstrap_cases`, to six digits.
    seed : int
        Keys the bootstrap.

    Raises
    ------
    UserError
        As the functions called.
    """
    metrics = read_text_table(metrics_csv, COLUMNS)
    metrics["seed"] = numbers(metrics, "seed", metrics_csv, 0, np.inf, whole=True)
    metrics["log_loss"] = numbers(metrics, "log_loss", metrics_csv, 0, np.inf)
    metrics["macro_f1"] = numbers(metrics, "macro_f1", metrics_csv, 0, 1)
    sizes = {
        split: tuple(len(read_part(path, part)) for part in ("train", "evaluation"))
        for split, path in split_paths.items()
    }
    comparisons = compare_systems(metrics, sizes)
    tracks = pd.read_parquet(tracks_parquet, columns=["track_id", "artist_id"])
    runs = resample_runs(prediction_paths, tracks.set_index("track_id")["artist_id"], seed)
    comparisons = fill_bootstrap(comparisons, metrics, runs)
    # Sums in another order, as in another BLAS, change no digit that is written.
    for table, path in (
        (comparisons, out_comparisons_csv),
        (bootstrap_cases(runs), out_bootstrap_csv),
    ):
        with replacing(path) as temporary:
            table.to_csv(temporary, index=False, float_format="%.6g")


def describe_comparison(row):
    """Say in one sentence what a comparison shows, and what it cannot show.

    Parameters
    ----------
    row : pandas.Series or namedtuple
        A row of :func:`compare_systems`.

    Returns
    -------
    str
        Without capital and full stop.
    """
    if row.n_splits < 2:
        return ONE_SPLIT
    alone = np.isnan(row.p_holm)
    p = row.p if alone else row.p_holm
    shown = f"p {'= ' if p >= 0.001 else '< '}{max(p, 0.001):.2g}"
    if not alone:
        shown += " after Holm"
    if p < ALPHA:
        better = row.difference < 0 if BEST[row.score] == "min" else row.difference > 0
        reading = f"significantly {'better' if better else 'worse'} ({shown})"
    else:
        # True of one comparison alone; under Holm's correction still more would be missed.
        reading = (
            f"not significant ({shown}); a true difference below {row.detectable:.2g} would be "
            f"missed with a chance of more than {_percent(1 - POWER)}"
        )
    if row.p_equal >= 1 - ALPHA:
        reading += f"; practically equal with a probability of {row.p_equal:.2f}"
    return reading


def comparisons_markdown(comparisons, provenance=None):
    """Return the comparisons as ``tables/comparisons.md``.

    Parameters
    ----------
    comparisons : pandas.DataFrame
        From :func:`fill_bootstrap`, or read from ``comparisons.csv``.
    provenance : str, optional
        Hash of the run's provenance.

    Returns
    -------
    str
        Means of families first, then family by family.
    """
    several = bool((comparisons["n_splits"] > 1).any())
    lines = [f"# {TITLE}", "", _about(comparisons)]
    means = comparisons["comparison"].map(is_mean).astype(bool)
    if means.any():
        lines += ["", "## Means of several comparisons", ""]
        lines += _table(comparisons[means], several, families=True)
    for family, title in FAMILIES.items():
        rows = comparisons[(comparisons["family"] == family) & ~means]
        if len(rows):
            lines += ["", f"## {title}", "", *_table(rows, several)]
    if provenance is not None:
        lines += ["", f"Provenance: {provenance}"]
    return "\n".join(lines) + "\n"


def comparisons_latex(comparisons, provenance):
    """Return the comparisons as ``tables/comparisons.tex``, means of families first.

    Parameters
    ----------
    comparisons, provenance
        As in :func:`comparisons_markdown`.

    Returns
    -------
    str
    """
    table, notes = _one_table(comparisons)
    text = latex_table(table, f"{TITLE}.", "tab:comparisons", notes=notes)
    return f"% Provenance: {provenance}\n{text}"


def comparisons_html(comparisons):
    """Return the comparisons as ``tables/comparisons.html``, means of families first.

    Parameters
    ----------
    comparisons
        As in :func:`comparisons_markdown`.

    Returns
    -------
    str
    """
    table, notes = _one_table(comparisons)
    table["difference"] = table["difference"].str.replace("-", MINUS)
    bold = pd.DataFrame(False, table.index, table.columns)
    return html_page(table, bold, [i > 1 for i in range(table.shape[1])], TITLE, notes)


def _one_table(comparisons):
    """Return all comparisons as text in one table, means first, and the notes under it."""
    means = comparisons["comparison"].map(is_mean).astype(bool)
    rows = pd.concat([comparisons[means], comparisons[~means]])
    # A mean's name does not say of what.
    of_family = rows["family"].map(FAMILIES) + ": " + rows["comparison"]
    columns = {
        "comparison": of_family.where(means.loc[rows.index], rows["comparison"]),
        "score": rows["score"].str.replace("_", " ").str.replace("f1", "F1"),
        "difference": rows["difference"].map(_signed),
    }
    if (comparisons["n_splits"] > 1).any():
        shares = rows[["p_better", "p_equal", "p_worse"]].to_numpy()
        columns |= {
            f"{_percent(1 - ALPHA)} interval": _intervals(rows["low"], rows["high"]),
            "p": [f"{p:.3f}" for p in rows["p_holm"].fillna(rows["p"])],
            "better / equal / worse": [" / ".join(f"{p:.2f}" for p in row) for row in shares],
            "detectable": [f"{value:.2g}" for value in rows["detectable"]],
        }
    columns["bootstrap"] = _intervals(rows["bootstrap_low"], rows["bootstrap_high"])
    notes = [_about(comparisons)]
    if "p" in columns:
        notes.append("p of single comparisons: after Holm within their family.")
    return pd.DataFrame(columns).reset_index(drop=True), notes


def _intervals(low, high):
    """Return intervals as text with signs that print as such."""
    return [_interval(*pair).replace("-", MINUS) for pair in zip(low, high, strict=True)]


def _percent(share):
    """Return a share for print: 0.95 as ``95 %``."""
    return f"{100 * share:.0f} %"


def _mean_name(cases):
    system, tasks = cases[0].split("-")
    return f"mean of {len(cases)} {system} of {len(tasks)} tasks"


def _check_rows(metrics):
    """Refuse metrics without rows, or with two for one case."""
    if metrics.empty:
        raise UserError("There are no metrics to compare; evaluate the cases first.")
    twice = metrics.duplicated(["split", "seed", "case"])
    if twice.any():
        split, seed, case = metrics.loc[twice, ["split", "seed", "case"]].iloc[0]
        raise UserError(
            f"The metrics have case {case} twice for split {split!r} and seed {seed}; "
            "remove one of the rows."
        )


def _check_splits(splits, sizes):
    """Refuse splits that are no repeats of one another, or whose size is not known."""
    kinds = set()
    for split in splits:
        kind, _, number = split.rpartition("-")
        kinds.add(kind if kind and number.isdecimal() else split)
        if split not in sizes:
            raise UserError(
                f"The metrics have split {split!r}, whose splits/{split}.parquet is not given; "
                "give the files of all splits."
            )
    if len(kinds) > 1:
        raise UserError(
            f"The metrics mix splits of different kinds ({', '.join(sorted(kinds))}), whose scores "
            "mean different things; compare one kind at a time."
        )


def _mean_over_seeds(metrics):
    """Return by score a frame of splits x cases, only of cases that every split and seed has."""
    runs = metrics.set_index(["split", "seed", "case"])[list(SCORES)].unstack("case")
    scores = {score: runs[score] for score in SCORES}
    whole = ~np.logical_or.reduce([frame.isna().any() for frame in scores.values()])
    left_out = sorted(scores["log_loss"].columns[~whole])
    if left_out:
        logger.warning(
            "Not compared, because not every split and seed has them: %s", ", ".join(left_out)
        )
    return {
        score: frame.loc[:, whole].groupby(level="split").mean() for score, frame in scores.items()
    }


def _weighted_sum(comparison, scores):
    """Return the comparison's difference on every split."""
    weights = pd.Series(comparison.weights)
    return scores[weights.index].to_numpy() @ weights.to_numpy()


def _run_of_path(path):
    """Return split, seed and case of a prediction file."""
    parts = Path(path).parts[-5:]
    seed = parts[2].removeprefix("seed") if len(parts) == 5 else ""
    if not seed.isdigit() or parts[0] != "cases" or parts[4] != "predictions.parquet":
        raise UserError(f"{path} must end in cases/SPLIT/seedSEED/CASE/predictions.parquet.")
    return parts[1], int(seed), parts[3]


def _read_columns(path, columns=None):
    try:
        return pq.read_table(path, columns=columns).to_pandas()
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path} cannot be read as predictions ({error}); make the case again."
        ) from None


def _artists_of(track_ids, artist):
    """Return the artist of each track, by track_id."""
    found = artist.reindex(track_ids)
    if found.isna().any():
        raise UserError(
            f"Track {found.index[found.isna()][0]} of the predictions has no artist in "
            "corpus/tracks.parquet; make its cases again."
        )
    return found.astype(artist.dtype)


def _sums(frame, path, tracks, members):
    """Return the :class:`ArtistSums` of predictions; `members` are the artists in order."""
    try:
        probabilities, labels, _ = probabilities_and_labels(frame)
        artists = np.searchsorted(members, tracks.loc[frame["track_id"]].to_numpy())
        return sum_by_artist(probabilities, labels, artists, len(members))
    except ValueError as error:
        raise UserError(f"{path}: {error}; make the case again.") from None


def _draw_for_all(n_artists, columns, n_resamples, seed):
    """Draw artists so that every split keeps some; int16, which is a quarter of the memory."""
    rng = generator(seed, "bootstrap artists")
    weights = draw_artists(n_artists, n_resamples, rng)
    while True:
        empty = np.any([weights[:, of_split].sum(axis=1) == 0 for of_split in columns], axis=0)
        if not empty.any():
            return weights.astype(np.int16)
        weights[empty] = draw_artists(n_artists, int(empty.sum()), rng)


def _about(comparisons):
    """Return what has to be known to read the tables."""
    n_splits = int(comparisons["n_splits"].max()) if len(comparisons) else 0
    direction = "Differences in log loss are better below zero, in macro F1 above it."
    if n_splits < 2:
        return (
            f"{ONE_SPLIT[0].upper()}{ONE_SPLIT[1:]}. {direction} Bootstrap: {_percent(1 - ALPHA)} "
            "interval. docs/statistics.md explains the method."
        )
    return (
        f"{n_splits} splits. {direction} Interval and p: corrected resampled t over splits. "
        f"Better, equal, worse: probabilities of the Bayesian correlated t, equal within {ROPE}. "
        f"Bootstrap: {_percent(1 - ALPHA)} interval over artists, splits and trainings held fixed. "
        "docs/statistics.md explains the methods."
    )


def _table(rows, several, families=False):
    """Return lines of a Markdown table."""
    names = ["comparison", "score", "difference"]
    names += [f"{_percent(1 - ALPHA)} interval", "better / equal / worse"] if several else []
    names += ["bootstrap", *(["reading"] if several else [])]
    left = ("family", "comparison", "score", "reading")
    names = ["family", *names] if families else names
    lines = [
        "| " + " | ".join(names) + " |",
        "| " + " | ".join(":---" if name in left else "---:" for name in names) + " |",
    ]
    for row in rows.itertuples():
        cells = [FAMILIES[row.family]] if families else []
        cells += [row.comparison, row.score.replace("_", " ").replace("f1", "F1")]
        cells.append(_signed(row.difference))
        if several:
            cells.append(_interval(row.low, row.high))
            cells.append(f"{row.p_better:.2f} / {row.p_equal:.2f} / {row.p_worse:.2f}")
        cells.append(_interval(row.bootstrap_low, row.bootstrap_high))
        if several:
            cells.append(describe_comparison(row))
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _interval(low, high):
    return "" if np.isnan(low) else f"{_signed(low)} to {_signed(high)}"


def _signed(value):
    # "+ 0" makes -0.0, what is left of -1e-17, plain zero.
    return f"{round(value, 4) + 0:+.4f}"
