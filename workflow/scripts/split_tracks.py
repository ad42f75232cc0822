from agf.corpus.split import split_tracks
from agf.corpus.tracks import read_tracks
from agf.files import write_parquet
from agf.job import job

run = snakemake.params.run
with job(snakemake.log[0]):
    tracks = read_tracks(snakemake.input.tracks)
    parts = split_tracks(tracks, run["kind"], run["evaluation_fraction"], run["seed"])
    write_parquet(parts, snakemake.output.split)
