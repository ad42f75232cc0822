from agf.corpus.digests import FEATURES, write_digests
from agf.job import job

source = snakemake.input
with job(snakemake.log[0]):
    features = {name: list(source[name]) for name in FEATURES}
    write_digests(
        source.tracks, source.genres, source.split, features, dict(snakemake.output.items())
    )
