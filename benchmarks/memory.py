"""How much memory a job of every rule needs, as a function of the corpus.

    python benchmarks/memory.py --clips FOLDER [--tracks 235 ... 8000] [--metadata 25000 106574]
    python benchmarks/memory.py --render          the page alone, from the figures there are

For every size it makes a stand-in corpus (stand_in_corpus.py) with random features, and runs the
workflow's own scripts on it, each in a process of its own as Snakemake starts it, with the settings
of the paper but for the number of iterations. At the sizes of --metadata only those run that read
no feature's values. The figures go to benchmarks/results/memory.json and docs/memory.md. It needs
Linux, whose /proc divides a process's memory into what has to stay and what can be read again.
"""

import argparse
import contextlib
import datetime
import json
import math
import os
import pickle
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from measure import describe_machine, require_one_thread
from snakemake.iocontainers import InputFiles, Log, OutputFiles, Params, Snakemake, Wildcards
from snakemake.utils import update_config
from stand_in_corpus import find_clips, write_stand_in

from agf.corpus.digests import COLUMNS, FEATURES
from agf.corpus.manifest import shard_names
from agf.corpus.tracks import read_tracks
from agf.errors import UserError
from agf.features.essentia import descriptor_names
from agf.features.essentia_shards import ESSENTIA_OPTIONS
from agf.features.mel_shards import MEL_SCHEMA
from agf.features.mfcc_shards import MFCC_SCHEMA
from agf.features.shards import BINARY_OPTIONS, REJECTED_SCHEMA, ROW_GROUP, update_shard
from agf.files import write_json, write_parquet, write_text
from agf.keyed_random import generator
from agf.machine import describe_commit
from agf.tasks import AGF_TASKS, TASKS, all_cases, case_by_name, network_by_name
from agf.tensors import writing_tensors
from agf.transfer.embedding import window_starts

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = ROOT / "workflow" / "scripts"
RULES = ROOT / "workflow" / "rules"
RESULTS = ROOT / "benchmarks" / "results" / "memory.json"
PAGE = ROOT / "docs" / "memory.md"
PACKAGES = ("snakemake", "torch", "essentia", "faiss-cpu", "scikit-learn", "pandas", "pyarrow")

DIGESTS = (*COLUMNS, *FEATURES, "split-random")

SEED = 0
TRACKS = (235, 2000, 4000, 8000)
METADATA = (25_000, 106_574)
SHOWN = (1000, 8000, 25_000, 106_574)
"""Tracks for which the page gives what to reserve."""

TRACKS_PER_SHARD = 100
MOST_SHARDS = 256
"""The project's configurations have a shard for every 100 tracks, and at most 256."""

SHARD_SIZES = (10, 30, 100, 400)
"""Tracks in a shard; 106,574 tracks in 256 shards are 416 in each."""

SHARD_SHOWN = (30, 100, 416)

SHARD_RULES = ("extract_mel", "extract_mfcc", "extract_essentia")
"""Rules whose job is a shard."""

LONG_SHARD = 400

ANALYSED_SIZES, EXCERPT_SIZES = (10, 30, 100), (10, 400)
EXCERPT_SECONDS = 3.0
EXCERPTS = f"{EXCERPT_SECONDS:.0f} s of each clip"
"""Essentia takes a second or more for a clip of 30 s. What its rows take does not depend on the
length, so that a large shard is looked at with short excerpts."""

TRACKS_FILE, SPLIT_FILE = "corpus/tracks.parquet", "split.parquet"
GENRES = "corpus/genres.parquet"

N_FRAMES, N_BANDS, N_MFCC, WIDTH = 1292, 128, 25, 256
"""A clip of 30 s at 44.1 kHz and hop 1024, and a network's features."""

FEW_FRAMES = 2
"""Frames of a track where no feature's values are read."""

NETWORKS = ("stn-g", "mtn-gsedm", "wstn-5")
EMBEDDED = ("mtn-gsedm", "wstn-5")
CASES = ("stn-g", "stn-gsedm")

SHORT = {
    "agf": {"dictionary_iterations": 1, "lda_iterations": 1},
    "networks": {"epochs": 1},
    "transfer": {"epochs": 1},
}
"""Of a training or a fit, the first iteration takes the memory that all take."""

PAPER_TRANSFER_EPOCHS = 50

BYTES_PER_LOSS = 32
"""A Python float and its place in a list. A transfer keeps the loss of every update of all epochs;
those of the epochs left out here are added."""

LONGEST_EMBEDDING = 20.0
"""Seconds of CPU time after which embedding is ended: every batch is like the one before."""

POLL_SECONDS = 0.01
CHILDREN_SECONDS = 0.2

MARGIN = 1.3
MAPPED_SHARE = 0.1
"""Of mapped files that grow with the corpus, reserved besides: pages on their way to or from the
disk."""

ROUND_MB = 50

EPILOGUE = """
with open({path!r}, "w") as file:
    file.write(open("/proc/self/status").read())
"""
"""Ends a script: what the process itself knows of its peak, however short it was."""


