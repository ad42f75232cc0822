from agf.evaluation.run import write_run_tables
from agf.job import job

source = snakemake.input
with job(snakemake.log[0]):
    write_run_tables(
        source.metrics,
        source.baselines,
        list(source.targets),
        source.tracks,
        snakemake.params.published,
        source.provenance,
        snakemake.params.out,
        snakemake.params.run["warnings"],
    )
