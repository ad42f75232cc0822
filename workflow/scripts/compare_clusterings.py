import json
from pathlib import Path

from agf.evaluation.variants import write_clusterings
from agf.job import job
from agf.study import clusterings, runs

config = snakemake.config
with job(snakemake.log[0]):
    provenance = json.loads(Path(snakemake.input.provenance).read_text(encoding="utf-8"))
    write_clusterings(
        [(entry, runs(config, clustering=entry)) for entry in clusterings(config)],
        snakemake.params.results,
        config["corpus"],
        provenance["hash"],
        snakemake.output[0].removesuffix(".csv"),
    )
