from pathlib import Path

from agf.corpus.scan import scan_corpus
from agf.job import job

params = snakemake.params
with job(snakemake.log[0]):
    out = Path(snakemake.output.scan).parent
    scan_corpus(params.run, params.data_dir, params.audio_dir, params.tags_file, out, params.cache)
