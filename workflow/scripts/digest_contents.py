from pathlib import Path

from agf.corpus.digests import write_digests
from agf.job import job

source = snakemake.input
with job(snakemake.log[0]):
    features = {name: list(source[name]) for name in snakemake.params.run["features"]}
    splits = {Path(path).stem: path for path in source.splits}
    write_digests(source.tracks, source.genres, splits, features, dict(snakemake.output.items()))