class Peak(NamedTuple):
    """Memory of one job, in MB (10**6 bytes).

    Attributes
    ----------
    anonymous : float
        Largest sum of anonymous memory over the job's processes, which only swap could take away.
    file_backed : float
        Largest sum of resident pages of files: libraries, and what is mapped. The system may drop
        them and read them again.
    resident : float
        Largest resident memory of the first process, both kinds together.
    own : float
        Largest anonymous memory of the first process alone.
    seconds : float
        How long it ran.
    stopped : bool
        Whether it was ended before its end.
    """

    anonymous: float
    file_backed: float
    resident: float
    own: float
    seconds: float
    stopped: bool


def watch(command, environment, status, longest=math.inf):
    """Run a command and watch the memory of its processes.

    Parameters
    ----------
    command : list of str
        What to run.
    environment : dict of str to str
        Its environment.
    status : pathlib.Path
        Where the first process leaves a copy of its ``/proc/PID/status`` as it ends.
    longest : float
        Seconds of the first process's CPU time after which the processes are ended.

    Returns
    -------
    Peak

    Raises
    ------
    RuntimeError
        Where the command fails; the end of its output is in the message.

    Notes
    -----
    Anonymous memory has no high-water mark of its own, so it is looked at a hundred times a second.
    By how much the largest sum that was seen falls short of the kernel's mark of resident memory
    (VmHWM) is counted as anonymous.
    """
    anonymous = mapped = resident = own = seen = 0
    stopped = False
    with tempfile.TemporaryFile("w+") as output:
        start = looked = time.monotonic()
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
        pids = [process.pid]
        try:
            while process.poll() is None:
                now = time.monotonic()
                if now - looked > CHILDREN_SECONDS:
                    looked, pids = now, [process.pid, *_descendants(process.pid)]
                each = [_status(Path(f"/proc/{pid}/status")) for pid in pids]
                anonymous = max(anonymous, sum(one["RssAnon"] for one in each))
                mapped = max(mapped, sum(one["RssFile"] + one["RssShmem"] for one in each))
                seen = max(seen, sum(each[0][kind] for kind in ("RssAnon", "RssFile", "RssShmem")))
                resident = max(resident, each[0]["VmHWM"])
                own = max(own, each[0]["RssAnon"])
                if _cpu_seconds(process.pid) > longest:
                    stopped = True
                    break
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(POLL_SECONDS)
        finally:
            seconds = time.monotonic() - start
            if process.poll() is None:
                running = []
                for pid in reversed(pids):
                    with contextlib.suppress(psutil.NoSuchProcess):
                        running.append(psutil.Process(pid))
                        running[-1].terminate()
                psutil.wait_procs(running, timeout=10)
            process.wait()
        if process.returncode and not stopped:
            output.seek(0)
            raise RuntimeError(f"{command} failed:\n{output.read()[-3000:]}")
    if status.exists():
        resident = max(resident, _status(status)["VmHWM"])
    missed = max(0, resident - seen)
    sizes = (anonymous + missed, mapped, resident, own + missed)
    return Peak(*(size / 1e6 for size in sizes), seconds, stopped)


def _cpu_seconds(pid):
    with contextlib.suppress(psutil.NoSuchProcess):
        return sum(psutil.Process(pid).cpu_times()[:2])
    return 0.0


def _descendants(pid):
    with contextlib.suppress(psutil.NoSuchProcess):
        return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    return []


def _status(path):
    """Return the sizes in a file like ``/proc/PID/status`` in bytes, 0 for a process that ended."""
    sizes = dict.fromkeys(("VmHWM", "RssAnon", "RssFile", "RssShmem"), 0)
    with contextlib.suppress(OSError):
        found = re.findall(r"^(\w+):\s+(\d+) kB", path.read_text(), re.M)
        sizes |= {name: int(number) * 1024 for name, number in found if name in sizes}
    return sizes


def run_script(script, folder, *, source, output, run, config, wildcards=(), longest=math.inf, **p):
    """Run a script of the workflow by itself and measure its memory.

    Parameters
    ----------
    script : str
        Its name without the ending, which is its rule's.
    folder : pathlib.Path
        Where the log and the script with its preamble go.
    source, output : dict of str to (path or list of path)
        The job's files by name.
    run : dict
        ``params.run``.
    config : dict
        The merged configuration.
    wildcards : dict of str to str
        The job's wildcards.
    longest : float
        As in :func:`watch`.
    **p
        Further params.

    Returns
    -------
    Peak
    """
    log = Log()
    log.append(str(folder / "job.log"))
    job = Snakemake(
        _files(InputFiles, source),
        _files(OutputFiles, output),
        Params(fromdict={"run": {"code": "measured", **run}, **p}),
        Wildcards(fromdict=dict(wildcards)),
        1,
        {},
        log,
        config,
        script,
        None,
    )
    status, path = folder / "status", folder / f"{script}.py"
    status.unlink(missing_ok=True)
    # As Snakemake does: the job's object is unpickled, and the script follows.
    preamble = f"import pickle; snakemake = pickle.loads({pickle.dumps(job, protocol=4)!r})\n"
    code = (SCRIPTS / f"{script}.py").read_text(encoding="utf-8")
    path.write_text(preamble + code + EPILOGUE.format(path=str(status)), encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "CUDA_VISIBLE_DEVICES": ""}
    try:
        return watch([sys.executable, str(path)], environment, status, longest)
    except RuntimeError as error:
        error.add_note((folder / "job.log").read_text(encoding="utf-8")[-3000:])
        raise


