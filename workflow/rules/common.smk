"""Configuration, names and folders that all rules share.

Reads the merged configuration and checks it before any job starts. No rules.
"""

import os
import sys
from pathlib import Path

import yaml
from pyarrow.parquet import read_metadata
from snakemake.exceptions import WorkflowError

from agf.code_hash import code_hash
from agf.config import check_config, check_project_folder, is_downloaded, read_schema
from agf.corpus.demo import check_demo
from agf.corpus.digests import DIGESTS, FEATURES
from agf.corpus.fma import ARCHIVES, ARCHIVES_URL
from agf.corpus.paper_split import PAPER_SPLIT_CHECKSUM, PAPER_SPLIT_URL
from agf.corpus.manifest import shard_names
from agf.corpus.scan import audio_fingerprint
from agf.corpus.selection import describe_corpus
from agf.errors import UserError
from agf.faults import check_writable, describe_future_dates, mend_future_dates
from agf.lifeline import announce_run
from agf.locks import hold_run
from agf.tasks import AGF_TASKS, all_cases, all_networks, case_by_name, network_by_name

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
SPLIT = config["split"]["kind"]
SEED = config["seed"]
NETWORKS = [network.name for network in all_networks()]
CASES = [case.name for case in all_cases() if case.alias_of is None]
WIDE_CASES = [case.name for case in all_cases() if case.kind == "wstn"]


wildcard_constraints:
    shard=r"\d{3}-of-\d{3}",
    split=r"[a-z0-9-]+",
    seed=r"\d+",
    task="[gsedm]",
    network="(stn|mtn|wstn)-[a-z0-9]+",
    case="(stn|mtn|wstn)-[a-z0-9]+",


def settings(script, **values):
    """Return what a job depends on besides its files: the code's hash and its part of the configuration.

    It is one dict because Snakemake compares params as a set of values, in which two swapped values would not be seen.
    """
    path = workflow.source_path(f"../scripts/{script}")
    return {"code": code_hash(scripts=(path,)), **values}


def memory(name):
    """Return the memory (MB) that a job asks for, as a function that Snakemake calls: more with every attempt.

    `name` is a line of workflow/memory.yaml and may have wildcards in braces. The tracks are counted once they are
    scanned.
    """

    def asked(wildcards, attempt):
        figures = MEMORY[name.format(**wildcards)]
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


def agf_contents(wildcards):
    return contents("split", "artist", AGF_FEATURE.get(wildcards.task, "genres"))


def network_contents(wildcards):
    tasks = network_by_name(wildcards.network).tasks
    return contents("split", "mel", *["genre_top"] * ("g" in tasks), *["artist"] * (tasks != ("g",)))


def agf_features(wildcards):
    feature = AGF_FEATURE.get(wildcards.task)
    return expand(f"{RESULTS}/features/{feature}/{{shard}}.parquet", shard=SHARDS) if feature else []


def network_targets(wildcards):
    tasks = network_by_name(wildcards.network).tasks
    return [f"{RESULTS}/targets/{wildcards.split}/{task}.parquet" for task in tasks if task in AGF_TASKS]


def case_embeddings(wildcards):
    networks = dict.fromkeys(case_by_name(wildcards.case).networks)
    return [f"{RESULTS}/embeddings/{wildcards.split}/seed{wildcards.seed}/{name}.safetensors" for name in networks]


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
    split = [f"{RESULTS}/splits/{SPLIT}.parquet", f"{RESULTS}/networks/{SPLIT}/scaler.parquet"]
    kinds = ("parquet", "bags.parquet", "dictionary.safetensors", "topics.safetensors", "top_words.csv", "json")
    targets = expand(f"{RESULTS}/targets/{SPLIT}/{{task}}.{{kind}}", task=AGF_TASKS, kind=kinds)
    folder = f"{RESULTS}/networks/{SPLIT}/seed{SEED}/{{network}}"
    names = ("weights.safetensors", "history.parquet", "summary.json")
    networks = expand(f"{folder}/{{name}}", network=NETWORKS, name=names)
    scored = [*CASES, *(f"{case}-softmax" for case in WIDE_CASES)]
    folder = f"{RESULTS}/cases/{SPLIT}/seed{SEED}/{{case}}"
    cases = expand(f"{folder}/{{name}}", case=scored, name=("predictions.parquet", "metrics.json"))
    return [*corpus, *contents(*DIGESTS), *split, *targets, *networks, *cases]


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
