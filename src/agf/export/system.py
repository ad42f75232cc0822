"""The whole system of a case, from mel windows in dB to genre probabilities, in torch."""

import torch
from torch import nn

from agf.networks.crops import Scaler
from agf.networks.model import load_weights
from agf.transfer.mlp import load_mlp


class WholeSystem(nn.Module):
    """Standardisation, networks, transfer MLP and softmax of a case.

    Parameters
    ----------
    tasks : str
        Letters of the tasks whose features are concatenated, in that order.
    networks : list of str
        For each letter, the name of the network its feature comes from.
    models : dict of str to agf.networks.model.TaskNetwork
        The networks by name, in evaluation mode.
    scalers : dict of str to agf.networks.crops.Scaler
        For each network, mean and standard deviation of every mel band.
    mlp : torch.nn.Sequential
        The transfer MLP, in evaluation mode.
    """

    def __init__(self, tasks, networks, models, scalers, mlp):
        super().__init__()
        self.sources = list(zip(tasks, networks, strict=True))
        self.models = nn.ModuleDict(models)
        for name, scaler in scalers.items():
            for part, values in scaler._asdict().items():
                self.register_buffer(f"{part}_{name}", values[:, None])
        self.mlp = mlp

    @property
    def agf_tasks(self):
        """Letters of the tasks whose topics are known, in the order of the outputs."""
        return [task for task, _ in self.sources if task != "g"]

    def forward(self, mel_db):
        """Return genre probabilities and, for each of :attr:`agf_tasks`, topic probabilities.

        Parameters
        ----------
        mel_db : torch.Tensor
            float32, shape (windows, bands, frames), dB as :func:`agf.features.mel.dequantise` gives
            them.

        Returns
        -------
        probabilities : torch.Tensor
            float32, shape (windows, genres).
        *topics : torch.Tensor
            float32, shape (windows, topics): what the task's own network makes of a window.
        """
        shared = {}
        for name, model in self.models.items():
            mean, std = getattr(self, f"mean_{name}"), getattr(self, f"std_{name}")
            shared[name] = model.shared(((mel_db - mean) / std).unsqueeze(1))
        features, topics = [], []
        for task, network in self.sources:
            model = self.models[network]
            features.append(model.features[task](shared[network]))
            if task != "g":
                topics.append(torch.softmax(model.head[task](features[-1]), 1))
        return torch.softmax(self.mlp(torch.cat(features, 1)), 1), *topics


def load_system(folder, config):
    """Build the system from the weights of a model folder.

    Parameters
    ----------
    folder : pathlib.Path
        The folder.
    config : dict
        Its ``config.json``.

    Returns
    -------
    WholeSystem
        In evaluation mode, on the CPU.
    """
    models, scalers = {}, {}
    for entry in config["networks"]:
        models[entry["name"]], _ = load_weights(folder / entry["file"])
        scalers[entry["name"]] = Scaler(*(torch.tensor(entry["scaler"][n]) for n in Scaler._fields))
    mlp, metadata = load_mlp(folder / config["mlp"])
    return WholeSystem(metadata["tasks"], metadata["networks"], models, scalers, mlp).eval()
