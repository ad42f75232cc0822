from pathlib import Path

from agf.evaluation.run import write_baselines
from agf.job import job

source = snakemake.input
with job(snakemake.log[0]):
    splits = {Path(path).stem: path for path in source.splits}
    write_baselines(
        source.tracks,
        splits,
        list(source.mfcc),
        snakemake.output.baselines,
        snakemake.params.run["seed"],
    )
