"""The same cases under other protocols and with other clusterings, side by side.

Source: section 6 of Kim, Won, Serra and Liem (WWW'18) asks for other clusterings. The published
code fits the transfer MLP on evaluation tracks as well; what such leaks do to the scores is seen
beside the run's own protocol.
"""

from pathlib import Path
from statistics import mean
from string import ascii_uppercase

import pandas as pd

from agf.corpus.tracks import read_part
from agf.evaluation.documents import write_table
from agf.evaluation.metrics_file import (
    SCORES,
    average_cases,
    count_runs,
    gather_metrics,
    score_deviations,
)
from agf.evaluation.statistics import corrected_t
from agf.evaluation.tables import SYSTEM_LABELS, deviation_of

GROUP = ["system", "n_tasks"]

TRACKS = {"train": "training tracks", "all": "all tracks"}
"""How tracks that something is fitted on are called in a table."""


def tabulate_variants(variants):
    """Return the mean scores of every variant by system and number of tasks.

    Parameters
    ----------
    variants : list of tuple
        Of each variant the columns that tell what it is (dict), its metrics (as
        :func:`agf.evaluation.metrics_file.read_metrics` returns them) and the ratio of evaluation
        to training tracks.

    Returns
    -------
    pandas.DataFrame
        The variant's columns, `system`, `n_tasks`, `n_cases`, `n_runs`, then for each score its
        mean over cases, seeds and splits, `*_sd` (between splits), `difference_from_g_*` (mean
        minus that of stn-g, NaN where there is none or where it is stn-g) and `..._low`,
        `..._high`: its 95 % interval by the corrected resampled t test, NaN of a single split.
    """
    tables = []
    for columns, metrics, ratio in variants:
        cases = average_cases(metrics)
        means = cases.groupby(GROUP, sort=False)[list(SCORES)].mean()
        deviations = score_deviations(metrics, GROUP)
        table = means.reset_index()
        for name, value in reversed(columns.items()):
            table.insert(0, name, value)
        counts = cases.groupby(GROUP, sort=False).size()
        table.insert(len(columns) + 2, "n_cases", counts.to_numpy())
        table.insert(len(columns) + 3, "n_runs", count_runs(metrics))
        for score in SCORES:
            table[deviation_of(score)] = deviations.loc[means.index, score].to_numpy()
            gains = _gains(metrics, cases, score)
            found = [_interval(gains.get(group), ratio) for group in means.index]
            names = [f"difference_from_g_{score}{end}" for end in ("", "_low", "_high")]
            table[names] = found
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def write_leakage(protocols, results, corpus, provenance, stem):
    """Write the table of protocols.

    Parameters
    ----------
    protocols : list of tuple
        Of each protocol :class:`agf.study.Protocol` and its runs, as :func:`agf.study.runs` lists
        them; the run's own first.
    results : str or pathlib.Path
        ``results/{corpus}``.
    corpus : str
        Name of the corpus.
    provenance : str
        Hash of the run's provenance.
    stem : str or pathlib.Path
        ``tables/leakage``, to which ``.csv``, ``.md`` and ``.tex`` are added.

    Returns
    -------
    list of pathlib.Path
        The files written.
    """
    variants = []
    for protocol, runs in protocols:
        columns = {
            "protocol": describe_protocol(protocol),
            "split_kind": protocol.kind,
            "fit_on": protocol.fit_on,
            "fit_rows": protocol.fit_rows,
        }
        variants.append((columns, *_read_runs(runs, results, corpus)))
    table = tabulate_variants(variants)
    letters = dict(zip(table["protocol"].unique(), ascii_uppercase, strict=False))
    legend = [f"{letter}: {protocol}." for protocol, letter in letters.items()]
    sentences = [
        " ".join(legend),
        f"Corpus {corpus}. Means over all cases of N tasks; A is the run's own protocol.",
        "Groups fitted on all tracks, or an MLP fitted on all tracks, have seen the evaluation "
        "tracks: their scores cannot be compared with those of other work. Networks that learn "
        "genre alone know no groups, and a wSTN's softmax no MLP: their values repeat.",
        *_reading(table.assign(protocol=table["protocol"].map(letters)), "protocol"),
    ]
    shown = _side_by_side(table, letters)
    title = "The same cases under each protocol"
    return write_table(Path(stem), table, title, sentences, provenance=provenance, shown=shown)


def write_clusterings(clusterings, results, corpus, provenance, stem):
    """Write the table of clusterings.

    Parameters
    ----------
    clusterings : list of tuple
        Of each clustering :class:`agf.study.Clustering` and its runs.
    results, corpus, provenance
        As in :func:`write_leakage`.
    stem : str or pathlib.Path
        ``tables/clusterings``.

    Returns
    -------
    list of pathlib.Path
        The files written.
    """
    variants = []
    for clustering, runs in clusterings:
        words = "/".join(map(str, clustering.words))
        columns = {
            "clustering": f"{clustering.dictionary} {words}, {clustering.groups} "
            f"{clustering.n_topics}",
            "dictionary": clustering.dictionary,
            "words": words,
            "groups": clustering.groups,
            "n_topics": clustering.n_topics,
        }
        variants.append((columns, *_read_runs(runs, results, corpus)))
    table = tabulate_variants(variants)
    sentences = [
        f"Corpus {corpus}. Means over all cases of N tasks; the first clustering is the run's own. "
        "Dictionary with its words for MFCC, dMFCC and Essentia, then how artists are grouped and "
        "into how many groups.",
        *_reading(table, "clustering"),
    ]
    title = "The same cases with each clustering"
    shown = _one_below_another(table)
    return write_table(Path(stem), table, title, sentences, provenance=provenance, shown=shown)


