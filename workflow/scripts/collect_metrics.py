from agf.evaluation.metrics_file import collect_metrics
from agf.files import write_text
from agf.job import job

with job(snakemake.log[0]):
    metrics = collect_metrics(snakemake.input.metrics, snakemake.params.run["corpus"])
    write_text(metrics.to_csv(index=False), snakemake.output.metrics)
