from agf.evaluation.planted import write_planted
from agf.job import job

with job(snakemake.log[0]):
    write_planted(
        snakemake.input.scores,
        snakemake.output[0].removesuffix(".csv"),
        snakemake.params.run["epochs"],
        snakemake.params.run["warnings"],
    )
