from agf.job import job
from agf.provenance import write_provenance

source, params = snakemake.input, snakemake.params
with job(snakemake.log[0]):
    write_provenance(
        list(source.files),
        params.results,
        params.run["configuration"],
        params.run["scripts"],
        source.lock,
        snakemake.output.provenance,
    )
