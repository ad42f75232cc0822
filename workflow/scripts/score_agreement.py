from agf.job import job
from agf.targets.agreement import write_agreement
from agf.tasks import AGF_TASKS

source, run = snakemake.input, snakemake.params.run
with job(snakemake.log[0]):
    targets = dict(zip(AGF_TASKS, source.topics, strict=True))
    write_agreement(targets, source.planted, snakemake.output.agreement, run["seed"])
