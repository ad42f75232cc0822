from agf.job import job
from agf.transfer.mlp import own_softmax_predictions

source = snakemake.input
with job(snakemake.log[0]):
    own_softmax_predictions(
        source.embedding, source.tracks, source.split, snakemake.output.predictions
    )
