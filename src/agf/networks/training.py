"""Training one network: random one-second crops, one task an epoch, one Adam for each task.

Source: Kim, Won, Serra and Liem (WWW'18), section 4, and the authors' published code. Every random
draw is a function of the seed, the network's name and the epoch, so that a network gets the same
bits alone, beside others, and resumed after a kill.
"""

import logging
import math
import shutil
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn

from agf.errors import UserError
from agf.files import write_json, write_parquet
from agf.keyed_random import generator, random_key
from agf.networks.checkpoint import load_checkpoint, save_checkpoint, training_digest
from agf.networks.crops import cut, draw_crops, gather, standardise
from agf.networks.data import read_training_data
from agf.networks.device import (
    autocast,
    bytes_for_data,
    lend_device,
    resolve_precision,
    set_precision,
    training_bytes,
)
from agf.networks.model import build_network, count_parameters, save_weights
from agf.networks.updates import (
    adam,
    current,
    finish_update,
    make_trainer,
    new_epoch,
    pinned,
    read_losses,
    updates_per_epoch,
)
from agf.progress import progress

logger = logging.getLogger(__name__)

GAP_LIMIT = 0.5
"""Nats by which the loss in evaluation mode may exceed the training loss.

Dropout makes the training loss the higher of the two in a sound network. After 120 updates on eight
synthetic genres the loss in evaluation mode was 0.36 below it with re-estimated statistics, 0.24
below with momentum 0.1 alone, and 0.94 above with momentum 0.01, whose statistics had hardly left
their start.
"""

REESTIMATION_BATCHES = 20
"""At least so many batches enter the batch-norm statistics, in as many epochs as that takes."""


def train_network(
    network,
    mels_path,
    tracks_path,
    split_path,
    scaler_path,
    target_paths,
    out,
    settings,
    seed,
    resume_dir,
    code,
    gpu_jobs_per_device=1,
    checkpoint_seconds=60.0,
):
    """Train one network and write its weights, its history and a summary.

    Parameters
    ----------
    network : agf.tasks.Network
        Which network.
    mels_path : str or pathlib.Path
        The spectrograms of all tracks, a file of :func:`agf.networks.mels.pack_mels`.
    tracks_path, split_path, scaler_path : str or pathlib.Path
        ``tracks.parquet``, the split, and the scaler fitted on its training part.
    target_paths : dict of str to path
        For each AGF task of the network, its table of topics by artist. Genre needs none.
    out : dict
        Paths ``weights`` (safetensors), ``history`` (Parquet) and ``summary`` (JSON).
    settings : dict
        ``epochs`` (for each task; the network trains ``epochs`` times its number of tasks),
        ``batch_size``, ``learning_rate``, ``weight_decay`` (coupled, on kernels only),
        ``crop_frames``, ``precision`` (see :func:`agf.networks.device.resolve_precision`),
        ``bn_momentum`` (torch's sense), ``bn_reestimate`` and ``top_db``.
    seed : int
        The run's seed.
    resume_dir : str or pathlib.Path
        Where the state of an interrupted training lies, in a folder named after a hash of the
        network, the settings, the seed, the data and `code`. The folder is removed at success.
    code : str
        Hash of the code that trains.
    gpu_jobs_per_device : int
        Jobs that may share a GPU.
    checkpoint_seconds : float
        The state is written at the first end of an epoch after so many seconds.

    Raises
    ------
    UserError
        If the data do not fit (see :func:`agf.networks.data.read_training_data`), if the GPU's
        memory does not suffice, or if the loss is not finite.
    """
    data = read_training_data(
        network,
        mels_path,
        tracks_path,
        split_path,
        scaler_path,
        target_paths,
        settings["crop_frames"],
    )
    with lend_device(gpu_jobs_per_device) as device:
        precision = resolve_precision(settings["precision"], device)
        set_precision(precision, device)
        settings = {**settings, "precision": precision}
        digest = training_digest(data, network.name, settings, seed, code, device.type)
        checkpoint = Path(resume_dir) / digest / "state.safetensors"
        torch.manual_seed(random_key(seed, network.name, "initial weights"))
        n_outputs = {task: data.targets[task].shape[1] for task in network.tasks}
        model = build_network(network, n_outputs, settings["bn_momentum"])
        data = _to_device(data, device, network, model, settings, gpu_jobs_per_device)
        # On a CPU convolutions are faster channels last, in bf16 most of all.
        model = model.to(device, memory_format=torch.channels_last)
        history = _run_epochs(
            network, model, data, settings, seed, device, checkpoint, checkpoint_seconds
        )
        if settings["bn_reestimate"]:
            for task in network.tasks:
                reestimate_batch_norm(network, model, task, data, settings, seed)
        summary = _summary(network, model, data, settings, seed, history)

    metadata = {
        "network": network.name,
        "tasks": network.tasks,
        "n_outputs": n_outputs,
        "genres": data.genres,
        "scaler": {name: values.tolist() for name, values in data.scaler._asdict().items()},
        "settings": settings,
        "seed": seed,
    }
    save_weights(model, out["weights"], metadata)
    columns = ["epoch", "task", "loss", "updates", "seconds"]
    write_parquet(pd.DataFrame(history, columns=columns), out["history"])
    write_json(summary, out["summary"])
    shutil.rmtree(checkpoint.parent, ignore_errors=True)