def _files(kind, named):
    files = kind()
    for name, value in named.items():
        start, several = len(files), isinstance(value, list)
        files.extend(map(str, value if several else [value]))
        files._set_name(name, start, end=len(files) if several else None)
    return files


def read_config():
    """Return the configuration of the paper, shortened, for a stand-in corpus."""
    config = {}
    for name in ("config.yaml", "config/fma_medium.yaml"):
        update_config(config, yaml.safe_load((ROOT / name).read_text(encoding="utf-8")))
    changes = {"source": "fma", "subset": "large", "audio_dir": "audio", "min_genre_tracks": 10}
    update_config(config, {**changes, **SHORT})
    config["split"] = {"kind": "random", "evaluation_fraction": 0.15}
    return config


class Corpus(NamedTuple):
    """A stand-in corpus and what was measured on it.

    Attributes
    ----------
    n_tracks : int
        Tracks that its metadata name.
    folder : pathlib.Path
        Where everything of it lies.
    shards : list of str
        Names of its shards.
    config : dict
        The merged configuration.
    jobs : list of dict
        Measurements.
    """

    n_tracks: int
    folder: Path
    shards: list
    config: dict
    jobs: list

    def path(self, name):
        """Return the path of a file of the corpus."""
        return self.folder / "results" / name

    def feature(self, name):
        """Return the shards of a feature."""
        return [self.path(f"{name}/{shard}.parquet") for shard in self.shards]

    def metadata(self):
        """Return the inputs by name that most jobs have in common."""
        return {"tracks": self.path(TRACKS_FILE), "split": self.path(SPLIT_FILE)}


def new_corpus(n_tracks, folder, config):
    """Return a corpus of which nothing is there yet."""
    shards = shard_names(min(MOST_SHARDS, math.ceil(n_tracks / TRACKS_PER_SHARD)))
    return Corpus(n_tracks, folder, shards, {**config, "shards": len(shards)}, [])


def measure_job(corpus, rule, label="", mapped=0, x=None, added=0.0, **arguments):
    """Measure one job and note it.

    Parameters
    ----------
    corpus : Corpus
        Its `jobs` get one more.
    rule, label : str
        The rule, and which of its jobs.
    mapped : float
        Bytes of the files that the job maps into its memory, what it writes among them.
    x : int, optional
        What its memory is a function of; by default the corpus's tracks.
    added : float
        Bytes of what was left out to keep the measurement short.
    **arguments
        Of :func:`run_script`.
    """
    peak = run_script(rule, corpus.folder, config=corpus.config, **arguments)
    anonymous = peak.anonymous + added / 1e6
    tracks = corpus.n_tracks if x is None else x
    corpus.jobs.append(
        {
            "rule": rule,
            "label": label,
            "tracks": tracks,
            **peak._asdict(),
            "anonymous": anonymous,
            "mapped": mapped / 1e6,
        }
    )
    print(
        f"{tracks:>7} {rule} {label}: {anonymous:.0f} MB anonymous, "
        f"{peak.file_backed:.0f} MB of files, {peak.seconds:.0f} s",
        file=sys.stderr,
        flush=True,
    )


def measure_metadata(corpus, clips, full_length):
    """Measure the jobs that read no feature's values: from the scan to the audit.

    Parameters
    ----------
    corpus : Corpus
        Of which nothing is there yet.
    clips : list of pathlib.Path
        MP3 files on the corpus's file system.
    full_length : bool
        Whether the features made for it are of full length.
    """
    data = corpus.folder / "data"
    write_stand_in(clips, corpus.n_tracks, SEED, data)
    config, scan, genres = corpus.config, corpus.path("corpus/scan.parquet"), corpus.path(GENRES)
    keys = ("source", "subset", "duplicates", "min_genre_tracks", "shards")
    measure_job(
        corpus,
        "scan_corpus",
        source={},
        output={"scan": scan, "genres": genres, "shards": corpus.feature("corpus/shards")},
        run={key: config[key] for key in keys},
        data_dir=str(data),
        audio_dir=config["audio_dir"],
        tags_file=None,
        cache=str(corpus.folder / "cache"),
    )
    shutil.rmtree(data)
    write_features(corpus, full_length)
    none_rejected = corpus.path("none.parquet")
    write_parquet(pa.Table.from_batches([], REJECTED_SCHEMA), none_rejected)
    features = {name: corpus.feature(name) for name in FEATURES}
    rejected, metadata = corpus.path("corpus/rejected.parquet"), corpus.metadata()
    measure_job(
        corpus,
        "select_tracks",
        source={"scan": scan, **features, "rejected": [none_rejected] * (2 * len(corpus.shards))},
        output={"tracks": metadata["tracks"], "rejected": rejected},
        run={"shards": config["shards"]},
    )
    measure_job(
        corpus,
        "split_tracks",
        source={"tracks": metadata["tracks"], "listed": []},
        output={"split": metadata["split"]},
        run={
            "seed": SEED,
            "kind": config["split"]["kind"],
            "evaluation_fraction": config["split"]["evaluation_fraction"],
        },
    )
    measure_job(
        corpus,
        "digest_contents",
        source={**features, **metadata, "splits": [metadata["split"]], "genres": genres},
        output={name: corpus.path(f"corpus/digests/{name}.json") for name in DIGESTS},
        run={},
    )
    measure_job(
        corpus,
        "audit_corpus",
        source={
            "scan": scan,
            "genres": genres,
            "rejected": rejected,
            "splits": [metadata["split"]],
            **metadata,
        },
        output={"parquet": corpus.path("audit.parquet"), "page": corpus.path("audit.md")},
        run={},
    )
    measure_job(
        corpus,
        "score_baselines",
        source={"mfcc": features["mfcc"], **metadata, "splits": [metadata["split"]]},
        output={"baselines": corpus.path("baselines.csv")},
        run={"seed": SEED},
    )
    measure_factors(corpus, "s", [])


