"""A small results folder with every file that a report can be made of, without running anything."""

from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from agf.evaluation.metrics import evaluate_predictions
from agf.evaluation.metrics_file import average_cases
from agf.evaluation.tables import table3, table4, table5
from agf.files import write_json, write_parquet, write_text
from agf.tasks import AGF_TASKS, all_cases, all_networks, task_combinations

ROOT = Path(__file__).parents[1]
GENRES = ("Electronic", "Folk", "Hip-Hop", "Rock & <Roll>")
ARTISTS = 12
ODD_ARTIST = "<script>alert(1)</script> & \"Søn\" 'R'"
EVALUATED = 40


def write_run(results, splits=("random",), combinations=None, extras=True, fit_rows=None):
    """Write ``results/{corpus}`` as a finished run would leave it.

    Parameters
    ----------
    results : pathlib.Path
        The folder; its name is the corpus.
    splits : sequence of str
        Splits of the run, seed 0 in each.
    combinations : sequence of str, optional
        Task combinations whose cases the run has; by default all 31.
    extras : bool
        Whether to write statistics, leakage, clusterings and the planted sweep.
    fit_rows : str, optional
        Value of ``transfer.fit_rows`` in the configuration.
    """
    combinations = combinations or task_combinations()
    rng = np.random.default_rng(1)
    write_corpus(results, splits, rng)
    metrics = pd.concat(
        [write_cases(results, split, combinations, rng) for split in splits], ignore_index=True
    )
    write_tables(results, metrics)
    for split in splits:
        write_networks(results, split, combinations, rng)
        write_targets(results, split, rng)
    write_provenance(results, fit_rows)
    for name in ("collect_metrics", "train_network/random/seed0/stn-g", "extract_mel/000-of-004"):
        write_text(
            "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"
            f"{len(name) * 3.5}\t0:00:10\t{len(name) * 20}.5\t1\t1\t1\t0\t0\t90\t9\n",
            results / f"benchmarks/{name}.tsv",
        )
    if extras:
        write_extras(results, metrics, splits)


def write_corpus(results, splits, rng):
    n = 4 * EVALUATED
    artists = rng.integers(0, ARTISTS, n)
    names = [ODD_ARTIST, *(f"Artist {i}" for i in range(1, ARTISTS))]
    tracks = pd.DataFrame(
        {
            "track_id": np.arange(n),
            "artist_id": artists,
            "artist": [names[artist] for artist in artists],
            "genre_top": [GENRES[artist % len(GENRES)] for artist in artists],
            "genres": [[int(artist) % len(GENRES)] for artist in artists],
        }
    )
    write_parquet(tracks, results / "corpus/tracks.parquet")
    rows = [("sizes", m, "", s, k) for m, s, k in (("tracks", n + 3, n), ("artists", 13, ARTISTS))]
    rows += [("top genres", "tracks", g, c, c) for g, c in tracks.genre_top.value_counts().items()]
    rows += [("rejected", "tracks", "unreadable", 2, 0), ("rejected", "tracks", "silent", 1, 0)]
    for split in splits:
        rows += [
            (f"split {split}", "tracks", "train", None, n - EVALUATED),
            (f"split {split}", "tracks", "evaluation", None, EVALUATED),
            (f"split {split}", "artists in both train and evaluation", "", None, ARTISTS),
            (
                f"split {split}",
                "share of evaluation tracks whose artist is in training",
                "",
                None,
                0.75,
            ),
        ]
    columns = ["section", "measure", "group", "scanned", "kept"]
    audit = pd.DataFrame(rows, columns=columns).astype({"scanned": float, "kept": float})
    write_parquet(audit, results / "corpus/audit.parquet")


def write_cases(results, split, combinations, rng):
    """Write predictions of all cases, and return their rows of ``metrics.csv``."""
    labels = np.arange(EVALUATED) % len(GENRES)
    rows, scores = [], {}
    for case in all_cases():
        if case.kind != "wstn" and case.tasks not in combinations:
            continue
        if case.alias_of is None:
            raw = rng.gumbel(size=(EVALUATED, len(GENRES)))
            raw[np.arange(EVALUATED), labels] += 1.5 + 0.2 * len(case.tasks)
            p = np.exp(raw) / np.exp(raw).sum(axis=1, keepdims=True)
            frame = pd.DataFrame({"track_id": np.arange(EVALUATED)})
            frame["genre_top"] = [GENRES[label] for label in labels]
            frame = pd.concat([frame, pd.DataFrame(p, columns=list(GENRES))], axis=1)
            folder = results / f"cases/{split}/seed0/{case.name}"
            write_parquet(frame, folder / "predictions.parquet")
            scores[case.name] = evaluate_predictions(frame)
        values = scores[case.alias_of or case.name]
        rows.append(
            {
                "corpus": results.name,
                "split": split,
                "seed": 0,
                "case": case.name,
                "network": "+".join(dict.fromkeys(case.networks)),
                "tasks": case.tasks,
                **{key: values[key] for key in ("log_loss", "macro_f1", "accuracy", "n_tracks")},
            }
        )
    return pd.DataFrame(rows)


