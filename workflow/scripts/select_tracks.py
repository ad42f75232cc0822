from agf.corpus.digests import FEATURES
from agf.corpus.selection import select_tracks
from agf.job import job

source, run = snakemake.input, snakemake.params.run
with job(snakemake.log[0]):
    features = {name: list(source[name]) for name in FEATURES}
    select_tracks(source.scan, features, list(source.rejected), run["shards"], *snakemake.output)