def measure_factors(corpus, task, shards, label=None):
    """Measure the Artist Group Factors of one task."""
    kinds = ("targets", "bags", "dictionary", "topics", "top_words", "summary")
    measure_job(
        corpus,
        "fit_artist_group_factors",
        label or task,
        source={**corpus.metadata(), "genres": corpus.path(GENRES), "features": shards},
        output={kind: corpus.path(f"targets/{task}.{kind}") for kind in kinds},
        run={"seed": SEED, **corpus.config["agf"]},
        wildcards={"task": task, "agf": "random"},
    )


def measure_features(corpus):
    """Measure the Artist Group Factors of the features; remove these."""
    measure_factors(corpus, "m", corpus.feature("mfcc"))
    measure_factors(corpus, "d", corpus.feature("mfcc"))
    if corpus.n_tracks >= 2 * LONG_SHARD:
        long = merge_shards(corpus.feature("mfcc"), corpus.path("long"))
        measure_factors(corpus, "m", long, f"m, {LONG_SHARD} tracks a shard")
        shutil.rmtree(corpus.path("long"))
    shutil.rmtree(corpus.path("mfcc"))
    measure_factors(corpus, "e", corpus.feature("essentia"))
    shutil.rmtree(corpus.path("essentia"))


def merge_shards(paths, folder):
    """Write the same rows in fewer shards, of LONG_SHARD tracks or so; return their paths."""
    folder.mkdir()
    step, merged = LONG_SHARD // TRACKS_PER_SHARD, []
    for first in range(0, len(paths), step):
        tables = [pq.read_table(path) for path in paths[first : first + step]]
        merged.append(folder / f"{first}.parquet")
        pq.write_table(
            pa.concat_tables(tables).sort_by("track_id"),
            merged[-1],
            row_group_size=ROW_GROUP,
            **BINARY_OPTIONS,
        )
    return merged


def measure_networks(corpus):
    """Measure the spectrograms' file, scaler, trainings and embeddings; remove spectrograms."""
    top_db, metadata = corpus.config["spectrogram"]["top_db"], corpus.metadata()
    mels, scaler = corpus.path("mels.safetensors"), corpus.path("scaler.parquet")
    mel_bytes = len(read_tracks(metadata["tracks"])) * N_FRAMES * N_BANDS
    measure_job(
        corpus,
        "pack_mels",
        mapped=mel_bytes,
        source={"mel": corpus.feature("mel"), "tracks": metadata["tracks"]},
        output={"mels": mels},
        run={},
    )
    shutil.rmtree(corpus.path("mel"))
    measure_job(
        corpus,
        "fit_scaler",
        mapped=mel_bytes,
        source={"split": metadata["split"], "mels": mels},
        output={"scaler": scaler},
        run={"top_db": top_db},
    )
    for name in NETWORKS:
        tasks = network_by_name(name).tasks
        weights = corpus.path(f"{name}/weights.safetensors")
        measure_job(
            corpus,
            "train_network",
            name,
            mapped=mel_bytes,
            source={
                **metadata,
                "mels": mels,
                "scaler": scaler,
                "targets": [
                    corpus.path(f"targets/{task}.targets") for task in tasks if task in AGF_TASKS
                ],
            },
            output={
                "weights": weights,
                "history": corpus.path(f"{name}/history.parquet"),
                "summary": corpus.path(f"{name}/summary.json"),
            },
            run={"top_db": top_db, **corpus.config["networks"]},
            wildcards={"network": name, "agf": "random", "seed": str(SEED)},
            resume=str(corpus.folder / "resume"),
        )
        if name in EMBEDDED:
            measure_job(
                corpus,
                "embed_windows",
                name,
                mapped=mel_bytes + 2 * WIDTH * len(tasks) * count_windows(corpus),
                source={"weights": weights, "mels": mels, "tracks": metadata["tracks"]},
                output={"embedding": corpus.path(f"{name}/embedding/all.safetensors")},
                run={"hop_frames": corpus.config["transfer"]["hop_frames"]},
                longest=LONGEST_EMBEDDING,
            )
            # With the half-written file of a job that was ended.
            shutil.rmtree(corpus.path(f"{name}/embedding"))
    mels.unlink()


def count_windows(corpus):
    """Return the number of windows of a whole corpus."""
    hop = corpus.config["transfer"]["hop_frames"]
    return len(read_tracks(corpus.path(TRACKS_FILE))) * len(window_starts(N_FRAMES, hop=hop))


