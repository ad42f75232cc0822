"""What is run in a process of its own and killed there; imported in it, so it imports little."""

import json

from agf.files import replacing
from agf.job import job

MEGABYTE = 1 << 20


def write_for_ever(path, began):
    """Write files of one repeated letter each, as many as there is time for."""
    began.touch()
    for i in range(1 << 20):
        write_letters(path, b"abcdefghijklmnopqrstuvwxyz"[i % 26])


def write_letters(path, letter):
    """Write 8 MB of one letter."""
    with replacing(path) as temporary, open(temporary, "wb") as file:
        for _ in range(8):
            file.write(bytes([letter]) * MEGABYTE)


def train(results, name, epochs, folder):
    """Train a network of a finished run, its state written after every epoch."""
    from agf.networks.training import train_network
    from agf.tasks import AGF_TASKS, network_by_name

    network = network_by_name(name)
    config = json.loads((results / "provenance.json").read_text())["configuration"]
    settings = {**config["networks"], "top_db": config["spectrogram"]["top_db"], "epochs": epochs}
    names = {"weights": "weights.safetensors", "history": "history.parquet"}
    with job(folder / "train.log"):
        train_network(
            network,
            results / "features" / "mels.safetensors",
            results / "corpus" / "tracks.parquet",
            results / "splits" / "random.parquet",
            results / "networks" / "random" / "scaler.parquet",
            {
                task: results / "targets" / "random" / f"{task}.parquet"
                for task in network.tasks
                if task in AGF_TASKS
            },
            {kind: folder / name for kind, name in {**names, "summary": "summary.json"}.items()},
            settings,
            config["seeds"][0],
            folder / "resume",
            "code",
            checkpoint_seconds=0.0,
        )
