"""Configuration, names and folders that all rules share.

Reads the merged configuration and checks it before any job starts. No rules.
"""

import hashlib
import os
import sys
from pathlib import Path

import yaml
from pyarrow.parquet import read_metadata
from snakemake.exceptions import WorkflowError

from agf.code_hash import code_hash
from agf.config import check_config, check_project_folder, is_downloaded, read_schema
from agf.corpus.archive import ARCHIVES, ARCHIVES_URL
from agf.corpus.audio_files import audio_fingerprint
from agf.corpus.digests import COLUMNS
from agf.corpus.paper_split import PAPER_SPLIT_CHECKSUM, PAPER_SPLIT_URL
from agf.corpus.manifest import shard_names
from agf.corpus.palettes import check_demo
from agf.corpus.selection import describe_corpus
from agf.errors import UserError
from agf.faults import check_writable, describe_future_dates, mend_future_dates
from agf.keyed_random import seed_of_draw
from agf.lifeline import announce_run, end_with_run
from agf.locks import hold_run
from agf.study import (
    agf_of_cases,
    agf_tasks,
    agf_variants,
    all_splits,
    chosen_networks,
    chosen_tasks,
    clusterings,
    features,
    fit_rows_of_cases,
    kind_of_split,
    leaks,
    listed,
    network_folder,
    noisy_config,
    protocols,
    runs,
    split_of,
    splits,
)
from agf.tasks import ALL_TASKS, WORDS_OF, case_by_name, network_by_name

try:
    check_project_folder(workflow.basedir)
    check_config(config, read_schema(workflow.source_path("../schemas/config.schema.yaml")))
    GENERATED = config["source"] == "demo"
    DOWNLOADED = is_downloaded(config)
    if GENERATED:
        check_demo(config["demo"])
    if workflow.is_main_process:
        # Snakemake writes here even for a dry run; what it says itself where it cannot is a traceback.
        check_writable(".snakemake")
except UserError as error:
    # As a WorkflowError, the sentence would stand between a line of this file and the name of the file.
    sys.exit(str(error))

# One job, one thread: processes scale where threads do not, and waiting threads must not spin.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"
# The conda environments hold libraries; the package itself always comes from this checkout.
os.environ.update(PYTHONPATH=f"{workflow.basedir}/src")
if workflow.is_main_process:
    # A run within a run (planted.smk) ends with the job that started it.
    end_with_run()
    for _sentence in leaks(config):
        print(f"Warning, as in every table of this run: {_sentence}", file=sys.stderr)
announce_run()

METADATA = [f"{config['data_dir']}/fma_metadata/{name}.csv" for name in ("tracks", "genres")]
AUDIO = f"{config['data_dir']}/{config['audio_dir']}"
UNPACKED = f"{AUDIO}.unpacked.json" if DOWNLOADED else []
PAPER_SPLIT = "data/paper/fma_labels.split"
RESULTS = f"results/{config['corpus']}"
TRACKS = f"{RESULTS}/corpus/tracks.parquet"
MELS = f"{RESULTS}/features/mels.safetensors"
SPLITS = f"{RESULTS}/splits/{{split}}.parquet"
LOGS = f"{RESULTS}/logs"
BENCHMARKS = f"{RESULTS}/benchmarks"
SHARDS = shard_names(config["shards"])
MEMORY = yaml.safe_load(Path(workflow.source_path("../memory.yaml")).read_text(encoding="utf-8"))
SEED = config["seeds"][0]
SPLIT, *_ = OWN_SPLITS = splits(config)
ALL_SPLITS = all_splits(config)
AGF_VARIANTS = agf_variants(config)
RUN_AGF_TASKS = agf_tasks(config)
FEATURES = features(config)

# Every case of the study, where it lies: the run's own, then those of other protocols and clusterings.
OWN_RUNS = runs(config)
PROTOCOL_RUNS = {protocol: runs(config, protocol) for protocol in protocols(config)}
CLUSTERING_RUNS = {clustering: runs(config, clustering=clustering) for clustering in clusterings(config)}
# The one written last stands first: Snakemake takes a checkpoint for done where its first file is there, and a job that
# was killed may have left some of them.
DIGESTS = (*(f"split-{split}" for split in reversed(ALL_SPLITS)), *reversed(FEATURES), *reversed(COLUMNS))
CASE_FOLDERS = list(
    dict.fromkeys(run[3] for study in (PROTOCOL_RUNS, CLUSTERING_RUNS) for cases in study.values() for run in cases)
)


