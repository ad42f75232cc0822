"""The dictionary of MFCC words against scikit-learn's: time, and inertia on held-out tracks.

    python benchmarks/dictionary.py --clips FOLDER [--frames 250000] [--rounds 3]

K-means is stopped long before it converges, so time alone says nothing: a fit is worth the inertia
it reaches on tracks it has not seen. Each of scikit-learn's fits is held against the shortest of
ours that is as good: whose median inertia is no higher than that of scikit-learn's worst seed.
"""

import argparse
import sys

import numpy as np
from measure import interleave, peak_memory, record, require_one_thread, spread
from sklearn.cluster import KMeans, MiniBatchKMeans
from stand_in_corpus import find_clips

from agf.errors import UserError
from agf.features.audio import AudioError, decode
from agf.features.mel import dequantise, mel_spectrogram_db, quantise
from agf.features.mfcc import mfcc_from_db
from agf.targets.dictionary import assign_words, draw_frames, fit_dictionary, frames_per_track
from agf.targets.normalisation import standard_scaling

N_WORDS = 2048
N_MFCC = 25
MEL = {"sample_rate": 44100, "n_fft": 2048, "hop_length": 1024, "n_mels": 128, "top_db": 80.0}

HELD_OUT = 5
"""Every so many clips one is held out."""

ITERATIONS = (1, 2, 5, 10, 25)
"""Our budgets; the last is the workflow's setting."""

PASSES = (1, 10)
"""Over the data, of MiniBatchKMeans where it is not left to stop by itself."""

ASSIGNMENT_ROUNDS = 15
PACKAGES = ("faiss-cpu", "scikit-learn", "numpy")
TIMES_AS_FAST = 3.0
TIMES_AS_FAST_ASSIGNED = 2.0

PREDICTED = {
    "dictionary": "3x to 4x: an iteration is 2 x 2048 x 25 floating-point operations a row, 25 "
    "GFLOP for 250,000 rows; 0.3 s for faiss and 1.2 s for Lloyd in scikit-learn, at the rates "
    "known from a million rows. The same inertia takes as many iterations in both, and "
    "mini-batches stop at a higher one",
    "assignment": "3.3x: 0.7 million rows/s (72 GFLOP/s, near what one core can do) against 0.2 "
    "million, as one iteration of K-means is one assignment",
}


def read_frames(clips):
    """Return the MFCC frames of clips as the targets read them, a list of float32 arrays.

    They go through the eight bits of the mel shards and the sixteen of the MFCC shards.
    """
    frames = []
    for clip in clips:
        try:
            samples = decode(clip, MEL["sample_rate"])
        except AudioError as error:
            raise UserError(f"{clip} is {error}: take it out of the folder") from error
        q, max_db = quantise(mel_spectrogram_db(samples, MEL), MEL["top_db"])
        mfcc = mfcc_from_db(dequantise(q, max_db, MEL["top_db"]), N_MFCC)
        frames.append(mfcc.astype(np.float16).astype(np.float32))
    return frames


def prepare(clips, n_frames):
    """Return training and held-out rows, scaled as the workflow scales them by default.

    Raises
    ------
    UserError
        If there are fewer than two training rows a word.
    """
    frames = read_frames(clips)
    held_out = frames[::HELD_OUT]
    training = [track for i, track in enumerate(frames) if i % HELD_OUT]
    shares = frames_per_track([len(track) for track in training], n_frames, 0, "m")
    drawn = [draw_frames(track, shares[i], 0, "m", i) for i, track in enumerate(training)]
    if sum(shares) < 2 * N_WORDS:
        raise UserError(
            f"{len(clips)} clips give {sum(shares)} frames to learn {N_WORDS} words from: "
            "give more clips or frames"
        )
    rows = np.concatenate(drawn)
    mean, scale = standard_scaling(rows)
    return (rows - mean) / scale, (np.concatenate(held_out) - mean) / scale


