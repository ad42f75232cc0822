from agf.job import job
from agf.keyed_random import seed_of_draw
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
        dict(snakemake.output.items()),
        snakemake.params.run,
        seed_of_draw(int(wildcards.seed), wildcards.protocol),
        snakemake.config["gpu_jobs_per_device"],
    )