wildcard_constraints:
    shard=r"\d{3}-of-\d{3}",
    split=r"[a-z]+(-\d+)?",
    agf=r"[a-z][A-Za-z0-9_.-]*",
    protocol=r"[a-z][A-Za-z0-9_.-]*",
    seed=r"\d+",
    task=f"[{''.join(ALL_TASKS)}]",
    network="(stn|mtn|wstn)-[a-z0-9]+",
    case="(stn|mtn|wstn)-[a-z0-9]+",
    noise=r"\d[0-9.e-]*",


def settings(script, **values):
    """Return what a job depends on besides its files: the code's hash and its part of the configuration.

    It is one dict because Snakemake compares params as a set of values, in which two swapped values would not be seen.
    """
    path = workflow.source_path(f"../scripts/{script}")
    return {"code": code_hash(scripts=(path,)), **in_order(values)}


def in_order(value):
    """Return settings with sorted keys: in what order they stand depends on which ones a --configfile names."""
    if isinstance(value, dict):
        return {key: in_order(value[key]) for key in sorted(value)}
    return value


def memory(name):
    """Return the memory (MB) that a job asks for, as a function that Snakemake calls: more with every attempt.

    `name` is a line of workflow/memory.yaml and may have wildcards in braces. The tracks are counted once they are
    scanned.
    """

    def asked(wildcards, attempt):
        line = name.format(**wildcards)
        if line not in MEMORY:
            raise WorkflowError(f"workflow/memory.yaml has no line {line}: add what that job needs (MB).")
        figures = MEMORY[line]
        tracks = count_tracks() / 1000
        of_corpus = figures.get("per_1000_tracks", 0) * tracks
        of_shard = figures.get("per_1000_tracks_of_shard", 0) * tracks / config["shards"]
        return round(attempt * (figures["base"] + of_corpus + of_shard + MEMORY["around_a_job"]["base"]))

    return asked


def count_tracks():
    for path in (TRACKS, f"{RESULTS}/corpus/scan.parquet"):
        try:
            return read_metadata(path).num_rows
        except (OSError, ValueError):
            continue
    return 0


def scan_settings(wildcards):
    # What this workflow generated or downloaded changes only with files that are inputs of the scan. A folder of the
    # user's is looked at here.
    fingerprint = None if GENERATED or DOWNLOADED else audio_fingerprint(AUDIO)
    keys = ("source", "subset", "duplicates", "min_genre_tracks", "shards")
    return settings("scan_corpus.py", audio=fingerprint, **{key: config[key] for key in keys})


def contents(*names):
    """Return the digests of what a job reads, which it depends on in place of the big files.

    Those are marked as ancient wherever they are read: made anew with the same content, they rerun nothing.
    """
    return [f"{RESULTS}/corpus/digests/{name}.json" for name in names]


def after(checkpoint, paths):
    """Return an input function for one path, or a list of paths, that asks for a checkpoint: scan or digests.

    Once that one has run, Snakemake looks again at the jobs that ask for it, and drops those whose inputs did not
    change. Any other job below it would run for a reason that no longer holds. So every job asks for the scan, and
    every one below the digests for them as well, with a digest among its inputs.
    """

    def asked(wildcards):
        checkpoints.scan_corpus.get()
        if checkpoint == "digests":
            checkpoints.digest_contents.get()
        wanted = paths(wildcards) if callable(paths) else paths
        return expand(wanted, **wildcards)[0] if isinstance(wanted, str) else expand(wanted, **wildcards)

    return asked


def digest_of_split(name):
    return f"split-{split_of(name)}"


def split_file(wildcards):
    """Return the split that a folder of targets, networks or cases is made with."""
    name = wildcards.get("agf") or wildcards.protocol
    return f"{RESULTS}/splits/{split_of(name)}.parquet"


def agf_contents(wildcards):
    return contents(digest_of_split(wildcards.agf), "artist", WORDS_OF.get(wildcards.task, "genres"))


def scaler_contents(wildcards):
    return contents(digest_of_split(wildcards.split), "mel")


def network_contents(wildcards):
    tasks = network_by_name(wildcards.network).tasks
    names = ["genre_top"] * ("g" in tasks) + ["artist"] * (tasks != "g")
    return contents(digest_of_split(wildcards.agf), "mel", *names)


def case_contents(wildcards):
    return contents(digest_of_split(wildcards.protocol), "genre_top")


