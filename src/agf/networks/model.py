"""The paper's convolutional network (Table 2), alone, multi-task and widened.

Source: Kim, Won, Serra and Liem (WWW'18), Table 2 and section 4. The order inside a block is
convolution, batch normalisation, ELU, pooling, dropout; pooling is computed before ELU, which gives
the same. The first convolution gives 16 channels; the paper's table prints 128 x 43 x 1 there.
"""

import math

import torch
from torch import nn

from agf.networks.weights import read_weights, write_weights
from agf.tasks import all_networks, network_by_name

WIDTHS = {
    1: ((16, 32, 64, 64, 128, 256, 256), 256),
    2: ((23, 46, 89, 89, 182, 364, 364), 375),
    3: ((27, 57, 114, 114, 223, 444, 444), 434),
    4: ((32, 66, 130, 130, 257, 515, 515), 512),
    5: ((36, 73, 144, 144, 289, 577, 577), 566),
}
"""Channels of the seven convolutions and units of the dense layer, by the number of tasks.

Entry 1 is Table 2. The others give ``wstn-N`` exactly as many parameters as the MTN of genre
(16 outputs) and N - 1 AGF tasks (40 outputs each) has.
"""

BN_EPS = 1e-3


class MaxPooling(nn.MaxPool2d):
    """Maximum over two bands, or over two bands and two frames; an odd last one is left out.

    Parameters
    ----------
    kernel_size : tuple of int
        ``(2, 1)`` or ``(2, 2)``, bands and frames.

    Notes
    -----
    Of equal values one gets the gradient, as in torch's own layer, but not always the same one.
    """

    def forward(self, x):
        if x.device.type != "cpu":
            return super().forward(x)
        # Torch's layer writes a 64-bit index for every value, and reads it again.
        x = _PairMaximum.apply(x, 2)
        return x if self.kernel_size[1] == 1 else _PairMaximum.apply(x, 3)


class _PairMaximum(torch.autograd.Function):
    """Maximum of each two neighbours along one dimension."""

    @staticmethod
    def forward(ctx, x, dim):
        first, second = _pairs(x, dim)
        largest = torch.maximum(first, second)
        if ctx.needs_input_grad[0]:
            # Ones and zeros in x's own type: torch multiplies mixed types seven times as slowly.
            is_first = torch.ge(first, second, out=torch.empty_like(largest))
            ctx.save_for_backward(is_first)
            ctx.size, ctx.stride, ctx.dim = x.shape, x.stride(), dim
        return largest

    @staticmethod
    def backward(ctx, grad):
        (is_first,) = ctx.saved_tensors
        grad_x = torch.empty_strided(ctx.size, ctx.stride, dtype=grad.dtype)
        if ctx.size[ctx.dim] % 2:
            grad_x.select(ctx.dim, -1).zero_()
        first, second = _pairs(grad_x, ctx.dim)
        torch.mul(grad, is_first, out=first)
        torch.sub(grad, first, out=second)
        return grad_x, None


def _pairs(x, dim):
    """Return views of the values at even and at odd places of `dim`, as many of each."""
    n_pairs = x.shape[dim] // 2
    return x.narrow(dim, 0, 2 * n_pairs).unflatten(dim, (n_pairs, 2)).unbind(dim + 1)


class Dropout(nn.Dropout):
    """Dropout that on a CPU draws its mask four values at a time.

    There the probability is rounded to a multiple of 2**-16. The draws are from torch's global
    generator.
    """

    def forward(self, x):
        if not self.training or x.device.type != "cpu":
            return super().forward(x)
        # Torch's layer draws every value by itself: twenty times as slow as 64 bits for four.
        bits = torch.empty(math.ceil(x.numel() / 4), dtype=torch.int64).random_(-(2**63), None)
        n_dropped = round(self.p * 2**16)
        kept = bits.view(torch.int16)[: x.numel()].ge_(n_dropped - 2**15)
        scale = torch.empty_like(x)
        scale.as_strided((x.numel(),), (1,)).copy_(kept)
        return x * scale.div_(1 - n_dropped / 2**16)


class GlobalAveragePooling(nn.Module):
    """Mean over bands and frames: (batch, channels, bands, frames) to (batch, channels)."""

    def forward(self, x):
        # Equal to AdaptiveAvgPool2d(1), whose backward pass is slow on CUDA.
        return x.mean((2, 3))


