from agf.evaluation.run import score_predictions
from agf.job import job

source = snakemake.input
with job(snakemake.log[0]):
    for predictions, metrics in zip(source.predictions, snakemake.output.metrics, strict=True):
        score_predictions(predictions, metrics)
