from pathlib import Path

from agf.corpus.scan import scan_corpus
from agf.job import job

run, params = snakemake.params.run, snakemake.params
with job(snakemake.log[0]):
    out = Path(snakemake.output.scan).parent
    scan_corpus(params.data_dir, params.audio_dir, run["subset"], run["shards"], out, params.cache)