def measure_transfer(corpus):
    """Measure transfers and scores, on random features; remove them."""
    every = write_embedding(corpus, corpus.path("embeddings/all.safetensors"))
    settings = {key: value for key, value in corpus.config["transfer"].items()}
    del settings["hop_frames"]
    training = 1 - corpus.config["split"]["evaluation_fraction"]
    updates = training * count_windows(corpus) / settings["batch_size"]
    predictions = corpus.path("predictions.parquet")
    for name in CASES:
        embeddings = []
        for network in case_by_name(name).networks:
            embeddings.append(every.with_name(f"{network}.safetensors"))
            os.link(every, embeddings[-1])
        measure_job(
            corpus,
            "train_transfer",
            name,
            # Of each file the features of one task are read.
            mapped=len(embeddings) * 2 * WIDTH * count_windows(corpus),
            added=(PAPER_TRANSFER_EPOCHS - settings["epochs"]) * updates * BYTES_PER_LOSS,
            source={"embeddings": embeddings, **corpus.metadata()},
            output={"predictions": predictions, "mlp": corpus.path("mlp.safetensors")},
            run=settings,
            wildcards={"case": name, "protocol": "random", "seed": str(SEED)},
        )
        for link in embeddings:
            link.unlink()
    measure_job(
        corpus,
        "score_own_softmax",
        "wstn-5",
        source={"embedding": every, **corpus.metadata()},
        output={"predictions": corpus.path("own_softmax.parquet")},
        run={},
    )
    shutil.rmtree(every.parent)
    names = [case.name for case in all_cases() if case.alias_of is None]
    measure_job(
        corpus,
        "score_cases",
        source={"predictions": [predictions] * len(names)},
        output={"metrics": [corpus.path(f"metrics/{name}.json") for name in names]},
        run={},
    )


def write_features(corpus, full_length):
    """Write random features of every candidate, as the features' own stages lay them out."""
    n_frames = N_FRAMES if full_length else FEW_FRAMES
    draw = generator(SEED, "memory", corpus.n_tracks)
    levels = draw.integers(0, 256, 3 * n_frames * N_BANDS, dtype=np.uint8)
    frames = (20 * draw.standard_normal(100 * n_frames * N_MFCC)).astype(np.float16)
    names = descriptor_names()
    schema = pa.schema(
        [("track_id", pa.int64()), ("key", pa.string()), ("digest", pa.string())]
        + [(name, pa.float64()) for name in names]
    )
    options = {key: value for key, value in ESSENTIA_OPTIONS.items() if key != "row_group"}

    def cut(values, width):
        first = draw.integers(0, len(values) - n_frames * width + 1)
        return values[first : first + n_frames * width].tobytes()

    def mel(_):
        return {"n_frames": n_frames, "max_db": 0.0, "mel": cut(levels, N_BANDS)}

    def mfcc(_):
        return {"n_frames": n_frames, "mfcc": cut(frames, N_MFCC)}

    for shard in corpus.shards:
        manifest = pq.read_table(corpus.path(f"corpus/shards/{shard}.parquet"))
        ids = sorted(manifest["track_id"].to_pylist())
        rows = [{"track_id": track, "key": "k" * 64, "path": None} for track in ids]
        for name, compute, layout in (("mel", mel, MEL_SCHEMA), ("mfcc", mfcc, MFCC_SCHEMA)):
            out = corpus.path(f"{name}/{shard}.parquet")
            update_shard(rows, out, None, compute, layout, name, **BINARY_OPTIONS)
        # Where only ids are read, zeros that compress do for values.
        shape = (len(names), len(ids))
        values = draw.standard_normal(shape) if full_length else np.zeros(shape)
        columns = [ids, ["k" * 64] * len(ids), ["d" * 64] * len(ids), *values]
        table = pa.Table.from_arrays([pa.array(column) for column in columns], schema=schema)
        write_parquet(table, corpus.path(f"essentia/{shard}.parquet"), **options)


def write_embedding(corpus, path):
    """Write random features of all tasks for every window, as a network's embedding is laid out."""
    tracks, n_windows = read_tracks(corpus.path(TRACKS_FILE)), count_windows(corpus)
    n_tracks, n_genres = len(tracks), tracks.genre_top.nunique()
    shapes = {
        "track": ("int32", [n_windows]),
        "track_id": ("int64", [n_tracks]),
        "probability_g": ("float32", [n_windows, n_genres]),
        **{f"embedding_{task}": ("float16", [n_windows, WIDTH]) for task in TASKS},
    }
    block = generator(SEED, "memory", "embedding").standard_normal((4096, WIDTH)).astype(np.float16)
    with writing_tensors(path, shapes) as tensors:
        tensors["track"][:] = np.arange(n_windows) // (n_windows // n_tracks)
        tensors["track_id"][:] = tracks.track_id
        tensors["probability_g"][:] = 1 / n_genres
        for task in TASKS:
            for first in range(0, n_windows, len(block)):
                part = tensors[f"embedding_{task}"][first : first + len(block)]
                part[:] = block[: len(part)]
    return path


