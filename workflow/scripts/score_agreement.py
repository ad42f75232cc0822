from pathlib import Path

from agf.job import job
from agf.targets.agreement import write_agreement

source, run = snakemake.input, snakemake.params.run
with job(snakemake.log[0]):
    targets = {Path(path).stem: path for path in source.topics}
    write_agreement(targets, source.planted, snakemake.output.agreement, run["seed"])