def write_tables(results, metrics):
    tables = results / "tables"
    write_text(metrics.to_csv(index=False), tables / "metrics.csv")
    for name, table in (
        ("table3", table3(metrics)),
        ("table4", table4(metrics)),
        ("table5", table5(metrics)),
    ):
        write_text(table.to_csv(index=False), tables / f"{name}.csv")
    baselines = pd.DataFrame(
        [("majority", 13.8, 0.1), ("prior", 1.39, 0.1), ("mfcc_mean_std", 0.9, 0.62)],
        columns=["baseline", "log_loss", "macro_f1"],
    ).assign(accuracy=0.5, n_tracks=EVALUATED)
    splits = [baselines.assign(split=split) for split in metrics["split"].unique()]
    baselines = pd.concat(splits)
    write_text(baselines.to_csv(index=False), tables / "baselines.csv")


def write_networks(results, split, combinations, rng):
    for network in all_networks():
        if network.kind != "wstn" and network.tasks not in combinations:
            continue
        folder = results / f"networks/{split}/seed0/{network.name}"
        tasks = [network.tasks[i % len(network.tasks)] for i in range(10 * len(network.tasks))]
        history = pd.DataFrame({"epoch": range(len(tasks)), "task": tasks})
        falling = 2 / np.sqrt(1 + history["epoch"])
        history["loss"] = 0.5 + falling + rng.normal(0, 0.03, len(tasks))
        write_parquet(history, folder / "history.parquet")
        values = {"training_loss": 1.0, "evaluation_mode_loss": 1.8, "gap_warning": False}
        values["gap_warning"] = network.name == "stn-m"
        summary = {"network": network.name, "tasks": {t: values for t in network.tasks}}
        write_json(summary, folder / "summary.json")


def write_targets(results, split, rng):
    folder = results / f"targets/{split}"
    for task in AGF_TASKS:
        shares = rng.dirichlet(np.full(4, 0.3), ARTISTS)
        if task == "e":
            shares[3] = np.nan
        frame = pd.DataFrame(shares, columns=[f"topic_{i:02d}" for i in range(4)])
        frame.insert(0, "n_tracks", rng.integers(1, 9, ARTISTS))
        frame.insert(0, "artist_id", np.arange(ARTISTS))
        write_parquet(frame, folder / f"{task}.parquet")
        words = pd.DataFrame({"topic": np.repeat(range(4), 3), "rank": [1, 2, 3] * 4})
        words["word"], words["weight"] = range(12), 0.2
        words["label"] = [f"Subgenre {i}" for i in range(12)] if task == "s" else ""
        write_text(words.to_csv(index=False), folder / f"{task}.top_words.csv")
    agreement = pd.DataFrame({"task": list(AGF_TASKS), "n_artists": ARTISTS})
    for name, value, chance in (("auc", 0.8, 0.5), ("ami", 0.4, 0.0)):
        agreement[name], agreement[f"{name}_null_mean"] = value, chance
        agreement[f"{name}_null_95"], agreement[f"{name}_p"] = chance + 0.1, 0.001
    write_text(agreement.to_csv(index=False), folder / "agreement.csv")


def write_provenance(results, fit_rows):
    configuration = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    configuration.pop("gpu_jobs_per_device")
    if fit_rows:
        configuration["transfer"]["fit_rows"] = fit_rows
    write_json(
        {
            "hash": "0123456789abcdef" * 4,
            "configuration": configuration,
            "code": {},
            "lock": "fedcba9876543210" * 4,
            "versions": {"python": "3.11.2", "numpy": "2.4"},
            "files": {"corpus/tracks.parquet": "00"},
            "hardware": {
                "processor": "A processor",
                "cores": 2,
                "memory_gigabytes": 8.0,
                "kernel": "Linux",
            },
            "commit": "abc1234",
        },
        results / "provenance.json",
    )