def measure_shards(clips, folder, config):
    """Measure the extraction of features by the number of tracks in a shard, on real clips."""
    corpus = new_corpus(max(SHARD_SIZES), folder, config)
    spectrogram, data = config["spectrogram"], folder / "data"
    excerpt = {"max_duration": config["max_duration"], "offset": config["offset"]}
    data.mkdir(parents=True)
    for i in range(max(SHARD_SIZES)):
        os.link(clips[i % len(clips)], data / f"{i}.mp3")
    for n in SHARD_SIZES:
        manifest, mel = folder / f"{n}.parquet", folder / f"mel-{n}.parquet"
        columns = {
            "track_id": pa.array(range(n), pa.int64()),
            "path": [f"{i}.mp3" for i in range(n)],
            "sha256": [f"{i:064d}" for i in range(n)],
            "duration": pa.array([None] * n, pa.float64()),
        }
        write_parquet(columns, manifest)
        rejected = folder / "rejected.parquet"
        rejected.unlink(missing_ok=True)
        measure_job(
            corpus,
            "extract_mel",
            x=n,
            source={"manifest": manifest},
            output={"mel": mel, "rejected": rejected},
            run={"min_seconds": config["min_seconds"], **excerpt, **spectrogram},
            data_dir=str(data),
        )
        measure_job(
            corpus,
            "extract_mfcc",
            x=n,
            source={"mel": mel},
            output={"mfcc": folder / f"mfcc-{n}.parquet"},
            run={"top_db": spectrogram["top_db"], **config["mfcc"]},
        )
        for label, seconds in (("", config["max_duration"]), (EXCERPTS, EXCERPT_SECONDS)):
            if n in (ANALYSED_SIZES if label == "" else EXCERPT_SIZES):
                rejected.unlink(missing_ok=True)
                measure_job(
                    corpus,
                    "extract_essentia",
                    label,
                    x=n,
                    source={"manifest": manifest, "mel": mel},
                    output={
                        "essentia": folder / f"essentia-{n}{label}.parquet",
                        "rejected": rejected,
                    },
                    run=excerpt | {"max_duration": seconds},
                    data_dir=str(data),
                )
    return corpus.jobs


def measure_snakemake(clips, folder):
    """Measure the Snakemake process that stands around a job on a cluster's node.

    An executor for clusters submits a command that runs snakemake once more for the one job, on the
    node and in what the job has reserved; Slurm's does so twice, one inside the other. Here that
    command does everything but start the job.

    Returns
    -------
    list of dict
        ``rule``, ``shards`` of the corpus, and MB of ``anonymous`` and ``resident`` memory.
    """
    for name in ("workflow", "src", "profiles", "envs", "resources"):
        ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    for name in ("Snakefile", "config.yaml", "requirements.lock"):
        shutil.copy2(ROOT / name, folder / name)
    write_stand_in(clips, max(SHARD_SIZES), SEED, folder / "data" / "stand-in")
    config = {"corpus": "stand-in", "source": "fma", "data_dir": "data/stand-in"}
    config |= {"duplicates": "keep", "shards": MOST_SHARDS}
    write_text(yaml.safe_dump(config), folder / "memory.yaml")
    environment = os.environ | {"PYTHONPATH": str(folder / "src")}
    command = [sys.executable, "-m", "snakemake", "--directory", str(folder), "--cores", "1"]
    command += ["--snakefile", str(folder / "Snakefile")]
    files = ["--configfile", str(folder / "memory.yaml")]
    subprocess.run([*command, "corpus", *files], env=environment, check=True, capture_output=True)
    shards = shard_names(MOST_SHARDS)
    names = [f"features/{name}/{shard}.parquet" for name in FEATURES for shard in shards]
    names += [f"corpus/digests/{name}.json" for name in DIGESTS]
    names += [TRACKS_FILE, "splits/random.parquet", "embeddings/random/seed0/mtn-gsedm.safetensors"]
    for path in (folder / "results" / "stand-in" / name for name in names):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    measured = []
    for job in (
        f"extract_mfcc:shard={shards[0]}",
        "train_transfer:protocol=random,seed=0,case=mtn-gsedm",
    ):
        rule = job.partition(":")[0]
        remote = ["--target-jobs", job, "--allowed-rules", rule, "--force", "--nolock"]
        remote += ["--mode", "remote", "--dry-run"]
        peak = watch([*command, *remote, *files], environment, folder / "status")
        sizes = {"anonymous": peak.own, "resident": peak.resident}
        measured.append({"rule": rule, "shards": MOST_SHARDS, **sizes})
    return measured


def formula(jobs):
    """Return what to reserve for a rule's jobs, as a line over the number of tracks.

    Parameters
    ----------
    jobs : list of dict
        Measurements of one kind of job, at two sizes or more.

    Returns
    -------
    base, per_1000 : int
        MB, and MB for every 1,000 tracks.

    Notes
    -----
    The line rises as between the two largest sizes, where memory that saturates has done so, and
    lies on or above every measurement. It is drawn through the anonymous memory with the libraries
    (the file-backed memory of the smallest size), and taken :data:`MARGIN` times. Of what is mapped
    :data:`MAPPED_SHARE` comes on top. Both numbers are rounded up.
    """
    jobs = sorted(jobs, key=lambda job: (job["tracks"], job["anonymous"]))
    slope = max(0.0, _slope(jobs, "anonymous"))
    base = max(job["anonymous"] - slope * job["tracks"] for job in jobs) + jobs[0]["file_backed"]
    slope = MARGIN * slope + MAPPED_SHARE * max(0.0, _slope(jobs, "mapped"))
    return ROUND_MB * math.ceil(MARGIN * base / ROUND_MB), math.ceil(round(1000 * slope, 6))


def _slope(jobs, kind):
    last = jobs[-1]
    before = [job for job in jobs if job["tracks"] < last["tracks"]][-1]
    return (last[kind] - before[kind]) / (last["tracks"] - before["tracks"])


