from agf.job import job
from agf.predict.parts import collect_parts

source, out = snakemake.input, snakemake.output
with job(snakemake.log[0]):
    collect_parts(source.parts, source.skipped, out.predictions, out.skipped)
