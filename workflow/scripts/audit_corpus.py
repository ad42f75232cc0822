from pathlib import Path

from agf.corpus.audit import audit_corpus
from agf.job import job

source, out = snakemake.input, snakemake.output
with job(snakemake.log[0]):
    splits = {Path(path).stem: path for path in source.splits}
    audit_corpus(
        source.scan, source.tracks, source.rejected, source.genres, splits, out.parquet, out.page
    )
