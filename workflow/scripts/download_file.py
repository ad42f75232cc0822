from agf.corpus.download import download
from agf.job import job

params = snakemake.params
with job(snakemake.log[0]):
    download(params.url, snakemake.output[0], params.checksum)