def kinds_of_jobs(results):
    """Return the measurements of each kind of job, by rule and label; a rule's stand together."""
    rules = list(dict.fromkeys(job["rule"] for job in results["jobs"]))
    kinds = {}
    for job in sorted(results["jobs"], key=lambda job: rules.index(job["rule"])):
        kinds.setdefault((job["rule"], job["label"]), []).append(job)
    return kinds


def reserve(line, n_tracks):
    """Return the MB to reserve for so many tracks by a line of :func:`formula`."""
    base, per_1000 = line
    return base + math.ceil(per_1000 * n_tracks / 1000)


def around_a_job(snakemake):
    """Return the MB of two Snakemake processes, which share their libraries.

    Parameters
    ----------
    snakemake : list of dict
        Of :func:`measure_snakemake`.
    """
    largest = max(snakemake, key=lambda one: one["anonymous"])
    libraries = largest["resident"] - largest["anonymous"]
    return ROUND_MB * math.ceil((MARGIN * 2 * largest["anonymous"] + libraries) / ROUND_MB)


def page(results):
    """Return docs/memory.md.

    Parameters
    ----------
    results : dict
        What :func:`run` writes as JSON.

    Returns
    -------
    str
    """
    machine, snakemake = results["machine"], results["snakemake"]
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    kinds = kinds_of_jobs(results)
    of_corpus = {kind: jobs for kind, jobs in kinds.items() if kind[0] not in SHARD_RULES}
    of_shard = {kind: jobs for kind, jobs in kinds.items() if kind[0] in SHARD_RULES}
    lines = [
        "# Memory: what a job of each rule needs",
        "",
        "On a cluster a job that takes more memory than it has reserved is killed. The scripts of "
        "the workflow were run here one by one on corpora of several sizes, as Snakemake starts "
        "them, and their memory was watched. Spectrograms, MFCC, descriptors and embeddings are "
        f"random numbers in files as the stages write them: {N_FRAMES:,} frames a track, a clip of "
        "30 s at 44.1 kHz. Metadata, artists and genres are those of a stand-in for FMA "
        "(`benchmarks/stand_in_corpus.py`). Only the shards are made of real clips. The settings "
        "are the paper's, `config/fma_medium.yaml`, with one epoch or iteration of each fit.",
        "",
        "This page is made from `benchmarks/results/memory.json`; it is not edited by hand. FOLDER "
        "is any folder of MP3 clips of 30 s.",
        "",
        "```sh",
        "export OMP_NUM_THREADS=1",
        results["command"],
        "python benchmarks/memory.py --render    # this page, from the figures there are",
        "```",
        "",
        f"- Date: {results['date']}; commit: {results['commit'] or 'not known'}",
        f"- Machine: {machine['processor']}, {machine['cores']} cores, "
        f"{machine['memory_gigabytes']} GB of memory, {machine['kernel']}; no GPU",
        f"- Versions: {versions}",
        "- MB are 10^6 bytes. Anonymous memory has to stay: a job needs all of it. File-backed "
        "memory is libraries and mapped files, which the system may drop and read again. Both are "
        "the largest sum over the job's processes, at the time when it was largest; they need not "
        "have been so at the same time.",
        "",
        "## What to reserve",
        "",
        f"MB for so many tracks of 30 s: {MARGIN} times the anonymous memory and the libraries, "
        f"and {MAPPED_SHARE:.0%} of the mapped files that grow with the corpus. The line rises as "
        "between the two largest sizes that were measured, and no measurement lies above it. "
        "**A figure with a star is extrapolated** beyond the largest size measured. Rules ask for "
        "the figures of workflow/memory.yaml, which are those of their largest job.",
        "",
        *_table(
            (
                "rule",
                "job",
                "base",
                "for every 1,000 tracks",
                *(f"{n:,} tracks" for n in SHOWN),
            ),
            _reserve_rows(of_corpus, SHOWN),
        ),
        "",
        "The same for rules whose job is a shard, by the tracks in the shard. 106,574 tracks in "
        f"{MOST_SHARDS} shards are {SHARD_SHOWN[-1]} in each.",
        "",
        *_table(
            (
                "rule",
                "job",
                "base",
                "for every 1,000 tracks of the shard",
                *(f"{n:,} tracks" for n in SHARD_SHOWN),
            ),
            _reserve_rows(of_shard, SHARD_SHOWN),
        ),
        "",
        "## Around a job on a cluster",
        "",
        "On a node Snakemake runs once more around the script, and its memory counts as the "
        "job's. Slurm's executor plugin starts two such processes, one inside the other. In a "
        f"corpus of {MOST_SHARDS} shards one took, before it started the job:",
        "",
        *_table(
            ("rule", "anonymous (MB)", "with libraries (MB)"),
            (
                (f"`{one['rule']}`", f"{one['anonymous']:.0f}", f"{one['resident']:.0f}")
                for one in snakemake
            ),
        ),
        "",
        f"For two processes, {around_a_job(snakemake)} MB have to be added to every figure above.",
        "",
        "## What was measured",
        "",
        f"A job with a dagger was ended after {LONGEST_EMBEDDING:.0f} s of CPU time: it would have "
        "gone on in the same way, batch after batch. Mapped are the files' own sizes.",
        "",
        *_table(
            ("rule", "job", "tracks", "anonymous (MB)", "file-backed (MB)", "mapped files (MB)"),
            _measured_rows(kinds),
        ),
        "",
        "## What these figures are not",
        "",
        "- Nothing was measured on a GPU. What CUDA's libraries and its context take of the host's "
        "memory is in none of the figures.",
        "- A training or fit ran for one epoch or iteration. What more of them add was computed "
        f"for the transfers, which keep the loss of every update: {BYTES_PER_LOSS} bytes each, for "
        f"{PAPER_TRANSFER_EPOCHS} epochs. It is in the figures.",
        "- The figures were taken in several runs of parts of this script on a busy machine, and "
        "put together. The rules of shards were measured again after rows of descriptors were "
        "joined early. Those of `train_transfer` are from before its predictions went into one "
        "array and its losses were dropped after each epoch, so it takes less today.",
        "- Random frames use every word of a dictionary in every artist's bag, so that bags have "
        "no zeros. Music's have many: tasks m and d need less than is said here.",
        "- Where `max_duration` is null and tracks are longer than 30 s, spectrograms, MFCC and "
        "windows grow with their length, and so does what grows with the tracks here.",
        f"- In shards of {max(EXCERPT_SIZES)} tracks Essentia analysed {EXCERPTS}. The rows are as "
        "wide as any others, but the process that analyses takes less.",
        "- At the sizes at which only rules of metadata were run, MFCC had "
        f"{FEW_FRAMES} frames a track; no rule that ran there holds more than 64 tracks' frames "
        "at a time.",
        "- Rules that are not in the table do not grow with the corpus, or were not looked at "
        "(downloads, unpacking, tables); docs/performance.md has them for 235 tracks.",
    ]
    return "\n".join(lines) + "\n"


