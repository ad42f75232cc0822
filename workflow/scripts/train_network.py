from agf.job import job
from agf.keyed_random import seed_of_draw
from agf.networks.training import train_network
from agf.tasks import network_by_name

source, params = snakemake.input, snakemake.params
network = network_by_name(snakemake.wildcards.network)
settings = dict(params.run)
code = settings.pop("code")
with job(snakemake.log[0]):
    targets = [task for task in network.tasks if task != "g"]
    train_network(
        network,
        source.mels,
        source.tracks,
        source.split,
        source.scaler,
        dict(zip(targets, source.targets, strict=True)),
        dict(snakemake.output.items()),
        settings,
        seed_of_draw(int(snakemake.wildcards.seed), snakemake.wildcards.agf),
        params.resume,
        code,
        snakemake.config["gpu_jobs_per_device"],
    )
