import json
from pathlib import Path

from agf.evaluation.variants import write_leakage
from agf.job import job
from agf.study import protocols, runs

config = snakemake.config
with job(snakemake.log[0]):
    provenance = json.loads(Path(snakemake.input.provenance).read_text(encoding="utf-8"))
    write_leakage(
        [(entry, runs(config, protocol=entry)) for entry in protocols(config)],
        snakemake.params.results,
        config["corpus"],
        provenance["hash"],
        snakemake.output[0].removesuffix(".csv"),
    )
