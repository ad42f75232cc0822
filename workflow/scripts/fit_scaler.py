from agf.job import job
from agf.networks.crops import fit_scaler

source = snakemake.input
with job(snakemake.log[0]):
    fit_scaler(source.mels, source.split, snakemake.output.scaler, snakemake.params.run)