def write_extras(results, metrics, splits):
    tables = results / "tables"
    cases = average_cases(metrics)
    several = len(splits) > 1
    rows = []
    for comparison, family in (
        ("mtn-gs - stn-gs", "mtn_vs_stn"),
        ("mtn-ge - stn-ge", "mtn_vs_stn"),
        ("mean of 2", "mtn_vs_stn"),
        ("stn-gs - stn-s", "with_g_vs_without"),
        ("stn: mean of 15", "with_g_vs_without"),
    ):
        for score, difference in (("log_loss", -0.041), ("macro_f1", 0.012)):
            ends = (difference - 0.05, difference + 0.05)
            tested = (*ends, 0.21, 0.42, 0.5, 0.3, 0.2, 0.08) if several else (None,) * 8
            rows.append((family, comparison, score, len(splits), difference, *tested, *ends))
    columns = ["family", "comparison", "score", "n_splits", "difference", "low", "high"]
    columns += ["p", "p_holm", "p_better", "p_equal", "p_worse", "detectable"]
    comparisons = pd.DataFrame(rows, columns=[*columns, "bootstrap_low", "bootstrap_high"])
    write_text(comparisons.to_csv(index=False), tables / "comparisons.csv")

    bootstrap = metrics[["split", "seed", "case", "n_tracks"]].assign(n_artists=ARTISTS)
    for score in ("log_loss", "macro_f1", "accuracy"):
        bootstrap[score] = metrics[score]
        bootstrap[f"{score}_low"], bootstrap[f"{score}_high"] = metrics[score] - 0.1, 1.1
    write_text(bootstrap.to_csv(index=False), tables / "bootstrap.csv")
    best = cases.loc[cases["log_loss"].idxmin(), "case"]
    genres = pd.DataFrame({"case": best, "genre": GENRES, "support": 10, "n_artists": 3})
    genres = genres.assign(f1=0.7, low=0.45, high=0.9)
    # A genre of one artist has no interval.
    genres.loc[0, ["low", "high"]] = np.nan
    write_text(genres.to_csv(index=False), tables / "genres.csv")

    groups = [(system, n, 10) for system in ("stn", "mtn") for n in range(1 + (system == "mtn"), 6)]
    rows = [
        (name, kind, on, fitted, system, n, cases_, 1, 0.9 - gain - 0.02 * n, 0.6 + gain)
        for gain, (name, kind, on, fitted) in enumerate(
            (("clean", "artist", "train", "train"), ("leaky", "random", "all", "all"))
        )
        for gain in [gain * 0.2]
        for system, n, cases_ in groups
    ]
    keys = ["protocol", "split_kind", "fit_on", "fit_rows"]
    tail = ["system", "n_tasks", "n_cases", "n_runs", "log_loss", "macro_f1"]
    frame = pd.DataFrame(rows, columns=[*keys, *tail])
    write_text(_with_gains(frame).to_csv(index=False), tables / "leakage.csv")

    rows = [
        (name, "kmeans", "8/8/8", "lda", 8, system, n, cases_, 1, 0.9 + 0.01 * i - 0.02 * n, 0.6)
        for i, name in enumerate(("kmeans 8/8/8, lda 8", "gmm 8/8/8, lda 8"))
        for system, n, cases_ in groups
    ]
    keys = ["clustering", "dictionary", "words", "groups", "n_topics"]
    frame = pd.DataFrame(rows, columns=[*keys, *tail])
    write_text(_with_gains(frame).to_csv(index=False), tables / "clusterings.csv")

    rows = [
        (noise, repeat, group, 0.6 + noise + 0.05 * repeat - 0.1 * (group == "with AGF"))
        for noise in (0.0, 0.15, 0.3, 0.45)
        for repeat in range(3)
        for group in ("genre alone", "with AGF")
    ]
    frame = pd.DataFrame(rows, columns=["label_noise", "repeat", "case_group", "log_loss"])
    write_text(frame.to_csv(index=False), tables / "planted.csv")


def _with_gains(frame):
    """Add what several tasks gain over one, with intervals, as the tables of variants have it."""
    for score in ("log_loss", "macro_f1"):
        alone = frame.groupby(frame.columns[0], sort=False)[score].transform("first")
        gain = (frame[score] - alone).where(frame["n_tasks"] > 1)
        name = f"difference_from_g_{score}"
        frame = frame.assign(**{name: gain, f"{name}_low": gain - 0.1, f"{name}_high": gain + 0.1})
    return frame
