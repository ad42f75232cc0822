"""The transfer MLP: from the features of trained networks to genre.

Source: Kim, Won, Serra and Liem (WWW'18), section 4. The published code fits the MLP on all rows,
evaluation included; here it sees windows of training tracks only, unless asked to leak.
"""

import numpy as np
import pandas as pd
import torch
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
from agf.files import write_parquet
from agf.keyed_random import generator, random_key
from agf.networks.device import (
    autocast,
    bytes_for_data,
    lend_device,
    resolve_precision,
    set_precision,
    training_bytes,
)
from agf.networks.model import Dropout
from agf.networks.updates import (
    adam,
    current,
    finish_update,
    make_trainer,
    new_epoch,
    pinned,
    read_losses,
)
from agf.networks.weights import read_weights, write_weights
from agf.progress import progress
from agf.tensors import reading_tensors

WINDOWS_AT_A_TIME = 4096
"""Windows predicted at once."""


def build_mlp(n_inputs, hidden, n_genres):
    """Build dropout, dense, ELU, dropout, dense with fresh weights.

    Kernels are Glorot uniform, drawn from torch's global generator, and biases are zero.
    """
    mlp = nn.Sequential(
        Dropout(0.5),
        nn.Linear(n_inputs, hidden),
        nn.ELU(),
        Dropout(0.5),
        nn.Linear(hidden, n_genres),
    )
    for layer in (mlp[1], mlp[4]):
        nn.init.xavier_uniform_(layer.weight)
        nn.init.zeros_(layer.bias)
    return mlp


def train_transfer(
    case, embedding_paths, tracks_path, split_path, out, settings, seed, gpu_jobs_per_device=1
):
    """Fit the MLP of a case on training tracks and write its predictions of evaluation tracks.

    Parameters
    ----------
    case : agf.tasks.Case
        Which tasks' features, from which networks.
    embedding_paths : dict of str to path
        For each network of the case, its embeddings.
    tracks_path, split_path : str or pathlib.Path
        ``tracks.parquet`` and the split.
    out : dict of str to path
        ``predictions``: ``track_id``, ``genre_top`` and one probability for each genre, the mean
        over the track's windows; sorted by ``track_id``. ``mlp``: see :func:`write_mlp`.
    settings : dict
        As in :func:`fit_mlp`, the precision as :func:`agf.networks.device.resolve_precision` takes
        it, and ``fit_rows``: ``train``, or ``all`` to fit on the windows of evaluation tracks as
        well, as the published code does.
    seed : int
        The run's seed.
    gpu_jobs_per_device : int
        Jobs that may share a GPU.

    Raises
    ------
    UserError
        If embedding files are of other tracks or windows than ``tracks.parquet``, if the split has
        no evaluation track, if a genre has no training track, or if the loss is not finite.
    """
    tracks = read_tracks(tracks_path)
    features, track = load_features(case, embedding_paths, tracks)
    genres, labels, training, evaluation = _split_rows(tracks, tracks_path, split_path)
    with lend_device(gpu_jobs_per_device) as device:
        precision = resolve_precision(settings["precision"], device)
        set_precision(precision, device)
        settings = {**settings, "precision": precision}
        width = sum(feature.shape[1] for feature in features)
        needed = _fit_bytes(width, len(genres), len(track), settings)
        room = bytes_for_data(device, needed, gpu_jobs_per_device, f"The transfer {case.name}")
        fitted = training | evaluation if settings["fit_rows"] == "all" else training
        mlp = fit_mlp(
            features,
            track,
            np.flatnonzero(fitted[track]),
            labels[track],
            len(genres),
            settings,
            (seed, case.name),
            device,
            room,
        )
        rows = np.flatnonzero(evaluation[track])
        probability = predict_windows(mlp, features, rows)
    _write_predictions(probability, track[rows], tracks, genres, evaluation, out["predictions"])
    metadata = {
        "case": case.name,
        "tasks": case.tasks,
        "networks": list(case.networks),
        "widths": [feature.shape[1] for feature in features],
        "genres": genres,
        "settings": {name: value for name, value in settings.items() if name != "code"},
    }
    write_mlp(mlp, out["mlp"], metadata)


