from agf.evaluation.run import score_predictions
from agf.job import job

with job(snakemake.log[0]):
    for predictions, metrics in zip(snakemake.input, snakemake.output, strict=True):
        score_predictions(predictions, metrics)