def define_fits(rows):
    """Return our fits and scikit-learn's: two dicts of label to a function from seed to words."""

    def ours(n_iterations):
        return lambda seed: fit_dictionary(rows, N_WORDS, n_iterations, seed, "m")

    def theirs(estimator, **options):
        return lambda seed: (
            estimator(N_WORDS, random_state=seed, **options).fit(rows).cluster_centers_
        )

    fits = {"MiniBatchKMeans, defaults": theirs(MiniBatchKMeans)}
    for n in PASSES:
        label = f"MiniBatchKMeans, {n} {'pass' if n == 1 else 'passes'}"
        fits[label] = theirs(MiniBatchKMeans, max_iter=n, max_no_improvement=None)
    # A tolerance of 0 leaves Lloyd's algorithm as many iterations as ours has.
    for n in ITERATIONS[-3::2]:
        options = {"n_init": 1, "max_iter": n, "tol": 0.0}
        fits[f"KMeans, random start, {n} iterations"] = theirs(KMeans, init="random", **options)
    fits[f"KMeans, k-means++ start, {n} iterations"] = theirs(KMeans, **options)
    return {f"ours, {n} iteration{'s' if n > 1 else ''}": ours(n) for n in ITERATIONS}, fits


def run_fits(fits, held_out, rows, rounds):
    """Time fits in turns and judge what they learnt.

    Parameters
    ----------
    fits : dict of str to callable
        Functions from a seed to centroids, by label.
    held_out, rows : numpy.ndarray, shape (n_rows, n_dimensions)
        On which the inertia is taken: of tracks left out, and of the training itself.
    rounds : int
        Each has a seed of its own.

    Returns
    -------
    seconds, held_out_inertia, training_inertia : dict of str to list of float
        By label and round; inertia is the mean squared distance of a row to its word.
    """
    centroids = {label: [] for label in fits}

    def keep(label):
        found = centroids[label]
        found.append(fits[label](len(found)))

    # No round is thrown away: a fit is long enough for its libraries to have warmed up in it.
    turns = {label: lambda label=label: keep(label) for label in fits}
    seconds = interleave(turns, rounds, warmup=0)

    def inertia(vectors):
        return {
            label: [assign_words(vectors, words)[1] / len(vectors) for words in found]
            for label, found in centroids.items()
        }

    return seconds, inertia(held_out), inertia(rows)


def hold_against(ours, theirs, seconds, inertia):
    """Hold each of scikit-learn's fits against the shortest of ours that is as good.

    Parameters
    ----------
    ours, theirs : sequence of str
        Labels, ours from the shortest fit to the longest.
    seconds, inertia : dict of str to list of float
        By label and round.

    Returns
    -------
    dict of str to dict
        By label of `theirs`: ``against``, the label of ours, the longest where none is as good;
        ``as_good``; ``ratio``, the spread of how many times as fast it was; and ``lower_in``, the
        share of scikit-learn's time in which ours reached a lower median, None where it never did.
    """
    middle = {label: np.median(inertia[label]) for label in (*ours, *theirs)}
    held = {}
    for label in theirs:
        good = [one for one in ours if middle[one] <= max(inertia[label])]
        lower = [one for one in ours if middle[one] < middle[label]]
        against = good[0] if good else ours[-1]
        held[label] = {
            "against": against,
            "as_good": bool(good),
            "ratio": spread(np.divide(seconds[label], seconds[against])),
            "lower_in": float(np.median(np.divide(seconds[lower[0]], seconds[label])))
            if lower
            else None,
        }
    return held