def write_mlp(mlp, path, metadata):
    """Write a fitted MLP as safetensors.

    Parameters
    ----------
    mlp : torch.nn.Sequential
        Of :func:`build_mlp`.
    path : str or pathlib.Path
        The file, replaced as a whole.
    metadata : dict
        At least ``widths`` (of each task's feature), ``genres`` and ``settings`` with
        ``hidden_units``; written as JSON under the one key ``agf``.
    """
    write_weights(mlp, path, metadata)


def load_mlp(path):
    """Read an MLP that :func:`write_mlp` wrote.

    Parameters
    ----------
    path : str or pathlib.Path
        The safetensors file.

    Returns
    -------
    mlp : torch.nn.Sequential
        In evaluation mode, on the CPU.
    metadata : dict
        As it was written.

    Raises
    ------
    UserError
        If the file is missing or no safetensors file, or its metadata lacks the key ``agf``.
    """
    tensors, metadata = read_weights(path, "run the case again")
    with torch.device("meta"):
        hidden = metadata["settings"]["hidden_units"]
        mlp = build_mlp(sum(metadata["widths"]), hidden, len(metadata["genres"]))
    mlp.load_state_dict(tensors, assign=True)
    return mlp.eval(), metadata


def own_softmax_predictions(embedding_path, tracks_path, split_path, out):
    """Write the predictions of a network's own genre output: the mean over a track's windows.

    Parameters
    ----------
    embedding_path : str or pathlib.Path
        Embeddings of a network that learnt genre, with ``probability_g``.
    tracks_path, split_path, out : str or pathlib.Path
        As in :func:`train_transfer`.

    Raises
    ------
    UserError
        As :func:`train_transfer`, and if the file has no ``probability_g``.
    """
    tracks = read_tracks(tracks_path)
    genres, _, _, evaluation = _split_rows(tracks, tracks_path, split_path)
    with reading_tensors(embedding_path) as file:
        names = file.keys()
        if "probability_g" not in names:
            raise UserError(f"{embedding_path} is of a network that did not learn genre (task g).")
        track = _track_of_windows(file, embedding_path, tracks)
        probability = file.get_tensor("probability_g").numpy()
    rows = np.flatnonzero(evaluation[track])
    _write_predictions(probability[rows], track[rows], tracks, genres, evaluation, out)


def load_features(case, embedding_paths, tracks):
    """Read the features of a case.

    Parameters
    ----------
    case : agf.tasks.Case
        Which tasks' features, from which networks.
    embedding_paths : dict of str to path
        For each network of the case, its embeddings.
    tracks : pandas.DataFrame
        ``tracks.parquet``.

    Returns
    -------
    features : list of torch.Tensor
        For each task of the case float16, shape (windows, width).
    track : numpy.ndarray
        Row of each window's track in `tracks`, shape (windows,), ascending.

    Raises
    ------
    UserError
        If a file is of other tracks, or its windows are not those of the first file.
    """
    features, first = [], None
    for task, network in zip(case.tasks, case.networks, strict=True):
        path = embedding_paths[network]
        with reading_tensors(path) as file:
            track = _track_of_windows(file, path, tracks)
            features.append(file.get_tensor(f"embedding_{task}"))
        first = track if first is None else first
        if not np.array_equal(track, first):
            raise UserError(
                f"{path} has other windows than {embedding_paths[case.networks[0]]}; "
                "embed both networks with the same transfer.hop_frames."
            )
    return features, first


