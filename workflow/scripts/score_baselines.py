from agf.evaluation.run import write_baselines
from agf.job import job

source = snakemake.input
with job(snakemake.log[0]):
    write_baselines(source.tracks, source.split, list(source.mfcc), snakemake.output.baselines)
