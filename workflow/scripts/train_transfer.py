from agf.job import job
from agf.tasks import case_by_name
from agf.transfer.mlp import train_transfer

source, wildcards = snakemake.input, snakemake.wildcards
case = case_by_name(wildcards.case)
with job(snakemake.log[0]):
    train_transfer(
        case,
        dict(zip(dict.fromkeys(case.networks), source.embeddings, strict=True)),
        source.tracks,
        source.split,
        snakemake.output.predictions,
        snakemake.params.run,
        int(wildcards.seed),
        snakemake.config["gpu_jobs_per_device"],
    )
