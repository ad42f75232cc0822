"""Training one network: random one-second crops, one task an epoch, one Adam for each task.

Source: Kim, Won, Serra and Liem (WWW'18), section 4, and the authors' published code. Every random
draw is a function of the seed, the network's name and the epoch or step, so that a network gets the
same bits alone, beside others, and resumed after a kill.
"""

import hashlib
import json
import logging
import math
import shutil
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from agf.corpus.tracks import (
    check_every_genre,
    genre_labels,
    genre_titles,
    read_part,
    read_tracks,
    rows_of_tracks,
)
from agf.errors import UserError
from agf.files import replacing, write_json, write_parquet
from agf.keyed_random import generator, random_key
from agf.networks.crops import (
    Mels,
    Scaler,
    draw_crops,
    gather,
    load_mels,
    load_scaler,
    updates_per_epoch,
)
from agf.networks.model import (
    autocast,
    build_network,
    count_parameters,
    prepare_device,
    save_weights,
)

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


class TrainingData(NamedTuple):
    """What a network learns from: the training tracks, sorted by track_id.

    Attributes
    ----------
    mels : agf.networks.crops.Mels
        Their spectrograms.
    scaler : agf.networks.crops.Scaler
        Standardisation of the bands.
    targets : dict of str to torch.Tensor
        For each task, float32, shape (tracks, outputs): a row sums to 1, or is NaN for none.
    rows : dict of str to numpy.ndarray
        For each task, positions of the tracks that have a target.
    genres : list of str
        Titles of the top genres, in the order of the outputs of task g.
    """

    mels: Mels
    scaler: Scaler
    targets: dict
    rows: dict
    genres: list


def train_network(
    network,
    mel_paths,
    tracks_path,
    split_path,
    scaler_path,
    target_paths,
    out,
    settings,
    seed,
    resume_dir,
    code,
    checkpoint_seconds=60.0,
):
    """Train one network and write its weights, its history and a summary.

    Parameters
    ----------
    network : agf.tasks.Network
        Which network.
    mel_paths : list of str or pathlib.Path
        Mel shards.
    tracks_path, split_path, scaler_path : str or pathlib.Path
        ``tracks.parquet``, the split, and the scaler fitted on its training part.
    target_paths : dict of str to path
        For each AGF task of the network, its table of topics by artist. Genre needs none.
    out : dict
        Paths ``weights`` (safetensors), ``history`` (Parquet) and ``summary`` (JSON).
    settings : dict
        ``epochs`` (for each task; the network trains ``epochs`` times its number of tasks),
        ``batch_size``, ``learning_rate``, ``weight_decay`` (coupled, on kernels only),
        ``crop_frames``, ``precision`` (``bf16`` or ``fp32``), ``bn_momentum`` (torch's sense),
        ``bn_reestimate`` and ``top_db``.
    seed : int
        The run's seed.
    resume_dir : str or pathlib.Path
        Where the state of an interrupted training lies, in a folder named after a hash of the
        network, the settings, the seed, the data and `code`. The folder is removed at success.
    code : str
        Hash of the code that trains.
    checkpoint_seconds : float
        The state is written at the first end of an epoch after so many seconds.

    Raises
    ------
    UserError
        If the data do not fit (see :func:`read_training_data`), or the loss is not finite.
    """
    device = prepare_device()
    data = read_training_data(
        network,
        mel_paths,
        tracks_path,
        split_path,
        scaler_path,
        target_paths,
        settings["crop_frames"],
    )
    digest = _digest(network, data, settings, seed, code)
    data = _to_device(data, device)
    torch.manual_seed(random_key(seed, network.name, "initial weights"))
    n_outputs = {task: data.targets[task].shape[1] for task in network.tasks}
    model = build_network(network, n_outputs, settings["bn_momentum"])
    # Channels last halves the time of a step on CPU.
    model = model.to(device, memory_format=torch.channels_last)
    optimisers = {task: _adam(model, task, settings) for task in network.tasks}

    checkpoint = Path(resume_dir) / digest / "state.safetensors"
    history = _load_checkpoint(checkpoint, model, optimisers)
    _run_epochs(
        network, model, optimisers, data, settings, seed, history, checkpoint, checkpoint_seconds
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
        "scaler": {"mean": data.scaler.mean.tolist(), "std": data.scaler.std.tolist()},
        "settings": dict(settings),
        "seed": seed,
    }
    save_weights(model, out["weights"], metadata)
    columns = ["epoch", "task", "loss", "updates", "seconds"]
    write_parquet(pd.DataFrame(history, columns=columns), out["history"])
    write_json(summary, out["summary"])
    shutil.rmtree(checkpoint.parent, ignore_errors=True)


