"""Music genre recognition by transfer from artist group factors (AGF).

From audio to the tables of Kim, Won, Serra and Liem (WWW'18), stage by stage; each stage is a file in workflow/rules/
and each of these targets stops after its stage:

    corpus    ->  features  ->  targets  ->  networks  ->  transfer  ->  tables

`snakemake` alone makes all of these; `snakemake planted` asks whether the groups helped (demo corpus). What is made where: docs/files.md.
"""

import logging

from snakemake.utils import min_version

min_version("9.27")

# On a full disk, what Snakemake says must not drown in tracebacks about its own log.
logging.raiseExceptions = False


configfile: "config.yaml"


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/download.smk"
include: "workflow/rules/corpus.smk"
include: "workflow/rules/features.smk"
include: "workflow/rules/targets.smk"
include: "workflow/rules/networks.smk"
include: "workflow/rules/transfer.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/planted.smk"


localrules:
    all,
    corpus,
    features,
    targets,
    networks,
    transfer,
    tables,


rule all:
    default_target: True
    input:
        rules.tables.input,
    message:
        "Everything is there"


onstart:
    look_before_start()


onsuccess:
    if os.path.exists(f"{RESULTS}/corpus/scan.parquet"):
        print(describe_corpus(f"{RESULTS}/corpus"), file=sys.stderr)


onerror:
    print(f"The run stopped. What went wrong stands above and in {RESULTS}/logs/.", file=sys.stderr)
