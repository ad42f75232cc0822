from agf.features.mel_shards import extract_mel_shard
from agf.job import job

source, out = snakemake.input, snakemake.output
code, values = snakemake.params.run["code"], dict(snakemake.params.run)
del values["code"]
with job(snakemake.log[0]):
    extract_mel_shard(
        source.manifest, snakemake.params.data_dir, out.mel, out.rejected, values, code
    )