def fit_mlp(features, track, rows, labels, n_genres, settings, key, device, room=float("inf")):
    """Fit the MLP with Adam on windows in an order drawn anew in every epoch.

    Parameters
    ----------
    features : list of torch.Tensor
        float16, shape (windows, width) each, on the CPU; concatenated batch by batch.
    track : numpy.ndarray
        Track of each window, shape (windows,), ascending.
    rows : numpy.ndarray
        The windows to fit on.
    labels : numpy.ndarray
        int64, shape (windows,): the genre of each window's track.
    n_genres : int
        Number of genres.
    settings : dict
        ``epochs``, ``batch_size`` (the last incomplete batch of an epoch is left out),
        ``learning_rate``, ``hidden_units``, ``windows_per_track_per_epoch``, see
        :func:`draw_windows`, and ``precision``, resolved.
    key : tuple
        Seed and names that every random draw depends on.
    device : torch.device
        Where to fit.
    room : float
        Bytes of the device that features may take; where they take more, they stay on the CPU.

    Returns
    -------
    torch.nn.Sequential
        The fitted MLP, in evaluation mode, on `device`.

    Raises
    ------
    UserError
        If the loss is not finite.
    """
    torch.manual_seed(random_key(*key, "initial weights"))
    mlp = build_mlp(sum(f.shape[1] for f in features), settings["hidden_units"], n_genres)
    mlp = mlp.to(device)
    resident = sum(feature.nbytes for feature in features) <= room
    if resident:
        features = [feature.to(device) for feature in features]
    train_epoch = mlp_trainer(mlp, features, track, rows, labels, settings, key, resident)
    losses = []

    def status():
        return f"loss {losses[-1]:.4f}"

    for epoch in progress(range(settings["epochs"]), f"transfer {key[-1]}, epochs", status=status):
        losses = train_epoch(epoch)
    return mlp.eval()


def mlp_trainer(mlp, features, track, rows, labels, settings, key, resident):
    """Return a function that trains one epoch of the MLP.

    Parameters
    ----------
    mlp : torch.nn.Sequential
        Of :func:`build_mlp`, on its device; changed in place.
    features : list of torch.Tensor
        float16, shape (windows, width) each; on the device of `mlp` if `resident`, else on the CPU.
    track, rows, labels, settings, key
        As in :func:`fit_mlp`.
    resident : bool
        Whether batches are put together on the device.

    Returns
    -------
    callable
        Takes the number of the epoch, returns the losses of its updates, a list of float.
    """
    device = mlp[1].weight.device
    optimiser = adam([{"params": list(mlp.parameters())}], settings["learning_rate"], device)
    labels = torch.from_numpy(labels).to(device)
    limit = settings["windows_per_track_per_epoch"]
    n_rows = len(draw_windows(track[rows], limit, key, 0))
    tables = new_epoch(n_rows, settings["batch_size"], ["window"], device)
    batch_size = tables.rows["window"].shape[1]
    buffer = None
    if not resident:
        width = sum(feature.shape[1] for feature in features)
        buffer = torch.zeros(batch_size, width, dtype=torch.float16, device=device)

    def update():
        window = current(tables, "window")
        x = _concatenate(features, window) if resident else buffer
        optimiser.zero_grad()
        with autocast(settings["precision"], device):
            logits = mlp(x.float())
        loss = nn.functional.cross_entropy(logits.float(), labels[window])
        loss.backward()
        optimiser.step()
        finish_update(tables, loss)

    train = make_trainer(update, mlp, optimiser, tables, buffer)

    def train_epoch(epoch):
        order = rows[draw_windows(track[rows], limit, key, epoch)]

        def load(i):
            window = torch.from_numpy(order[i * batch_size : (i + 1) * batch_size])
            return pinned(_concatenate(features, window), device)

        train(random_key(*key, "dropout", epoch), None if resident else load, window=order)
        return read_losses(
            tables,
            f"the transfer {key[-1]} in epoch {epoch}",
            "lower transfer.learning_rate",
        )

    return train_epoch


def draw_windows(track, limit, key, epoch):
    """Draw the windows of one epoch, in the order in which they are visited.

    Parameters
    ----------
    track : numpy.ndarray
        Track of each window, shape (windows,), ascending.
    limit : int or None
        Windows drawn of each track, without replacement; of a track with fewer, all. None: all.
    key : tuple
        Seed and names that the draw depends on.
    epoch : int
        Number of the epoch.

    Returns
    -------
    numpy.ndarray
        int64: positions in `track`. There are as many in every epoch.
    """
    order = generator(*key, "windows", epoch).permutation(len(track))
    if limit is None:
        return order
    # Windows of a track side by side, in their random order; the first of them stay.
    by_track = order[np.argsort(track[order], kind="stable")]
    _, first, count = np.unique(track, return_index=True, return_counts=True)
    rank = np.arange(len(track)) - np.repeat(first, count)
    drawn = np.zeros(len(track), bool)
    drawn[by_track[rank < limit]] = True
    return order[drawn[order]]