def _to_device(data, device, network, model, settings, gpu_jobs_per_device):
    """Move the data to the device; the spectrograms only where they fit beside the training."""
    n_bands = data.mels.frames.shape[1]
    batch = torch.empty(settings["batch_size"], 1, n_bands, settings["crop_frames"], device="meta")
    # Each task's graph keeps its own activations.
    needed = training_bytes(
        model, lambda model, x: [model(x, task) for task in network.tasks], batch
    )
    room = bytes_for_data(device, needed, gpu_jobs_per_device, f"Training {network.name}")
    frames = data.mels.frames
    if frames.nbytes <= room:
        frames = frames.to(device)
    else:
        logger.info(
            "The spectrograms (%.1f GB) do not fit beside the training in the job's share of the "
            "GPU; they are read from the CPU's memory batch by batch.",
            frames.nbytes / 1e9,
        )
    return data._replace(
        mels=data.mels._replace(frames=frames, max_db=data.mels.max_db.to(device)),
        scaler=data.scaler.to(device),
        targets={task: values.to(device) for task, values in data.targets.items()},
    )


def _run_epochs(network, model, data, settings, seed, device, checkpoint, checkpoint_seconds):
    """Train from the epoch after the checkpoint's to the last; return the history."""
    optimisers = {task: task_adam(model, task, settings, device) for task in network.tasks}
    history = load_checkpoint(checkpoint, model, optimisers)
    updates = {task: 0 for task in network.tasks}
    updates.update({row["task"]: row["updates"] for row in history})
    trainers = {}
    saved = time.monotonic()
    rate = 0.0

    def status():
        row = history[-1]
        return f"task {row['task']}, loss {row['loss']:.4f}, {rate:.1f} steps/s"

    epochs = range(len(history), settings["epochs"] * len(network.tasks))
    for epoch in progress(epochs, f"{network.name}, epochs", epochs.stop, epochs.start, status):
        start = time.monotonic()
        task = draw_task(seed, network, epoch)
        if task not in trainers:
            trainers[task] = task_trainer(network, model, task, optimisers[task], data, settings)
        losses = trainers[task](epoch, seed)
        updates[task] += len(losses)
        now = time.monotonic()
        rate = len(losses) / (now - start)
        history.append(
            {
                "epoch": epoch,
                "task": task,
                "loss": float(np.mean(losses)),
                "updates": updates[task],
                "seconds": now - start,
            }
        )
        if now - saved >= checkpoint_seconds and epoch + 1 < epochs.stop:
            saved = now
            save_checkpoint(checkpoint, model, optimisers, history)
    return history


