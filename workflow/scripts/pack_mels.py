from agf.job import job
from agf.networks.mels import pack_mels

source = snakemake.input
with job(snakemake.log[0]):
    pack_mels(list(source.mel), source.tracks, snakemake.output.mels)