class TaskNetwork(nn.Module):
    """A shared first block and one branch for each task.

    Use :func:`build_network` to make one. Inputs are standardised mel spectrograms in dB of shape
    (batch, 1, bands, frames); the paper's have 128 bands and 43 frames.

    Attributes
    ----------
    tasks : str
        Letters of the tasks.
    shared : torch.nn.Sequential
        The first block: convolution, pooling, ELU.
    features : torch.nn.ModuleDict
        For each task, everything up to and with Dense-BN-ELU: the transfer feature.
    head : torch.nn.ModuleDict
        For each task, dropout and the output layer.
    """

    def __init__(self, tasks, channels, dense, n_outputs, bn_momentum):
        super().__init__()
        self.tasks = tasks
        self.shared = nn.Sequential(*_convolution(1, channels[0], 5, pool=(2, 1)))
        self.features = nn.ModuleDict(
            {task: _feature_layers(channels, dense, bn_momentum) for task in tasks}
        )
        self.head = nn.ModuleDict(
            {task: nn.Sequential(Dropout(0.5), nn.Linear(dense, n_outputs[task])) for task in tasks}
        )

    def embed(self, x, task):
        """Return the output of Dense-BN-ELU of `task`, shape (batch, dense units)."""
        return self.features[task](self.shared(x))

    def forward(self, x, task):
        """Return the logits of `task`, shape (batch, outputs of the task)."""
        return self.head[task](self.embed(x, task))


def build_network(network, n_outputs, bn_momentum):
    """Build a network with fresh weights: Glorot uniform kernels, zero biases.

    The weights are drawn from torch's global generator; seed it before.

    Parameters
    ----------
    network : agf.tasks.Network
        Which of the 35 networks.
    n_outputs : dict of str to int
        Number of outputs of each of its tasks.
    bn_momentum : float
        Share of a new batch in the running statistics, in torch's sense (Keras's is one minus it).

    Returns
    -------
    TaskNetwork
        In training mode, on the CPU, in float32.
    """
    channels, dense = WIDTHS[network.size if network.kind == "wstn" else 1]
    model = TaskNetwork(network.tasks, channels, dense, n_outputs, bn_momentum)
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return model


def count_parameters(model):
    """Return the number of parameters, the frozen beta of the pooled batch norm among them."""
    return sum(parameter.numel() for parameter in model.parameters())


def architecture_rows(n_outputs=16, n_bands=128, n_frames=43):
    """Return Table 2 as the built network gives it.

    Parameters
    ----------
    n_outputs : int
        Units of the output layer.
    n_bands, n_frames : int
        Size of the input.

    Returns
    -------
    list of dict
        Rows ``layer``, ``output`` (bands x frames x channels, or units) and ``parameters``.
    """
    network = network_by_name("stn-g")
    model = build_network(network, {"g": n_outputs}, 0.1).eval()
    x = torch.zeros(1, 1, n_bands, n_frames)
    rows = [{"layer": "Input", "output": _shape_text(x), "parameters": 0}]
    with torch.inference_mode():
        for module in (*model.shared, *model.features["g"], *model.head["g"]):
            x = module(x)
            name = _layer_name(module)
            if name in ("BN", "ELU"):
                # The table has pooling after ELU.
                row = next(row for row in reversed(rows) if "MaxPooling" not in row["layer"])
                row["layer"] += f", {name}"
                row["parameters"] += count_parameters(module)
            else:
                parameters = count_parameters(module)
                rows.append({"layer": name, "output": _shape_text(x), "parameters": parameters})
    rows[-1]["layer"] += ", softmax"
    return rows