def record_dictionary(rows, held_out, rounds):
    """Measure the row `dictionary` and write it."""
    ours, theirs = define_fits(rows)
    seconds, inertia, training = run_fits(ours | theirs, held_out, rows, rounds)
    held = hold_against(list(ours), list(theirs), seconds, inertia)
    by_training = hold_against(list(ours), list(theirs), seconds, training)
    worst = min(held, key=lambda label: (held[label]["as_good"], held[label]["ratio"]["median"]))
    in_time = [
        one["lower_in"] is not None and one["lower_in"] <= 1 / TIMES_AS_FAST
        for one in held.values()
    ]
    _, megabytes = peak_memory(fit_dictionary, rows, N_WORDS, 1, 0, "m")
    best = min(ours, key=lambda label: np.median(inertia[label]))
    trained = min(by_training, key=lambda label: by_training[label]["ratio"]["median"])
    beyond = [label for label, one in by_training.items() if not one["as_good"]]
    items = "".join(f"- {describe(label, one)}\n" for label, one in held.items())
    remark = (
        f"{len(rows):,} rows to learn from, {len(held_out):,} held out, of other tracks; {rounds} "
        "rounds, each with its own seed. Each of scikit-learn's fits is held against the shortest "
        "of ours that is as good on held-out rows, its median no higher than scikit-learn's worst "
        f"seed. The speed-up of the row is the least of these:\n\n{items}\n"
        f"Ours had a strictly lower median in a third of the time or less against {sum(in_time)} "
        f"of {len(in_time)} fits. Its held-out inertia was lowest for {best}. By the inertia of "
        f"the training rows the least speed-up is {by_training[trained]['ratio']['median']:.2f}x, "
        f"against {trained}"
    )
    remark += f"; none of ours is as good there as {', '.join(beyond)}." if beyond else "."
    longest = list(ours)[-1]
    operations = 2 * len(rows) * N_WORDS * rows.shape[1] * ITERATIONS[-1]
    remark += (
        f" An iteration of ours runs at {operations / np.median(seconds[longest]) / 1e9:.0f} "
        "GFLOP/s, about what one core can do in float32, so that at the same number of iterations "
        "no more is to be had."
    )
    record(
        "dictionary",
        ours="faiss's K-means, as the workflow calls it",
        alternative="scikit-learn's MiniBatchKMeans and KMeans, at several budgets",
        unit="s",
        measured={
            f"{label}: held-out inertia {np.median(inertia[label]):.3f}": spread(seconds[label])
            for label in ours | theirs
        },
        ratio=held[worst]["ratio"],
        reached=all(in_time),
        predicted=PREDICTED["dictionary"],
        remark=remark,
        megabytes=megabytes,
        packages=PACKAGES,
        details={
            "rows": len(rows),
            "held_out_rows": len(held_out),
            "seconds": seconds,
            "held_out_inertia": inertia,
            "training_inertia": training,
            "held_against": held,
            "held_against_by_training_inertia": by_training,
        },
    )


def describe(label, one):
    """Say in a few words how one of scikit-learn's fits compares."""
    if not one["as_good"]:
        return f"{label}: no fit of ours is as good"
    return f"{label}: {one['ratio']['median']:.2f}x with {one['against']}"


def record_assignment(rows):
    """Measure the row `assignment` and write it."""
    model = MiniBatchKMeans(N_WORDS, random_state=0, max_iter=1).fit(rows)
    words = model.cluster_centers_
    ours, theirs = "assign_words", "predict of MiniBatchKMeans"
    turns = {ours: lambda: assign_words(rows, words), theirs: lambda: model.predict(rows)}
    seconds = interleave(turns, ASSIGNMENT_ROUNDS)
    ratio = spread(np.divide(seconds[theirs], seconds[ours]))
    different = int(np.sum(assign_words(rows, words)[0] != model.predict(rows)))
    _, megabytes = peak_memory(assign_words, rows, words)
    record(
        "assignment",
        ours="the nearest of 2048 words by faiss's flat index",
        alternative="scikit-learn's predict with the same centroids",
        unit="million rows/s",
        measured={
            label: spread(len(rows) / 1e6 / np.array(seconds[label])) for label in (ours, theirs)
        },
        ratio=ratio,
        reached=ratio["median"] >= TIMES_AS_FAST_ASSIGNED,
        predicted=PREDICTED["assignment"],
        remark=f"{len(rows):,} rows; {different:,} of them got another word from scikit-learn. "
        "KMeans and MiniBatchKMeans share this code.",
        megabytes=megabytes,
        packages=PACKAGES,
        details={"rows": len(rows), "seconds": seconds, "different_words": different},
    )


def main():
    """Measure both rows from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--clips", required=True, help="folder with mp3 files, a few hundred")
    parser.add_argument("--frames", type=int, default=250_000, help="to learn from, at most")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    try:
        require_one_thread()
        rows, held_out = prepare(find_clips(arguments.clips), arguments.frames)
    except UserError as error:
        sys.exit(str(error))
    record_assignment(rows)
    record_dictionary(rows, held_out, arguments.rounds)


if __name__ == "__main__":
    main()
