from agf.job import job
from agf.provenance import write_sums

with job(snakemake.log[0]):
    write_sums(list(snakemake.input.tables), snakemake.output.sums)
