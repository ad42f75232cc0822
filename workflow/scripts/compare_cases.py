from pathlib import Path

from agf.evaluation.run import write_run_comparisons
from agf.job import job

source, out = snakemake.input, snakemake.output
with job(snakemake.log[0]):
    write_run_comparisons(
        source.metrics,
        {Path(path).stem: path for path in source.splits},
        list(source.predictions),
        source.tracks,
        source.provenance,
        dict(out.items()),
        snakemake.params.run["seed"],
    )
