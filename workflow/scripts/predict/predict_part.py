from pathlib import Path

from agf.job import job
from agf.predict.parts import predict_part

out, params = snakemake.output, snakemake.params
with job(snakemake.log[0]):
    predict_part(
        Path(snakemake.input.model).parent,
        params.music,
        snakemake.wildcards.part,
        out.predictions,
        out.skipped,
        params.run["vote"],
        params.run["excerpt"],
    )