def describe_protocol(protocol):
    """Return a protocol in words.

    Parameters
    ----------
    protocol : agf.study.Protocol

    Returns
    -------
    str
        For example ``random split; groups: training tracks; MLP: all tracks``.
    """
    return (
        f"{protocol.kind} split; groups: {TRACKS[protocol.fit_on]}; "
        f"MLP: {TRACKS[protocol.fit_rows]}"
    )


def _read_runs(runs, results, corpus):
    """Return the metrics of runs, and evaluation tracks per training track, a mean over splits."""
    rows = [
        (split, seed, name, Path(results, at, "metrics.json")) for split, seed, name, at in runs
    ]
    metrics = gather_metrics(rows, corpus)
    ratios = []
    for split in metrics["split"].unique():
        path = Path(results, "splits", f"{split}.parquet")
        n_train, n_evaluation = (len(read_part(path, part)) for part in ("train", "evaluation"))
        ratios.append(n_evaluation / n_train)
    return metrics, mean(ratios)


def _gains(metrics, cases, score):
    """Return, by system and number of tasks, the mean of the cases minus stn-g for each split."""
    by_split = metrics.groupby(["split", "case"], sort=False)[score].mean().unstack("case")
    if "stn-g" not in by_split:
        return {}
    gains = {}
    for group, rows in cases.groupby(GROUP, sort=False):
        if set(rows["case"]) - {"stn-g", "mtn-g"}:
            gains[group] = (by_split[rows["case"]].mean(axis=1) - by_split["stn-g"]).to_numpy()
    return gains


def _interval(differences, ratio):
    if differences is None:
        return (float("nan"),) * 3
    result = corrected_t(differences, ratio)
    return float(differences.mean()), float(result.low), float(result.high)


def _reading(table, variant):
    """Say for the STN and MTN of most tasks how far they are from stn-g, variant by variant."""
    sentences = []
    name = "difference_from_g_log_loss"
    for system in ("stn", "mtn"):
        rows = table[(table["system"] == system) & table[name].notna()]
        if rows.empty:
            continue
        rows = rows[rows["n_tasks"] == rows["n_tasks"].max()]
        found = []
        for row in rows.to_dict("records"):
            text = _signed(*(row[f"{name}{end}"] for end in ("", "_low", "_high")))
            found.append(f"{row[variant]} {text}")
        several = "of one run, so that chance alone may have made it"
        if rows[f"{name}_low"].notna().any():
            several = "with its 95 % interval by the corrected resampled t test"
        sentences.append(
            f"Log loss of {SYSTEM_LABELS[system]} with {rows['n_tasks'].iloc[0]} tasks minus that "
            f"of stn-g, {several}: {'; '.join(found)}."
        )
    return sentences


def _side_by_side(table, letters):
    """Return what a page takes of the protocols: a column for each, its scores by N."""
    rows = table[[*GROUP, "n_cases"]].drop_duplicates().reset_index(drop=True)
    for score in SCORES:
        for protocol, letter in letters.items():
            found = table[table["protocol"] == protocol].set_index(GROUP)
            found = found.reindex(pd.MultiIndex.from_frame(rows[GROUP]))
            rows[f"{letter}_{score}"] = found[score].to_numpy()
            rows[deviation_of(f"{letter}_{score}")] = found[deviation_of(score)].to_numpy()
    rows["system"] = rows["system"].map(SYSTEM_LABELS)
    return rows.rename(columns={"n_cases": "cases"})


def _one_below_another(table):
    """Return what a page takes of the clusterings, of which there may be many."""
    names = [table.columns[0], *GROUP, "n_cases", "n_runs"]
    shown = table[
        [*names, *(column for score in SCORES for column in (score, deviation_of(score)))]
    ]
    shown = shown.rename(columns={"n_cases": "cases", "n_runs": "runs"})
    shown["system"] = shown["system"].map(SYSTEM_LABELS)
    for score in SCORES:
        name = f"difference_from_g_{score}"
        columns = (table[f"{name}{end}"] for end in ("", "_low", "_high"))
        shown[f"{score}_minus_stn-g"] = [_signed(*row) for row in zip(*columns, strict=True)]
    return shown


def _signed(value, low, high):
    if pd.isna(value):
        return ""
    interval = "" if pd.isna(low) else f" ({low:+.4f} to {high:+.4f})"
    return f"{value:+.4f}{interval}"
