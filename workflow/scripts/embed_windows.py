from agf.job import job
from agf.transfer.embedding import embed_tracks

source = snakemake.input
with job(snakemake.log[0]):
    embed_tracks(
        source.weights,
        source.mels,
        source.tracks,
        snakemake.output.embedding,
        snakemake.params.run,
        snakemake.config["gpu_jobs_per_device"],
    )