def agf_settings(wildcards):
    """Return how a task's artist groups are fitted, the size of its own dictionary alone."""
    variant = AGF_VARIANTS[wildcards.agf]
    sizes = {task: size for task, size in variant["dictionary_size"].items() if task == wildcards.task}
    return variant | {"dictionary_size": sizes}


def agf_features(wildcards):
    feature = WORDS_OF.get(wildcards.task)
    return expand(f"{RESULTS}/features/{feature}/{{shard}}.parquet", shard=SHARDS) if feature else []


def network_targets(wildcards):
    tasks = network_by_name(wildcards.network).tasks
    return [f"{RESULTS}/targets/{wildcards.agf}/{task}.parquet" for task in tasks if task != "g"]


def case_embeddings(wildcards):
    agf = agf_of_cases(config, wildcards.protocol)
    return [
        f"{RESULTS}/embeddings/{network_folder(agf, name)}/seed{wildcards.seed}/{name}.safetensors"
        for name in dict.fromkeys(case_by_name(wildcards.case).networks)
    ]


def all_network_files(*names):
    """Return files of every network of the study."""
    folders = (
        f"{RESULTS}/networks/{network_folder(agf, network)}/seed{seed}/{network}"
        for agf in AGF_VARIANTS
        for seed in config["seeds"]
        for network in chosen_networks(config)
    )
    return [f"{folder}/{name}" for folder in dict.fromkeys(folders) for name in names]


def all_target_files(*kinds):
    """Return files of all artist groups of the study: of the first split for every task, else for those needed."""
    return [
        f"{RESULTS}/targets/{agf}/{task}.{kind}"
        for agf in AGF_VARIANTS
        for task in (RUN_AGF_TASKS if agf == SPLIT else chosen_tasks(config))
        for kind in kinds
    ]


def case_files(folders, name):
    return [f"{RESULTS}/{folder}/{name}" for folder in folders]


def script_hashes():
    """Return the hash of the code behind every script of the workflow."""
    folder = os.path.join(workflow.basedir, "workflow", "scripts")
    names = sorted(name for name in os.listdir(folder) if name.endswith(".py"))
    return {name: settings(name)["code"] for name in names}


def provenance_files(wildcards):
    """Return the files of a run whose digests are recorded: what each stage wrote, tables and features left out.

    Features are written anew where only their keys change; their content is in corpus/digests.
    """
    checkpoints.scan_corpus.get()
    checkpoints.digest_contents.get()
    corpus = [f"{RESULTS}/corpus/{name}.parquet" for name in ("scan", "genres", "tracks", "rejected")]
    digests = contents(*DIGESTS)
    split = expand(
        [f"{RESULTS}/splits/{{split}}.parquet", f"{RESULTS}/networks/{{split}}/scaler.parquet"], split=ALL_SPLITS
    )
    targets = all_target_files(
        "parquet", "bags.parquet", "dictionary.safetensors", "topics.safetensors", "top_words.csv", "json"
    )
    networks = all_network_files("weights.safetensors", "history.parquet", "summary.json")
    trained = [folder for folder in CASE_FOLDERS if not folder.endswith("-softmax")]
    cases = case_files(CASE_FOLDERS, "predictions.parquet") + case_files(CASE_FOLDERS, "metrics.json")
    return [*corpus, *digests, *split, *targets, *networks, *cases, *case_files(trained, "mlp.safetensors")]


def in_report(path, category, label, caption):
    """Mark a file for Snakemake's report. One label each: with more, a category of unequal ones opens empty."""
    return report(path, category=category, labels={"what": label}, caption=f"../report/{caption}.rst")


def design_of_report():
    """Return a hash of the page's templates, style and script, which a hash of the code does not see."""
    folder = Path(workflow.basedir, "src/agf/evaluation/report")
    paths = sorted(path for path in folder.rglob("*.*") if path.suffix in (".html", ".css", ".js"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()[:16]


def look_before_start():
    """Make sure, before the first job of a run, that results can be written, by no other run, and dates be gone by."""
    try:
        check_writable(RESULTS)
        global run_lock
        run_lock = hold_run(RESULTS)
        mended = mend_future_dates(RESULTS)
    except UserError as error:
        raise WorkflowError(str(error)) from None
    inputs = [*METADATA, *filter(None, [config["tags_file"]])]
    for sentence in filter(None, [mended, describe_future_dates(inputs)]):
        print(sentence, file=sys.stderr)
