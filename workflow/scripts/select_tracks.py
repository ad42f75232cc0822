from agf.corpus.selection import FEATURE_DIGESTS, select_tracks
from agf.job import job

source, run = snakemake.input, snakemake.params.run
with job(snakemake.log[0]):
    features = {name: list(source[name]) for name in FEATURE_DIGESTS}
    out = dict(snakemake.output.items())
    select_tracks(source.scan, source.genres, features, list(source.rejected), run["shards"], out)