def task_trainer(network, model, task, optimiser, data, settings):
    """Return a function that trains one epoch of a task.

    Parameters
    ----------
    network : agf.tasks.Network
        Which network.
    model : agf.networks.model.TaskNetwork
        Changed in place.
    task : str
        Letter of the task.
    optimiser : torch.optim.Adam
        Of :func:`task_adam`.
    data : agf.networks.data.TrainingData
        On the device of `model`; the spectrograms may be on the CPU.
    settings : dict
        As in :func:`train_network`, the precision resolved.

    Returns
    -------
    callable
        Takes the number of the epoch and the run's seed, returns the losses of its updates, a list
        of float.
    """
    rows, crop_frames = data.rows[task], settings["crop_frames"]
    mels, targets, device = data.mels, data.targets[task], data.scaler.mean.device
    resident = mels.frames.device == device
    names = ["row", "first"] if resident else ["row"]
    tables = new_epoch(len(rows), settings["batch_size"], names, device)
    batch_size = tables.rows["row"].shape[1]
    buffer = None
    if not resident:
        shape = (batch_size, crop_frames, mels.frames.shape[1])
        buffer = torch.zeros(shape, dtype=mels.frames.dtype, device=device)

    def update():
        row = current(tables, "row")
        levels = cut(mels.frames, current(tables, "first"), crop_frames) if resident else buffer
        x = standardise(levels, mels.max_db[row], data.scaler, settings["top_db"])
        optimiser.zero_grad()
        loss = _loss(model, x, task, targets[row], settings["precision"])
        loss.backward()
        optimiser.step()
        finish_update(tables, loss)

    train = make_trainer(update, model, optimiser, tables, buffer)

    def train_epoch(epoch, seed):
        order, starts = draw_crops(seed, network.name, epoch, mels.lengths[rows], crop_frames)
        row, first = rows[order], mels.offsets[rows[order]] + starts[order]

        def load(i):
            part = torch.from_numpy(first[i * batch_size : (i + 1) * batch_size])
            return pinned(cut(mels.frames, part, crop_frames), device)

        model.train()
        dropout = random_key(seed, network.name, "dropout", epoch)
        if resident:
            train(dropout, row=row, first=first)
        else:
            train(dropout, load, row=row)
        return read_losses(
            tables,
            f"{network.name} in epoch {epoch} (task {task})",
            "check the spectrograms or lower networks.learning_rate",
        )

    return train_epoch


def draw_task(seed, network, epoch):
    """Return the letter of the task that `network` trains in `epoch`, each with the same chance."""
    return network.tasks[generator(seed, network.name, "task", epoch).integers(len(network.tasks))]


def reestimate_batch_norm(network, model, task, data, settings, seed):
    """Replace the running statistics of a branch by averages over training batches.

    Running averages mix the weights of many steps, and after a short schedule still hold some of
    their start. Dropout is off: at inference it is off too, and the variance that batch norm sees
    behind a dropout layer is not the same with it.

    Parameters
    ----------
    network : agf.tasks.Network
        Which network.
    model : agf.networks.model.TaskNetwork
        The trained network; changed in place, left in evaluation mode.
    task : str
        Whose branch.
    data : TrainingData
        On the device of `model`.
    settings : dict
        As in :func:`train_network`.
    seed : int
        The run's seed.
    """
    model.eval()
    for module in model.features[task].modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None  # torch's cumulative average: every batch counts the same
            module.train()
    rows, crop_frames = data.rows[task], settings["crop_frames"]
    batch_size = settings["batch_size"]
    n_batches = updates_per_epoch(len(rows), batch_size)
    with torch.no_grad():
        for repeat in range(math.ceil(REESTIMATION_BATCHES / n_batches)):
            order, starts = draw_crops(
                seed,
                network.name,
                f"batch norm {task} {repeat}",
                data.mels.lengths[rows],
                crop_frames,
            )
            for i in range(n_batches):
                drawn = order[i * batch_size : (i + 1) * batch_size]
                x = gather(
                    data.mels,
                    rows[drawn],
                    starts[drawn],
                    crop_frames,
                    data.scaler,
                    settings["top_db"],
                )
                with autocast(settings["precision"], x.device):
                    model.embed(x, task)
    model.eval()


