"""Prediction: the genre of a folder of music by a model folder, in parts. A workflow of its own.

    snakemake --snakefile workflow/rules/predict.smk --cores 4 --config model=MODEL music=FOLDER out=predictions

Reads   MODEL, a folder that `agf export` wrote, and every audio file below FOLDER
Writes  {out}/predictions.csv: id and one column per genre; {out}/skipped.csv: files that could not be used, and why
Steps   1. predict_part predicts the files of one part
        2. collect_parts puts the parts together
The scripts lie in a folder of their own, because a run's provenance has the hash of every script beside it.
Further settings: parts=16 (jobs), vote=mean (or majority), excerpt=false (true: of longer tracks the corpus's piece).
"""

import os
from pathlib import Path

from snakemake.exceptions import WorkflowError

from agf.code_hash import code_hash
from agf.corpus.manifest import shard_names
from agf.errors import UserError
from agf.lifeline import announce_run
from agf.corpus.audio_files import AUDIO_SUFFIXES, find_audio, fingerprint_of_part

DEFAULTS = {"model": None, "music": None, "out": "predictions", "parts": 16, "vote": "mean", "excerpt": False}
RUN = {**DEFAULTS, **config}
if set(RUN) != set(DEFAULTS) or not RUN["model"] or not RUN["music"]:
    raise WorkflowError(f"Give --config model=MODEL music=FOLDER; settings are {', '.join(DEFAULTS)}.")
if RUN["vote"] not in ("mean", "majority") or not isinstance(RUN["excerpt"], bool):
    raise WorkflowError("vote is mean or majority, and excerpt is true or false.")
if not os.path.isfile(f"{RUN['model']}/config.json"):
    raise WorkflowError(f"{RUN['model']} is no folder that `agf export` wrote: it has no config.json.")

try:
    if workflow.is_main_process and not find_audio(RUN["music"])[0]:
        raise UserError(f"{RUN['music']} holds no audio file ({', '.join(AUDIO_SUFFIXES)}): name another folder.")
except UserError as error:
    raise WorkflowError(str(error)) from None

OUT = RUN["out"]
PARTS = shard_names(int(RUN["parts"]))

# As in common.smk: one job, one thread, with the package of this checkout.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.update(OMP_NUM_THREADS="1", PYTHONPATH=str(Path(workflow.basedir).parents[1] / "src"))
announce_run()


def part_settings(wildcards):
    """Return what a part depends on besides the model: its files, the code and the settings, in one dict."""
    try:
        files = fingerprint_of_part(RUN["music"], wildcards.part)
    except UserError as error:
        raise WorkflowError(str(error)) from None
    script = workflow.source_path("../scripts/predict/predict_part.py")
    return {"files": files, "code": code_hash(scripts=(script,)), "vote": RUN["vote"], "excerpt": RUN["excerpt"]}


rule collect_parts:
    default_target: True
    input:
        parts=expand(f"{OUT}/parts/{{part}}.parquet", part=PARTS),
        skipped=expand(f"{OUT}/parts/{{part}}.skipped.csv", part=PARTS),
    output:
        predictions=f"{OUT}/predictions.csv",
        skipped=f"{OUT}/skipped.csv",
    log:
        f"{OUT}/logs/collect_parts.log",
    benchmark:
        f"{OUT}/benchmarks/collect_parts.tsv"
    conda:
        "../../envs/predict.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    message:
        "Predictions of all parts"
    script:
        "../scripts/predict/collect_parts.py"


rule predict_part:
    input:
        model=f"{RUN['model']}/config.json",
    output:
        predictions=f"{OUT}/parts/{{part}}.parquet",
        skipped=f"{OUT}/parts/{{part}}.skipped.csv",
    log:
        f"{OUT}/logs/predict_part/{{part}}.log",
    benchmark:
        f"{OUT}/benchmarks/predict_part/{{part}}.tsv"
    conda:
        "../../envs/predict.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=720,
    params:
        run=part_settings,
        music=RUN["music"],
    message:
        "Predicting part {wildcards.part}"
    script:
        "../scripts/predict/predict_part.py"
