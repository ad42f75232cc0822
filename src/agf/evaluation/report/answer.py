"""Question, and answer in short: what a reader takes away who reads nothing else."""

import pandas as pd

from agf.evaluation.metrics_file import average_cases
from agf.evaluation.report.cells import count, fixed
from agf.evaluation.report.statistics import main_comparison


def best_cases(metrics):
    """Return the distinct cases of lowest log loss and of highest macro F1.

    Parameters
    ----------
    metrics : pandas.DataFrame
        ``tables/metrics.csv``.

    Returns
    -------
    dict of str to pandas.Series
        Rows of :func:`agf.evaluation.metrics_file.average_cases` by score.
    """
    cases = average_cases(metrics)
    cases = cases[cases["alias_of"] == ""]
    return {
        "log_loss": cases.loc[cases["log_loss"].idxmin()],
        "macro_f1": cases.loc[cases["macro_f1"].idxmax()],
    }


def answer(metrics, baselines, bootstrap, comparisons):
    """Return the facts of the first section.

    Parameters
    ----------
    metrics : pandas.DataFrame
        ``tables/metrics.csv``.
    baselines : pandas.DataFrame or None
        From :func:`agf.evaluation.baselines.average_baselines`.
    bootstrap, comparisons : pandas.DataFrame or None
        ``tables/bootstrap.csv`` of the first split and seed, and ``tables/comparisons.csv``.

    Returns
    -------
    dict
        ``facts``: value, what it is, and a remark for each of the figures at the top;
        ``sentences``.
    """
    best = best_cases(metrics)
    n_tracks = sorted({int(n) for n in metrics["n_tracks"].dropna()})
    runs = metrics[["split", "seed"]].drop_duplicates()
    facts = [
        _best_fact(best["log_loss"], "log_loss", "lowest log loss", bootstrap, len(runs)),
        _best_fact(best["macro_f1"], "macro_f1", "highest macro F1", bootstrap, len(runs)),
    ]
    if baselines is not None:
        by_loss, by_f1 = _best_baselines(baselines)
        remark = (
            f"{by_loss['baseline']}; best macro F1 {by_f1['macro_f1']:.3f}, {by_f1['baseline']}"
        )
        facts.append((f"{by_loss['log_loss']:.3f}", "lowest log loss of a baseline", remark))
    tracks = f"{n_tracks[0]:,}" if len(n_tracks) == 1 else f"{n_tracks[0]:,} to {n_tracks[-1]:,}"
    facts.append((tracks, "evaluation tracks", _runs(runs)))
    sentences = [
        *_against_baselines(best, baselines),
        *_agf_against_genre(metrics),
        *_multi_against_single(metrics, main_comparison(comparisons)),
        _how_sure(n_tracks[0]),
    ]
    return {"facts": facts, "sentences": sentences}


def _best_fact(case, score, what, bootstrap, n_runs):
    remark = case["case"]
    if bootstrap is not None:
        rows = bootstrap[bootstrap["case"] == case["case"]]
        # An interval of one split says nothing about a mean over several.
        if len(rows) == 1 and n_runs == 1 and pd.notna(rows[f"{score}_low"].iloc[0]):
            ends = (rows[f"{score}_{end}"].iloc[0] for end in ("low", "high"))
            remark += ", 95 % interval {:.3f} to {:.3f}".format(*ends)
    return f"{case[score]:.3f}", what, remark


def _runs(runs):
    splits, seeds = runs["split"].nunique(), runs["seed"].nunique()
    if len(runs) == 1:
        return f"one split ({runs['split'].iloc[0]}), one seed"
    return f"in each of {len(runs)} runs: {count(splits, 'split')}, {count(seeds, 'seed')}"


def _best_baselines(baselines):
    """Return the baselines of lowest log loss and of highest macro F1."""
    return (
        baselines.loc[baselines["log_loss"].idxmin()],
        baselines.loc[baselines["macro_f1"].idxmax()],
    )


def _against_baselines(best, baselines):
    """Compare the best cases with the best baseline in each score."""
    if baselines is None:
        return []
    by_loss, by_f1 = _best_baselines(baselines)
    case, other = best["log_loss"], best["macro_f1"]
    beats = "beats" if case["log_loss"] < by_loss["log_loss"] else "does not beat"
    beats_f1 = "beats" if other["macro_f1"] > by_f1["macro_f1"] else "does not beat"
    return [
        f"In log loss {case['case']} {beats} the best baseline, {by_loss['baseline']}: "
        f"{case['log_loss']:.3f} against {by_loss['log_loss']:.3f} nats a track. In macro F1 "
        f"{other['case']} {beats_f1} the best, {by_f1['baseline']}: {other['macro_f1']:.3f} "
        f"against {by_f1['macro_f1']:.3f}."
    ]


def _agf_against_genre(metrics):
    cases = average_cases(metrics).set_index("case")
    with_agf = cases[cases["tasks"] != "g"]
    with_agf = with_agf[with_agf["alias_of"] == ""]
    if "stn-g" not in cases.index or with_agf.empty:
        return []
    genre = cases.loc["stn-g"]
    ours = with_agf["log_loss"] < genre["log_loss"]
    return [
        f"The network of genre alone, stn-g, reaches {genre['log_loss']:.3f} (macro F1 "
        f"{genre['macro_f1']:.3f}). Of {count(len(with_agf), 'case')} with artist group factors "
        f"{ours.sum()} have a lower log loss, and "
        f"{(with_agf['macro_f1'] > genre['macro_f1']).sum()} a higher macro F1."
    ]


def multi_against_single(metrics):
    """Return the differences MTN minus STN over the combinations of two tasks and more.

    Parameters
    ----------
    metrics : pandas.DataFrame
        ``tables/metrics.csv``; a combination counts where it has both.

    Returns
    -------
    pandas.DataFrame
        By combination: ``log_loss`` and ``macro_f1``.
    """
    cases = average_cases(metrics)
    cases = cases[cases["n_tasks"] > 1]
    wide = cases[cases["system"].isin(["stn", "mtn"])].pivot(
        index="tasks", columns="system", values=["log_loss", "macro_f1"]
    )
    if not {"stn", "mtn"} <= set(wide.columns.get_level_values("system")):
        return pd.DataFrame(columns=["log_loss", "macro_f1"])
    return (wide.xs("mtn", axis=1, level=1) - wide.xs("stn", axis=1, level=1)).dropna()


def _multi_against_single(metrics, uncertainty):
    differences = multi_against_single(metrics)
    if differences.empty:
        return []
    loss, f1 = differences["log_loss"], differences["macro_f1"]
    means = (fixed(value, signed=True) for value in (loss.mean(), f1.mean()))
    return [
        "One network of several tasks (MTN) against one network a task (STN), over "
        f"{count(len(differences), 'combination')}: log loss {next(means)} on average, the MTN "
        f"better in {(loss < 0).sum()}; macro F1 {next(means)}, the MTN better in "
        f"{(f1 > 0).sum()}. "
        + (
            uncertainty
            or "The combinations share networks and tracks, so these counts are not independent "
            "trials, and the run has no statistics that would say how sure this is."
        )
    ]


def _how_sure(n_tracks):
    return (
        f"With {count(n_tracks, 'evaluation track')} one track is {100 / n_tracks:.2g} points of "
        "accuracy. The best case is chosen by the tracks that score it, so on new tracks it would "
        "likely score worse."
    )
