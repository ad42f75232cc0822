"""How often tests of MTN against STN find a difference where there is none: a simulation.

    python benchmarks/false_positives.py [--simulations 20000] [--seed 0]

Every case's score is the effect of the split, which all cases share, plus the mean effect of the
networks it is made of, plus noise of its own. An STN case of several tasks is made of the STNs of
those tasks, so that 26 pairs share five of them; an MTN is by itself. Over splits, every effect
correlates as overlapping random splits are expected to. The figures go to
benchmarks/results/false_positives.json, the tables to the standard output and, by hand, to
docs/statistics.md.
"""

import argparse
import datetime

import numpy as np
import performance
from measure import describe_command, describe_machine
from scipy.stats import wilcoxon

from agf.evaluation.statistics import (
    ALPHA,
    POWER,
    corrected_t,
    detectable_difference,
    holm,
    power_of_corrected_t,
)
from agf.files import write_json
from agf.keyed_random import generator
from agf.machine import describe_commit
from agf.tasks import TASKS, task_combinations

N_TRAIN, N_EVALUATION = 21250, 3750
RATIO = N_EVALUATION / N_TRAIN
CORRELATION = N_EVALUATION / (N_TRAIN + N_EVALUATION)
N_SPLITS = 10
OWN = 0.01
"""Standard deviation of a case's own noise; the rates depend on ratios only."""

SPLIT = 0.02
SHARED = (0.0, 0.005, 0.01, 0.02)
CORRELATIONS = (0.0, 0.05, CORRELATION, 0.3, 0.5)
NUMBERS_OF_SPLITS = (3, 5, 10, 20)
FRACTIONS = (0.5, 1.0, 1.5)
"""True differences whose power is simulated, as fractions of the detectable one."""

PACKAGES = ("numpy", "scipy")


def correlated_effects(shape, deviation, correlation, n_splits, rng):
    """Draw effects that correlate over splits.

    Returns
    -------
    numpy.ndarray, shape (n_splits, ...)
        Normal with this standard deviation; two splits correlate by `correlation`.
    """
    common = rng.standard_normal(shape)
    fresh = rng.standard_normal((n_splits, *shape))
    return deviation * (np.sqrt(correlation) * common + np.sqrt(1 - correlation) * fresh)


def simulate_differences(n_simulations, n_splits, shared, correlation, rng):
    """Simulate MTN minus STN of the 26 pairs where both systems are equally good.

    Parameters
    ----------
    n_simulations, n_splits : int
    shared : float
        Standard deviation of the effect of one STN.
    correlation : float
        Of two splits' effects.
    rng : numpy.random.Generator

    Returns
    -------
    numpy.ndarray, shape (n_splits, n_simulations, 26)
    """
    pairs = [tasks for tasks in task_combinations() if len(tasks) > 1]
    made_of = np.array([[(task in tasks) / len(tasks) for tasks in pairs] for task in TASKS])

    def effects(n, deviation):
        return correlated_effects((n_simulations, n), deviation, correlation, n_splits, rng)

    split = effects(1, SPLIT)
    stn = split + effects(len(TASKS), shared) @ made_of + effects(len(pairs), OWN)
    mtn = split + effects(len(pairs), OWN)
    return mtn - stn


def false_positives(differences):
    """Return the share of simulations in which each method rejects, though nothing differs.

    Parameters
    ----------
    differences : numpy.ndarray, shape (n_splits, n_simulations, 26)
        From :func:`simulate_differences`.

    Returns
    -------
    dict of str to float
    """
    corrected = corrected_t(differences, RATIO).p
    mean = differences.mean(axis=2)
    after_holm = np.array([holm(p).min() for p in corrected])
    return {
        "wilcoxon_over_pairs": rate(wilcoxon(differences[0], axis=1).pvalue),
        "naive_t_of_mean": rate(corrected_t(mean, 0).p),
        "corrected_t_of_mean": rate(corrected_t(mean, RATIO).p),
        "naive_t_of_pair": rate(corrected_t(differences, 0).p),
        "corrected_t_of_pair": rate(corrected),
        "any_of_26_without_holm": rate(corrected.min(axis=1)),
        "any_of_26_with_holm": rate(after_holm),
    }


def rate(p):
    """Return the share of rejections at :data:`ALPHA`."""
    return float(np.mean(np.asarray(p) < ALPHA))