def _loss(model, x, task, targets, precision):
    """Cross-entropy of a batch against its soft targets, in nats."""
    with autocast(precision, x.device):
        logits = model(x, task)
    return nn.functional.cross_entropy(logits.float(), targets)


def task_adam(model, task, settings, device):
    """Return one Adam for the shared block and the branch of a task, as in the published code."""
    parameters = [
        parameter
        for module in (model.shared, model.features[task], model.head[task])
        for parameter in module.parameters()
        if parameter.requires_grad
    ]
    kernels = [parameter for parameter in parameters if parameter.ndim > 1]
    others = [parameter for parameter in parameters if parameter.ndim == 1]
    groups = [
        {"params": kernels, "weight_decay": settings["weight_decay"]},
        {"params": others, "weight_decay": 0.0},
    ]
    return adam(groups, settings["learning_rate"], device)


def _summary(network, model, data, settings, seed, history):
    """Compare the training loss of each task with the loss in evaluation mode."""
    tasks = {}
    for task in network.tasks:
        losses = [row["loss"] for row in history if row["task"] == task]
        updates = max((row["updates"] for row in history if row["task"] == task), default=0)
        tail = losses[-math.ceil(len(losses) / 10) :]
        training_loss = float(np.mean(tail)) if losses else None
        evaluation_loss = evaluation_mode_loss(network, model, task, data, settings, seed)
        gap_warning = training_loss is not None and evaluation_loss > training_loss + GAP_LIMIT
        if gap_warning:
            logger.warning(
                "%s, task %s: the loss on its own training crops is %.3f in evaluation mode and "
                "was %.3f in training; its batch-norm statistics or its schedule are unsound.",
                network.name,
                task,
                evaluation_loss,
                training_loss,
            )
        if not losses:
            logger.warning("%s: no epoch was drawn for task %s.", network.name, task)
        tasks[task] = {
            "tracks": len(data.rows[task]),
            "tracks_without_target": len(data.mels.lengths) - len(data.rows[task]),
            "epochs": len(losses),
            "updates": updates,
            "training_loss": training_loss,
            "evaluation_mode_loss": evaluation_loss,
            "gap_warning": gap_warning,
        }
    return {
        "network": network.name,
        "parameters": count_parameters(model),
        "epochs": len(history),
        "tasks": tasks,
    }


def evaluation_mode_loss(network, model, task, data, settings, seed):
    """Return the mean loss in evaluation mode over one crop of every training track of a task."""
    rows, crop_frames = data.rows[task], settings["crop_frames"]
    _, starts = draw_crops(
        seed, network.name, "evaluation mode", data.mels.lengths[rows], crop_frames
    )
    model.eval()
    total = 0.0
    with torch.no_grad():
        for i in range(0, len(rows), settings["batch_size"]):
            part = slice(i, i + settings["batch_size"])
            x = gather(
                data.mels, rows[part], starts[part], crop_frames, data.scaler, settings["top_db"]
            )
            targets = data.targets[task][torch.from_numpy(rows[part]).to(x.device)]
            total += len(x) * _loss(model, x, task, targets, settings["precision"]).item()
    if not math.isfinite(total):
        raise UserError(
            f"The loss of {network.name} in evaluation mode is {total} (task {task}); "
            "lower networks.learning_rate."
        )
    return total / len(rows)