def _run_epochs(
    network, model, optimisers, data, settings, seed, history, checkpoint, checkpoint_seconds
):
    """Train from the epoch after `history` to the last, appending to `history`."""
    n_epochs = settings["epochs"] * len(network.tasks)
    updates = {task: 0 for task in network.tasks}
    updates.update({row["task"]: row["updates"] for row in history})
    first_epoch, first_step = len(history), sum(updates.values())
    began = reported = saved = time.monotonic()
    for epoch in range(first_epoch, n_epochs):
        start = time.monotonic()
        task = draw_task(seed, network, epoch)
        model.train()
        losses = []
        for rows, x in _crops(network, task, data, settings, seed, epoch):
            step = sum(updates.values()) + len(losses)
            torch.manual_seed(random_key(seed, network.name, "dropout", step))
            optimisers[task].zero_grad()
            loss = _loss(model, x, task, data, rows, settings)
            loss.backward()
            optimisers[task].step()
            losses.append(loss.detach())
        # Reading the losses waits for the device: once an epoch, not once a step.
        losses = torch.stack(losses).tolist()
        _check_finite(losses, network, task, sum(updates.values()))
        updates[task] += len(losses)
        now = time.monotonic()
        history.append(
            {
                "epoch": epoch,
                "task": task,
                "loss": float(np.mean(losses)),
                "updates": updates[task],
                "seconds": now - start,
            }
        )
        last = epoch == n_epochs - 1
        if now - reported >= 10 or last:
            reported = now
            rate = (sum(updates.values()) - first_step) / (now - began)
            left = (now - began) / (epoch + 1 - first_epoch) * (n_epochs - epoch - 1)
            _log_epoch(network, history[-1], n_epochs, rate, left)
        if now - saved >= checkpoint_seconds and not last:
            saved = now
            _save_checkpoint(checkpoint, model, optimisers, history)


def _log_epoch(network, row, n_epochs, rate, seconds_left):
    end = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(time.time() + seconds_left))
    logger.info(
        "%s: epoch %d of %d, task %s, loss %.4f, %.1f steps/s, expected end %s",
        network.name,
        row["epoch"] + 1,
        n_epochs,
        row["task"],
        row["loss"],
        rate,
        end,
    )


def draw_task(seed, network, epoch):
    """Return the letter of the task that `network` trains in `epoch`, each with the same chance."""
    return network.tasks[generator(seed, network.name, "task", epoch).integers(len(network.tasks))]


def read_training_data(
    network, mel_paths, tracks_path, split_path, scaler_path, target_paths, crop_frames
):
    """Read spectrograms and targets of the training tracks; parameters as in `train_network`.

    A track whose artist has no topics for a task (an empty bag) is left out of that task.

    Returns
    -------
    TrainingData
        On the CPU.

    Raises
    ------
    UserError
        If a training track is in no mel shard, is shorter than a crop or has no genre; if a genre
        has no training track; if a target is no distribution; if a task has fewer than two
        training tracks; or if the scaler has other bands than the spectrograms.
    """
    track_ids = read_part(split_path, "train")
    tracks = read_tracks(tracks_path)
    genres = genre_titles(tracks)
    training = rows_of_tracks(tracks, track_ids, tracks_path, split_path)
    targets, rows = {}, {}
    for task in network.tasks:
        if task == "g":
            labels = genre_labels(training.genre_top, genres, tracks_path)
            check_every_genre(labels, genres, split_path)
            targets[task] = nn.functional.one_hot(torch.from_numpy(labels), len(genres)).float()
        else:
            targets[task] = _topics(target_paths[task], training.artist_id)
        rows[task] = np.flatnonzero(~torch.isnan(targets[task][:, 0]).numpy())
        if len(rows[task]) < 2:
            raise UserError(
                f"Task {task} of {network.name} has {len(rows[task])} training tracks with a "
                "target and needs 2; use a larger corpus or split."
            )
    mels = load_mels(mel_paths, track_ids, crop_frames)
    scaler = load_scaler(scaler_path)
    if len(scaler.mean) != mels.frames.shape[1]:
        raise UserError(
            f"{scaler_path} has {len(scaler.mean)} mel bands and the spectrograms have "
            f"{mels.frames.shape[1]}; fit the scaler again."
        )
    return TrainingData(mels, scaler, targets, rows, genres)


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
    n_batches = updates_per_epoch(len(data.rows[task]), settings["batch_size"])
    with torch.no_grad():
        for repeat in range(math.ceil(REESTIMATION_BATCHES / n_batches)):
            epoch = f"batch norm {task} {repeat}"
            for _, x in _crops(network, task, data, settings, seed, epoch):
                with autocast(x.device, settings["precision"]):
                    model.embed(x, task)
    model.eval()


