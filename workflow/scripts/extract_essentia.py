from agf.features.essentia_shards import extract_essentia_shard
from agf.job import job

source, out = snakemake.input, snakemake.output
code, values = snakemake.params.run["code"], dict(snakemake.params.run)
del values["code"]
with job(snakemake.log[0]):
    extract_essentia_shard(
        source.manifest,
        source.mel,
        snakemake.params.data_dir,
        out.essentia,
        out.rejected,
        values,
        code,
    )
