"""The extraction of Essentia's descriptors: does it scale over processes, and does it leak?

    python benchmarks/essentia_descriptors.py --clips FOLDER [--seconds 240]
        [--memory-clips 500 1000 2000]

A process for every core runs over the same clips as a plain loop in one process does, in turns.
Then one fresh process runs over thousands of short excerpts, and its memory is noted on the way.

The script is not named after Essentia: it would be found in place of the library.
"""

import argparse
import multiprocessing
import os
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import soundfile
from measure import interleave, peak_memory, record, require_one_thread, spread

from agf.errors import UserError
from agf.features.audio import AudioError
from agf.features.essentia import essentia_descriptors
from agf.features.essentia_shards import TRACKS_PER_PROCESS
from agf.features.recycled import recycled

CLIPS_PER_TURN = 4
FEWEST_ROUNDS = 3
EXCERPT_SECONDS = 3.0
MOST_EXCERPTS = 400
"""Different ones; they are gone through again where more are asked for."""

SHARE_OF_CORES = 0.9
GROWTH = 1.1
"""What memory may grow to from the first count of clips to the last, as a multiple."""

LEAK = (
    " MusicExtractor keeps memory of every file: to construct it costs nothing, one extractor for "
    "all files grows alike, and handing free memory back to the system does not change it. A shard "
    f"therefore runs it in a process of its own, replaced after {TRACKS_PER_PROCESS} files."
)

PREDICTED = (
    "0.95 x cores: 1.2 s a clip and core, almost all of it arithmetic on frames of a few kB that "
    "stay in each core's own cache, so that processes share nothing but the disk; 250 MB a "
    "process, the same after any number of clips"
)


def extract_all(paths):
    """Extract the descriptors of some files; return how many of them Essentia refused."""
    refused = 0
    for path in paths:
        try:
            essentia_descriptors(path)
        except AudioError:
            refused += 1
    return refused


def extract_and_watch(paths, counts):
    """Extract the descriptors of files as a shard's worker does, and watch the memory that takes.

    Parameters
    ----------
    paths : sequence of pathlib.Path
        As many as the largest of `counts`.
    counts : sequence of int
        Rising; after so many files the memory is noted.

    Returns
    -------
    list of dict
        For each count ``clips``; ``peak``, the most memory so far of the worker and its process
        together in MB; ``resident``, what they have at that moment; and ``refused``.
    """
    notes, peak, refused = [], 0.0, 0
    worker = psutil.Process()
    with recycled(essentia_descriptors, TRACKS_PER_PROCESS) as extract:
        for done, path in enumerate(paths, 1):
            try:
                extract(path)
            except AudioError:
                refused += 1
            family = [worker, *worker.children()]
            resident = sum(process.memory_info().rss for process in family) / 1e6
            peak = max(peak, resident)
            if done in counts:
                notes.append(
                    {"clips": done, "peak": peak, "resident": resident, "refused": refused}
                )
    return notes


def cut_excerpts(clips, n_excerpts, folder):
    """Write short excerpts of clips as MP3, no two of them the same.

    Parameters
    ----------
    clips : list of pathlib.Path
    n_excerpts : int
    folder : pathlib.Path
        Where to write.

    Returns
    -------
    list of pathlib.Path
        One round over the clips after another, so that neighbours are of different music.

    Raises
    ------
    UserError
        If the clips are too few or too short.
    """
    paths = []
    for position in range(n_excerpts):
        for clip in clips:
            with open_clip(clip) as file:
                n_frames = round(EXCERPT_SECONDS * file.samplerate)
                if (position + 1) * n_frames > file.frames:
                    continue
                file.seek(position * n_frames)
                paths.append(folder / f"{len(paths):06d}.mp3")
                samples = file.read(n_frames, dtype="float32")
                soundfile.write(paths[-1], samples, file.samplerate, subtype="MPEG_LAYER_III")
            if len(paths) == n_excerpts:
                return paths
    raise UserError(
        f"The clips give {len(paths)} excerpts of {EXCERPT_SECONDS:g} s, {n_excerpts} are needed: "
        "give more clips"
    )


def open_clip(path):
    """Open a clip with soundfile; one that cannot be opened raises UserError."""
    try:
        return soundfile.SoundFile(path)
    except soundfile.LibsndfileError as error:
        raise UserError(f"{path} cannot be read ({error}): take it out of the folder") from error


def run(clips, seconds, counts):
    """Measure speed and memory, and write the row `essentia`."""
    n_processes = len(os.sched_getaffinity(0))
    turn = clips[:: max(1, len(clips) // CLIPS_PER_TURN)][:CLIPS_PER_TURN]
    start = time.perf_counter()
    if refused := extract_all(turn):
        raise UserError(f"Essentia refuses {refused} of {', '.join(map(str, turn))}: leave it out")
    rounds = max(FEWEST_ROUNDS, round(seconds / (2 * (time.perf_counter() - start))))

    ours, alternative = f"{n_processes} processes", "one process, a plain loop"
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(n_processes, mp_context=context) as pool:
        turns = {
            ours: lambda: list(pool.map(extract_all, [turn] * n_processes)),
            alternative: lambda: extract_all(turn),
        }
        times = interleave(turns, rounds)
    rates = {
        ours: n_processes * len(turn) / np.array(times[ours]),
        alternative: len(turn) / np.array(times[alternative]),
    }
    ratio = spread(rates[ours] / rates[alternative])

    with tempfile.TemporaryDirectory(prefix="agf-essentia-") as folder:
        excerpts = cut_excerpts(clips, min(MOST_EXCERPTS, counts[-1]), Path(folder))
        paths = [excerpts[i % len(excerpts)] for i in range(counts[-1])]
        memory, _ = peak_memory(extract_and_watch, paths, counts)
    _, megabytes = peak_memory(extract_all, turn)
    first, last = memory[0], memory[-1]
    # Each process grows alike until it is replaced, so the first of them shows the most there is.
    bounded = last["peak"] <= GROWTH * first["peak"]
    remark = (
        f"{ratio['median'] / n_processes:.1%} of {n_processes} cores in {rounds} rounds. Over "
        f"{len(excerpts)} excerpts of {EXCERPT_SECONDS:g} s, again and again, the peak of a "
        "worker was "
        + ", ".join(f"{note['peak']:.0f} MB after {note['clips']:,}" for note in memory)
        + f". Essentia refused {last['refused']} of them. The peak in the table is of one process "
        "over the whole clips." + LEAK
    )
    record(
        "essentia",
        ours=f"a process for each of {n_processes} cores, each over the same {len(turn)} clips",
        alternative=f"a plain loop over these {len(turn)} clips in one process",
        unit="clips/s",
        measured={label: spread(values) for label, values in rates.items()},
        ratio=ratio,
        reached=ratio["median"] >= SHARE_OF_CORES * n_processes and bounded,
        predicted=PREDICTED,
        remark=remark,
        megabytes=megabytes,
        packages=("essentia", "soundfile", "numpy"),
        details={"seconds": times, "clips_per_turn": len(turn), "memory": memory},
    )


def main():
    """Measure from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--clips", required=True, help="folder with mp3 files, a few hundred")
    parser.add_argument("--seconds", type=float, default=240, help="for the rounds, about")
    parser.add_argument("--memory-clips", type=int, nargs="+", default=[500, 1000, 2000])
    arguments = parser.parse_args()
    # Not at the top: it brings pandas, which would be in the memory of the processes measured.
    from stand_in_corpus import find_clips

    try:
        require_one_thread()
        run(find_clips(arguments.clips), arguments.seconds, sorted(set(arguments.memory_clips)))
    except UserError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