def _crops(network, task, data, settings, seed, epoch):
    """Yield the batches of one pass over a task's tracks: their positions and crops."""
    rows = data.rows[task]
    crop_frames, batch_size = settings["crop_frames"], settings["batch_size"]
    order, starts = draw_crops(seed, network.name, epoch, data.mels.lengths[rows], crop_frames)
    for i in range(updates_per_epoch(len(rows), batch_size)):
        drawn = order[i * batch_size : (i + 1) * batch_size]
        yield (
            rows[drawn],
            gather(
                data.mels, rows[drawn], starts[drawn], crop_frames, data.scaler, settings["top_db"]
            ),
        )


def _loss(model, x, task, data, rows, settings):
    """Cross-entropy of a batch against its soft targets, in nats."""
    with autocast(x.device, settings["precision"]):
        logits = model(x, task)
    targets = data.targets[task][torch.from_numpy(rows).to(x.device)]
    return nn.functional.cross_entropy(logits.float(), targets)


def _adam(model, task, settings):
    """One Adam for the shared block and the branch of a task, as in the published code."""
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
    return torch.optim.Adam(groups, lr=settings["learning_rate"])


def _check_finite(losses, network, task, first_step):
    for i, loss in enumerate(losses):
        if not math.isfinite(loss):
            raise UserError(
                f"The loss of {network.name} is {loss} at step {first_step + i} (task {task}); "
                "check the spectrograms or lower networks.learning_rate."
            )


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
            total += len(x) * _loss(model, x, task, data, rows[part], settings).item()
    if not math.isfinite(total):
        raise UserError(
            f"The loss of {network.name} in evaluation mode is {total} (task {task}); "
            "lower networks.learning_rate."
        )
    return total / len(rows)


def _topics(path, artist_ids):
    """Return each track's topic distribution, that of its artist; NaN where there is none."""
    table = pd.read_parquet(path).set_index("artist_id")
    table = table[sorted(column for column in table.columns if column.startswith("topic_"))]
    present = table.dropna()
    values = present.to_numpy(np.float64)
    bad = (values < 0).any(1) | (np.abs(values.sum(1) - 1) > 1e-4)
    if bad.any():
        raise UserError(
            f"The topics of artist {present.index[bad][0]} in {path} do not sum to 1; "
            "compute the targets again."
        )
    return torch.tensor(present.reindex(artist_ids).to_numpy(np.float32))


def _to_device(data, device):
    targets = {task: values.to(device) for task, values in data.targets.items()}
    return data._replace(mels=data.mels.to(device), scaler=data.scaler.to(device), targets=targets)


def _digest(network, data, settings, seed, code):
    """Hash everything that decides the weights, so that no other training is resumed from."""
    digest = hashlib.sha256()
    facts = [network.name, dict(settings), seed, code, data.genres, data.mels.digests]
    digest.update(json.dumps(facts, sort_keys=True).encode())
    for tensor in (*data.scaler, *(data.targets[task] for task in network.tasks)):
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()[:16]


def _save_checkpoint(path, model, optimisers, history):
    """Write model, Adam state and history as one file, replaced as a whole."""
    tensors = {f"model/{name}": value for name, value in model.state_dict().items()}
    for task, optimiser in optimisers.items():
        for i, parameter in enumerate(_parameters(optimiser)):
            for name, value in optimiser.state.get(parameter, {}).items():
                tensors[f"adam/{task}/{i}/{name}"] = value
    tensors = {name: value.cpu().contiguous() for name, value in tensors.items()}
    with replacing(path) as temporary:
        save_file(tensors, temporary, metadata={"agf": json.dumps(history)})


def _load_checkpoint(path, model, optimisers):
    """Restore model and Adam state in place; return the history, empty where there is none."""
    if not path.exists():
        return []
    try:
        with safe_open(path, "pt") as file:
            history = json.loads(file.metadata()["agf"])
            names = file.keys()
            tensors = {name: file.get_tensor(name) for name in names}
    except SafetensorError as error:
        logger.warning("%s cannot be read (%s); training starts anew.", path, error)
        return []
    model.load_state_dict({name: tensors[f"model/{name}"] for name in model.state_dict()})
    for task, optimiser in optimisers.items():
        for i, parameter in enumerate(_parameters(optimiser)):
            if f"adam/{task}/{i}/step" in tensors:
                # Same memory layout as the parameter, so that the vectorised update rounds alike.
                optimiser.state[parameter] = {
                    "step": tensors[f"adam/{task}/{i}/step"],
                    "exp_avg": torch.empty_like(parameter).copy_(
                        tensors[f"adam/{task}/{i}/exp_avg"]
                    ),
                    "exp_avg_sq": torch.empty_like(parameter).copy_(
                        tensors[f"adam/{task}/{i}/exp_avg_sq"]
                    ),
                }
    logger.info("Resumed after epoch %d from %s.", len(history), path)
    return history


def _parameters(optimiser):
    return [parameter for group in optimiser.param_groups for parameter in group["params"]]
