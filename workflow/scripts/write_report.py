from pathlib import Path

from agf.evaluation.report.inputs import LISTS
from agf.evaluation.report.write import write_report
from agf.job import job

given = dict(snakemake.input.items())
with job(snakemake.log[0]):
    names = [name for name in given if given[name] and name not in ("contents", "sums")]
    files = {name: given[name] for name in names if name in LISTS}
    files |= {name: str(given[name]) for name in names if name not in LISTS}
    files["benchmarks"] = sorted(Path(snakemake.params.benchmarks).rglob("*.tsv"))
    write_report(files, snakemake.output.page)