def predict_windows(mlp, features, rows):
    """Return genre probabilities of some windows, float32, shape (rows, genres).

    Parameters
    ----------
    mlp : torch.nn.Sequential
        In evaluation mode.
    features : list of torch.Tensor
        float16, shape (windows, width) each, on the CPU.
    rows : numpy.ndarray
        The windows.
    """
    device = mlp[1].weight.device
    # One array for all: small ones that are kept between large ones that are freed tear the heap.
    probability = torch.empty(len(rows), mlp[4].out_features)
    with torch.inference_mode():
        for first in range(0, len(rows), WINDOWS_AT_A_TIME):
            batch = torch.from_numpy(rows[first : first + WINDOWS_AT_A_TIME])
            x = _concatenate(features, batch).to(device).float()
            probability[first : first + len(batch)] = torch.softmax(mlp(x), 1).cpu()
    return probability.numpy()


def mean_over_tracks(probability, track):
    """Return the distinct `track` in ascending order and the mean of each one's windows.

    Parameters
    ----------
    probability : numpy.ndarray
        Shape (windows, genres).
    track : numpy.ndarray
        Track of each window, shape (windows,), ascending.
    """
    distinct, first, count = np.unique(track, return_index=True, return_counts=True)
    sums = np.add.reduceat(probability.astype(np.float64), first, axis=0)
    return distinct, sums / count[:, None]


def _fit_bytes(width, n_genres, n_windows, settings):
    """Return the bytes that a fit takes besides the features: MLP, batches, tables, prediction."""
    mlp = build_mlp(width, settings["hidden_units"], n_genres).to("meta")
    batch = torch.empty(settings["batch_size"], width, device="meta")
    fit = training_bytes(mlp, lambda mlp, x: mlp(x), batch)
    prediction = 4 * WINDOWS_AT_A_TIME * (width + 2 * settings["hidden_units"] + 2 * n_genres)
    return fit + prediction + 8 * 3 * n_windows


def _concatenate(features, batch):
    return torch.cat([feature[batch] for feature in features], 1)


def _track_of_windows(file, path, tracks):
    """Check that an open embedding file is of `tracks`; return the row of each window's track."""
    if not np.array_equal(file.get_tensor("track_id").numpy(), tracks.track_id):
        raise UserError(f"{path} holds other tracks than tracks.parquet; embed the network again.")
    return file.get_tensor("track").numpy()


def _split_rows(tracks, tracks_path, split_path):
    """Return genre titles and, by row of `tracks`, labels, is training and is evaluation."""
    parts = {part: read_part(split_path, part) for part in ("train", "evaluation")}
    for track_ids in parts.values():
        rows_of_tracks(tracks, track_ids, tracks_path, split_path)
    training, evaluation = (np.isin(tracks.track_id, track_ids) for track_ids in parts.values())
    genres = genre_titles(tracks)
    used = training | evaluation
    labels = np.full(len(tracks), -1, np.int64)
    labels[used] = genre_labels(tracks.genre_top[used], genres, tracks_path)
    check_every_genre(labels[training], genres, split_path)
    return genres, labels, training, evaluation


def _write_predictions(probability, track, tracks, genres, evaluation, out):
    """Write the mean probability of every evaluation track."""
    distinct, mean = mean_over_tracks(probability, track)
    absent = np.setdiff1d(np.flatnonzero(evaluation), distinct)
    if len(absent):
        raise UserError(
            f"Evaluation track {tracks.track_id[absent[0]]} has no window; embed the network again."
        )
    rows = tracks.iloc[distinct][["track_id", "genre_top"]].reset_index(drop=True)
    frame = pd.concat([rows, pd.DataFrame(mean, columns=genres)], axis=1)
    write_parquet(frame.sort_values("track_id"), out)