def simulate_power(n_simulations, n_splits, rng):
    """Simulate how often the corrected t finds true differences, and what `detectable` promises.

    Returns
    -------
    dict
        In units of the standard deviation of one split's differences (the part of it that splits
        do not share): `detectable`; `shown_low` and `shown_high`, the 5 % and 95 % quantiles of
        what a study would show as detectable, as fractions of it; and by fraction of the
        detectable difference `promised` and `simulated` power.
    """
    deviation = np.sqrt(1 - CORRELATION)
    null = correlated_effects((n_simulations,), 1.0, CORRELATION, n_splits, rng)
    # Differences whose own standard deviation is exactly the true one.
    exact = np.resize([1.0, -1.0], n_splits)
    exact = (exact - exact.mean()) / exact.std(ddof=1) * deviation
    true = detectable_difference(exact, RATIO)
    shown = detectable_difference(null, RATIO) / true
    low, high = np.quantile(shown, [0.05, 0.95])
    return {
        "n_splits": n_splits,
        "false_positives": rate(corrected_t(null, RATIO).p),
        "detectable": float(true / deviation),
        "shown_low": float(low),
        "shown_high": float(high),
        "power": [
            {
                "fraction": fraction,
                "promised": float(
                    power_of_corrected_t(fraction * true, deviation, n_splits, RATIO)
                ),
                "simulated": rate(corrected_t(null + fraction * true, RATIO).p),
            }
            for fraction in FRACTIONS
        ],
    }


def simulate(n_simulations, seed):
    """Run all simulations.

    Returns
    -------
    dict
        `null` by shared standard deviation, `correlation` by true correlation, `power` by number
        of splits.
    """
    null = []
    for shared in SHARED:
        rng = generator(seed, "false positives", shared)
        drawn = simulate_differences(n_simulations, N_SPLITS, shared, CORRELATION, rng)
        null.append({"shared": shared / OWN, **false_positives(drawn)})
    correlation = []
    for true in CORRELATIONS:
        rng = generator(seed, "correlation", true)
        drawn = correlated_effects((n_simulations,), 1.0, true, N_SPLITS, rng)
        naive, corrected = (rate(corrected_t(drawn, ratio).p) for ratio in (0, RATIO))
        correlation.append({"correlation": true, "naive_t": naive, "corrected_t": corrected})
    power = [
        simulate_power(n_simulations, n, generator(seed, "power", n)) for n in NUMBERS_OF_SPLITS
    ]
    return {"null": null, "correlation": correlation, "power": power}


def render_tables(result):
    """Return the figures as Markdown tables.

    Parameters
    ----------
    result : dict
        The content of ``benchmarks/results/false_positives.json``.

    Returns
    -------
    str
    """
    lines = [
        "| shared / own noise | Wilcoxon, 26 pairs, one split | paired t of the mean | corrected t "
        "of the mean | paired t of a pair | corrected t of a pair | any of 26, without Holm | any "
        "of 26, with Holm |",
        "|" + "---:|" * 8,
    ]
    for row in result["null"]:
        rates = [f"{value:.3f}" for name, value in row.items() if name != "shared"]
        lines.append("| " + " | ".join([f"{row['shared']:g}", *rates]) + " |")
    lines += ["", "| true correlation of splits | paired t | corrected t |", "|---:|---:|---:|"]
    for row in result["correlation"]:
        lines.append(
            f"| {row['correlation']:g} | {row['naive_t']:.3f} | {row['corrected_t']:.3f} |"
        )
    head = " | ".join(f"power at {fraction:g} x" for fraction in FRACTIONS)
    lines += [
        "",
        f"| splits | false positives | detectable | shown as detectable | {head} |",
        "|" + "---:|" * (4 + len(FRACTIONS)),
    ]
    for row in result["power"]:
        powers = [f"{one['simulated']:.3f} ({one['promised']:.3f})" for one in row["power"]]
        lines.append(
            f"| {row['n_splits']} | {row['false_positives']:.3f} | {row['detectable']:.2f} | "
            f"{row['shown_low']:.2f} to {row['shown_high']:.2f} x | {' | '.join(powers)} |"
        )
    return "\n".join(lines)


def main():
    """Simulate from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--simulations", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    result = {
        "date": datetime.date.today().isoformat(),
        "commit": describe_commit(performance.ROOT),
        "command": describe_command(),
        "machine": describe_machine(*PACKAGES),
        "simulations": arguments.simulations,
        "seed": arguments.seed,
        "alpha": ALPHA,
        "detectable_power": POWER,
        "n_train": N_TRAIN,
        "n_evaluation": N_EVALUATION,
        "n_splits": N_SPLITS,
        **simulate(arguments.simulations, arguments.seed),
    }
    write_json(result, performance.RESULTS / "false_positives.json")
    print(render_tables(result))


if __name__ == "__main__":
    main()