def _reserve_rows(kinds, shown):
    for (rule, label), jobs in kinds.items():
        sizes = {job["tracks"] for job in jobs}
        if len(sizes) < 2:
            continue
        line = formula(jobs)
        cells = [f"{reserve(line, n):,}{'*' if n > max(sizes) else ''}" for n in shown]
        yield f"`{rule}`", label, f"{line[0]:,}", f"{line[1]:,}", *cells


def _measured_rows(kinds):
    for (rule, label), jobs in kinds.items():
        for job in jobs:
            dagger = " †" if job["stopped"] else ""
            sizes = [f"{job[kind]:,.0f}" for kind in ("anonymous", "file_backed", "mapped")]
            yield f"`{rule}`", label + dagger, f"{job['tracks']:,}", *sizes


def _table(header, rows):
    rule = ["---" if name in ("rule", "job") else "---:" for name in header]
    return ["| " + " | ".join(cells) + " |" for cells in (header, rule, *rows)]


def run(arguments):
    """Measure everything, and write figures and page after each size, so that none is lost."""
    require_one_thread()
    numbers = [" ".join(map(str, sizes)) for sizes in (arguments.tracks, arguments.metadata)]
    results = {
        "date": datetime.date.today().isoformat(),
        "commit": describe_commit(ROOT),
        "command": f"python benchmarks/memory.py --clips FOLDER --tracks {numbers[0]} "
        f"--metadata {numbers[1]}",
        "machine": describe_machine(*PACKAGES),
        "snakemake": None,
        "jobs": [],
    }
    config = read_config()
    if arguments.out is not None:
        arguments.out.mkdir(parents=True, exist_ok=True)

    def note(jobs):
        results["jobs"] += jobs
        write_json(results, RESULTS)
        write_text(page(results), PAGE)

    with tempfile.TemporaryDirectory(prefix="agf-memory-", dir=arguments.out) as name:
        work = Path(name)
        clips = []
        (work / "clips").mkdir()
        for i, clip in enumerate(find_clips(arguments.clips)):
            clips.append(work / "clips" / f"{i:05d}.mp3")
            shutil.copyfile(clip, clips[-1])
        results["snakemake"] = measure_snakemake(clips, work / "snakemake")
        note(measure_shards(clips, work / "shards", config))
        for n_tracks in sorted({*arguments.tracks, *arguments.metadata}):
            corpus = new_corpus(n_tracks, work / str(n_tracks), config)
            full_length = n_tracks in arguments.tracks
            measure_metadata(corpus, clips, full_length)
            if full_length:
                measure_features(corpus)
                measure_networks(corpus)
                measure_transfer(corpus)
            note(corpus.jobs)
            shutil.rmtree(corpus.folder)


def main():
    """Measure, or render the page, from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--clips", help="folder with mp3 files of 30 s, a few hundred")
    parser.add_argument("--tracks", type=int, nargs="+", default=TRACKS, help="sizes of a corpus")
    parser.add_argument("--metadata", type=int, nargs="*", default=METADATA, help="larger ones")
    parser.add_argument("--out", type=Path, help="where to work [the system's temporary folder]")
    parser.add_argument("--render", action="store_true", help="the page alone")
    arguments = parser.parse_args()
    try:
        if arguments.render:
            render()
        elif arguments.clips is None:
            raise UserError("--clips is missing: name a folder with mp3 files, or give --render.")
        else:
            run(arguments)
    except UserError as error:
        sys.exit(str(error))


def render():
    """Write docs/memory.md from benchmarks/results/memory.json."""
    write_text(page(json.loads(RESULTS.read_text(encoding="utf-8"))), PAGE)


if __name__ == "__main__":
    main()
