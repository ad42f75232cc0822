from agf.corpus.demo import write_demo
from agf.job import job

run = snakemake.params.run
with job(snakemake.log[0]):
    write_demo(run["demo"], run["seed"], snakemake.params.out, workers=snakemake.threads)
