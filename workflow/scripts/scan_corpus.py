from pathlib import Path

from agf.corpus.scan import scan_corpus
from agf.job import job

run, params = snakemake.params.run, snakemake.params
with job(snakemake.log[0]):
    scan_corpus(
        run["source"],
        params.data_dir,
        params.audio_dir,
        run["subset"],
        params.tags_file,
        run["duplicates"],
        run["shards"],
        Path(snakemake.output.scan).parent,
        f"{params.cache}/audio_digests.parquet",
        f"{params.cache}/audio_tags.parquet",
    )