def describe_networks(epochs, n_train_tracks, batch_size, n_outputs):
    """Return what each of the 35 networks is and how long it trains.

    Parameters
    ----------
    epochs : int
        Epochs for each task of a network.
    n_train_tracks : int
        Tracks in the training part.
    batch_size : int
        Crops in an update; the last incomplete batch of an epoch is dropped.
    n_outputs : dict of str to int
        Number of outputs of each task.

    Returns
    -------
    list of dict
        ``network``, ``tasks``, ``parameters``, ``epochs`` (all tasks together) and ``updates``.
        An AGF task whose artists lack targets has fewer updates; ``summary.json`` counts them.
    """
    rows = []
    for network in all_networks():
        with torch.device("meta"):
            model = build_network(network, n_outputs, 0.1)
        total = epochs * len(network.tasks)
        rows.append(
            {
                "network": network.name,
                "tasks": network.tasks,
                "parameters": count_parameters(model),
                "epochs": total,
                "updates": total * max(n_train_tracks // batch_size, 1),
            }
        )
    return rows


def save_weights(model, path, metadata):
    """Write a network's parameters and batch-norm statistics as safetensors.

    Parameters
    ----------
    model : TaskNetwork
        The network.
    path : str or pathlib.Path
        The file, replaced as a whole.
    metadata : dict
        At least ``network`` and ``n_outputs``; written as JSON under the one key ``agf``.
    """
    write_weights(model, path, metadata)


def load_weights(path):
    """Read a network that :func:`save_weights` wrote.

    Parameters
    ----------
    path : str or pathlib.Path
        The safetensors file.

    Returns
    -------
    model : TaskNetwork
        In evaluation mode, on the CPU.
    metadata : dict
        As it was saved.

    Raises
    ------
    UserError
        If the file is missing or no safetensors file, or its metadata lacks the key ``agf``.
    """
    tensors, metadata = read_weights(path, "train the network again")
    with torch.device("meta"):
        model = build_network(network_by_name(metadata["network"]), metadata["n_outputs"], 0.1)
    model.load_state_dict(tensors, assign=True)
    return model.eval(), metadata


def _convolution(n_in, n_out, size, bn_momentum=None, pool=None):
    """Convolution, batch norm where `bn_momentum` is given, pooling where `pool` is, ELU."""
    # A bias before batch norm is subtracted again with the batch mean.
    with_bn = bn_momentum is not None
    layers = [nn.Conv2d(n_in, n_out, size, padding="same", bias=not with_bn)]
    if with_bn:
        layers.append(nn.BatchNorm2d(n_out, eps=BN_EPS, momentum=bn_momentum))
    if pool is not None:
        # ELU rises everywhere, so it may wait: the maximum is at the same place, and there are
        # half or a quarter as many values left, each of which costs an exponential.
        layers.append(MaxPooling(pool))
    return [*layers, nn.ELU()]


def _feature_layers(channels, dense, bn_momentum):
    """Table 2 from the second convolution to Dense-BN-ELU."""
    _, c2, c3, c4, c5, c6, c7 = channels
    pooled_norm = nn.BatchNorm1d(c7, eps=BN_EPS, momentum=bn_momentum)
    # The next batch norm subtracts what a constant at the dense layer's input adds: the gradient
    # of this beta is zero, and what reaches it is rounding noise that Adam would scale up.
    pooled_norm.bias.requires_grad_(False)
    return nn.Sequential(
        *_convolution(channels[0], c2, 3, bn_momentum, pool=(2, 2)),
        Dropout(0.1),
        *_convolution(c2, c3, 3, pool=(2, 2)),
        *_convolution(c3, c4, 3, bn_momentum, pool=(2, 2)),
        Dropout(0.1),
        *_convolution(c4, c5, 3, pool=(2, 2)),
        *_convolution(c5, c6, 3),
        *_convolution(c6, c7, 1, bn_momentum),
        GlobalAveragePooling(),
        pooled_norm,
        nn.Linear(c7, dense, bias=False),
        nn.BatchNorm1d(dense, eps=BN_EPS, momentum=bn_momentum),
        nn.ELU(),
    )


def _layer_name(module):
    match module:
        case nn.Conv2d():
            return "Conv {} x {}".format(*module.kernel_size)
        case nn.MaxPool2d():
            return "MaxPooling {} x {}".format(*module.kernel_size)
        case nn.Dropout():
            return f"Dropout ({module.p})"
        case GlobalAveragePooling():
            return "GlobalAveragePooling"
        case nn.Linear():
            return "Dense"
        case nn.ELU():
            return "ELU"
        case _:
            return "BN"


def _shape_text(x):
    """Return `bands x frames x channels`, or `units`, of a batch."""
    return " x ".join(str(n) for n in (*x.shape[2:], x.shape[1]))
