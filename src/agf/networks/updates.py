"""Updates of a model, one after the other: what an epoch reads, and CUDA graphs of one update.

An update is a function without arguments. It reads which rows it is about from tables that are on
the device already, and leaves its loss there, so that nothing but its launch is left to the CPU. On
CUDA, where launching a few hundred kernels takes longer than they run, it is captured once and
replayed; on the CPU it is called as it is.
"""

import math
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import torch

from agf.errors import UserError

WARM_UP = 3
"""Updates before a capture, in which libraries choose their algorithms and reserve memory."""


class Epoch(NamedTuple):
    """Tables of one epoch, on the device, at the same place in every epoch.

    Attributes
    ----------
    rows : dict of str to torch.Tensor
        int64, shape (updates, batch): which rows each update reads, by the name of the table.
    update : torch.Tensor
        int64, shape (1,): number of the update in the epoch.
    losses : torch.Tensor
        float32, shape (updates,): filled by the updates.
    """

    rows: dict
    update: torch.Tensor
    losses: torch.Tensor


def updates_per_epoch(n_rows, batch_size):
    """Return how many updates an epoch has.

    The last incomplete batch is dropped; where there are fewer rows than `batch_size`, the one
    batch is all of them.
    """
    return max(n_rows // batch_size, 1)


def new_epoch(n_rows, batch_size, names, device):
    """Make room for the tables of an epoch over `n_rows` rows.

    Parameters
    ----------
    n_rows, batch_size : int
        See :func:`updates_per_epoch`.
    names : sequence of str
        Names of the tables.
    device : torch.device
        Where the model is.

    Returns
    -------
    Epoch
    """
    n_updates = updates_per_epoch(n_rows, batch_size)
    shape = (n_updates, min(n_rows, batch_size))
    return Epoch(
        {name: torch.zeros(shape, dtype=torch.int64, device=device) for name in names},
        torch.zeros(1, dtype=torch.int64, device=device),
        torch.zeros(n_updates, device=device),
    )


def fill_epoch(epoch, **rows):
    """Begin an epoch: write its tables and go back to the first update.

    Parameters
    ----------
    epoch : Epoch
        Changed in place.
    **rows : numpy.ndarray
        For each table int64, shape (rows,), in the order of the updates; what is beyond the last
        whole batch is left out.
    """
    for name, values in rows.items():
        table = epoch.rows[name]
        table.copy_(torch.from_numpy(values[: table.numel()]).view(table.shape))
    epoch.update.zero_()


def current(epoch, name):
    """Return what the update at hand reads, int64, shape (batch,)."""
    return epoch.rows[name].index_select(0, epoch.update)[0]


def finish_update(epoch, loss):
    """Note the loss of the update at hand and go on to the next one."""
    epoch.losses.index_copy_(0, epoch.update, loss.detach().reshape(1))
    epoch.update.add_(1)


def read_losses(epoch, what, advice):
    """Return the losses of a finished epoch. This waits for the device: once an epoch.

    Parameters
    ----------
    epoch : Epoch
        The epoch.
    what : str
        Names the model and where it is, for the error.
    advice : str
        What to do about a loss that is not finite.

    Returns
    -------
    list of float

    Raises
    ------
    UserError
        If a loss is not finite.
    """
    losses = epoch.losses.tolist()
    for i, loss in enumerate(losses):
        if not math.isfinite(loss):
            raise UserError(f"The loss of {what} is {loss} in update {i} of the epoch; {advice}.")
    return losses


def adam(groups, learning_rate, device):
    """Make an Adam whose state is there before its first step, in tensors that stay in place.

    Parameters
    ----------
    groups : list of dict
        Groups of parameters, as torch takes them.
    learning_rate : float
        Learning rate.
    device : torch.device
        Of the parameters.

    Returns
    -------
    torch.optim.Adam
        Fused: one pass over the weights, which are larger than a core's cache.
    """
    optimiser = torch.optim.Adam(
        groups, lr=learning_rate, fused=True, capturable=device.type == "cuda"
    )
    for parameter in parameters(optimiser):
        optimiser.state[parameter] = {
            "step": torch.zeros((), device=device),
            "exp_avg": torch.zeros_like(parameter),
            "exp_avg_sq": torch.zeros_like(parameter),
        }
    return optimiser


def parameters(optimiser):
    """Return the parameters of an optimiser, in order."""
    return [parameter for group in optimiser.param_groups for parameter in group["params"]]


def capture(update, model, optimiser, epoch):
    """Return a function that does what `update` does, with a single launch where that is possible.

    Parameters
    ----------
    update : callable
        One update, with tables, data and model on one device.
    model : torch.nn.Module
        What it trains.
    optimiser : torch.optim.Adam
        Of :func:`adam`.
    epoch : Epoch
        Filled for at least one update; as it was when this returns.

    Returns
    -------
    callable
        On CUDA a graph of the update, else `update` itself. Model, optimiser and epoch are as they
        were. The random numbers of a replay depend on the seed set before, as those of `update` do.

    References
    ----------
    https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs
    """
    if epoch.update.device.type != "cuda":
        return update
    state = [
        *model.state_dict().values(),
        *(value for values in optimiser.state.values() for value in values.values()),
        epoch.update,
        epoch.losses,
    ]
    saved = [tensor.clone() for tensor in state]
    # A capture needs a stream of its own, and so does its warm-up.
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UP):
            epoch.update.zero_()
            update()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        update()
    with torch.no_grad():
        for tensor, value in zip(state, saved, strict=True):
            tensor.copy_(value)
    return graph.replay


def make_trainer(update, model, optimiser, epoch, buffer=None):
    """Return a function that trains one epoch.

    Parameters
    ----------
    update, model, optimiser, epoch
        As in :func:`capture`, which is called in the first epoch.
    buffer : torch.Tensor, optional
        As in :func:`run_updates`.

    Returns
    -------
    callable
        Takes a seed for the random numbers of the epoch, `load` as in :func:`run_updates`, and the
        tables of :func:`fill_epoch`. It returns before the device is done, see
        :func:`read_losses`.
    """
    captured = None

    def train_epoch(seed, load=None, **rows):
        nonlocal captured
        fill_epoch(epoch, **rows)
        if captured is None:
            captured = capture(update, model, optimiser, epoch)
        torch.manual_seed(seed)
        run_updates(captured, len(epoch.losses), load, buffer)

    return train_epoch


def pinned(batch, device):
    """Return a batch on the CPU in memory that `device` reads without waiting for the CPU."""
    return batch.pin_memory() if device.type == "cuda" else batch


def run_updates(update, n_updates, load=None, buffer=None):
    """Call `update` once for each batch.

    Parameters
    ----------
    update : callable
        Of :func:`capture`.
    n_updates : int
        How often.
    load : callable, optional
        Where the data do not fit on the device: takes the number of an update and returns its
        batch, on the CPU. Called in one thread in the background, one batch ahead.
    buffer : torch.Tensor, optional
        On the device: where the updates find the batch that `load` returned.
    """
    if load is None:
        for _ in range(n_updates):
            update()
        return
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(load, 0)
        for i in range(n_updates):
            batch = coming.result()
            if i + 1 < n_updates:
                coming = thread.submit(load, i + 1)
            buffer.copy_(batch, non_blocking=True)
            update()
