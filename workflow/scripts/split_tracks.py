from agf.corpus.paper_split import read_paper_split
from agf.corpus.split import split_tracks
from agf.corpus.tracks import read_tracks
from agf.files import write_parquet
from agf.job import job

source, run = snakemake.input, snakemake.params.run
with job(snakemake.log[0]):
    tracks = read_tracks(source.tracks)
    listed = read_paper_split(source.listed) if source.listed else None
    parts = split_tracks(tracks, run["kind"], run["evaluation_fraction"], run["seed"], listed)
    write_parquet(parts, snakemake.output.split)
