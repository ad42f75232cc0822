from agf.features.chroma_shards import extract_chroma_shard
from agf.job import job

source, params = snakemake.input, snakemake.params
code, values = params.run["code"], dict(params.run)
del values["code"]
with job(snakemake.log[0]):
    extract_chroma_shard(
        source.manifest, source.mel, params.data_dir, snakemake.output.chroma, values, code
    )
