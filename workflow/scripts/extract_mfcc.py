from agf.features.mfcc_shards import extract_mfcc_shard
from agf.job import job

code, values = snakemake.params.run["code"], dict(snakemake.params.run)
del values["code"]
with job(snakemake.log[0]):
    extract_mfcc_shard(snakemake.input.mel, snakemake.output.mfcc, values, code)
