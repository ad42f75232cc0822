from agf.job import job
from agf.targets.artist_group_factors import fit_artist_group_factors

source, run = snakemake.input, snakemake.params.run
with job(snakemake.log[0]):
    fit_artist_group_factors(
        snakemake.wildcards.task,
        source.tracks,
        source.split,
        list(source.features),
        source.genres,
        dict(snakemake.output.items()),
        run,
        run["seed"],
    )
