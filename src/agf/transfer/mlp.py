"""The transfer MLP: from the features of trained networks to genre.

Source: Kim, Won, Serra and Liem (WWW'18), section 4. The published code fits the MLP on all rows,
evaluation included; here it sees windows of training tracks only.
"""

import numpy as np
import pandas as pd
import torch
from safetensors import safe_open
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
from agf.networks.model import prepare_device
from agf.progress import progress

WINDOWS_AT_A_TIME = 4096
"""Windows predicted at once."""


def build_mlp(n_inputs, hidden, n_genres):
    """Build dropout, dense, ELU, dropout, dense with fresh weights.

    Kernels are Glorot uniform, drawn from torch's global generator, and biases are zero.
    """
    mlp = nn.Sequential(
        nn.Dropout(0.5),
        nn.Linear(n_inputs, hidden),
        nn.ELU(),
        nn.Dropout(0.5),
        nn.Linear(hidden, n_genres),
    )
    for layer in (mlp[1], mlp[4]):
        nn.init.xavier_uniform_(layer.weight)
        nn.init.zeros_(layer.bias)
    return mlp


def train_transfer(case, embedding_paths, tracks_path, split_path, out, settings, seed):
    """Fit the MLP of a case on training tracks and write its predictions of evaluation tracks.

    Parameters
    ----------
    case : agf.tasks.Case
        Which tasks' features, from which networks.
    embedding_paths : dict of str to path
        For each network of the case, its embeddings.
    tracks_path, split_path : str or pathlib.Path
        ``tracks.parquet`` and the split.
    out : str or pathlib.Path
        ``predictions.parquet``: ``track_id``, ``genre_top`` and one probability for each genre,
        the mean over the track's windows; sorted by ``track_id``.
    settings : dict
        ``epochs``, ``batch_size``, ``learning_rate`` and ``hidden_units``.
    seed : int
        The run's seed.

    Raises
    ------
    UserError
        If embedding files are of other tracks or windows than ``tracks.parquet``, if the split has
        no evaluation track, if a genre has no training track, or if the loss is not finite.
    """
    device = prepare_device()
    tracks = read_tracks(tracks_path)
    features, track = load_features(case, embedding_paths, tracks)
    features = [feature.to(device) for feature in features]
    genres, labels, training, evaluation = _split_rows(tracks, tracks_path, split_path)
    rows = np.flatnonzero(training[track])
    mlp = fit_mlp(
        features,
        rows,
        torch.from_numpy(labels[track]),
        len(genres),
        settings,
        (seed, case.name),
    )
    rows = np.flatnonzero(evaluation[track])
    probability = predict_windows(mlp, features, rows)
    _write_predictions(probability, track[rows], tracks, genres, evaluation, out)


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
    with safe_open(embedding_path, "pt") as file:
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
        with safe_open(path, "pt") as file:
            track = _track_of_windows(file, path, tracks)
            features.append(file.get_tensor(f"embedding_{task}"))
        first = track if first is None else first
        if not np.array_equal(track, first):
            raise UserError(
                f"{path} has other windows than {embedding_paths[case.networks[0]]}; "
                "embed both networks with the same transfer.hop_frames."
            )
    return features, first


def fit_mlp(features, rows, labels, n_genres, settings, key):
    """Fit the MLP with Adam on windows in an order shuffled anew in every epoch.

    Parameters
    ----------
    features : list of torch.Tensor
        float16, shape (windows, width) each; concatenated batch by batch.
    rows : numpy.ndarray
        The windows to fit on.
    labels : torch.Tensor
        int64, shape (windows,): the genre of each window's track.
    n_genres : int
        Number of genres.
    settings : dict
        ``epochs``, ``batch_size``, ``learning_rate`` and ``hidden_units``.
    key : tuple
        Seed and names that every random draw depends on.

    Returns
    -------
    torch.nn.Sequential
        The fitted MLP, in evaluation mode, on the device of `features`.

    Raises
    ------
    UserError
        If the loss is not finite.
    """
    device = features[0].device
    torch.manual_seed(random_key(*key, "initial weights"))
    mlp = build_mlp(sum(f.shape[1] for f in features), settings["hidden_units"], n_genres).to(
        device
    )
    # The fused update is one pass over the weights, which are larger than the cache.
    optimiser = torch.optim.Adam(mlp.parameters(), lr=settings["learning_rate"], fused=True)
    rows, labels = torch.from_numpy(rows).to(device), labels.to(device)
    torch.manual_seed(random_key(*key, "dropout"))
    for epoch in progress(range(settings["epochs"]), f"transfer {key[-1]}, epochs"):
        order = torch.from_numpy(generator(*key, "windows", epoch).permutation(len(rows)))
        for batch in rows[order.to(device)].split(settings["batch_size"]):
            optimiser.zero_grad()
            loss = nn.functional.cross_entropy(mlp(_concatenate(features, batch)), labels[batch])
            loss.backward()
            optimiser.step()
        if not torch.isfinite(loss):
            raise UserError(
                f"The loss of the transfer {key[-1]} is {loss.item()} in epoch {epoch}; "
                "lower transfer.learning_rate."
            )
    return mlp.eval()


def predict_windows(mlp, features, rows):
    """Return genre probabilities of some windows, float32, shape (rows, genres)."""
    rows = torch.from_numpy(rows).to(features[0].device)
    with torch.inference_mode():
        parts = [
            torch.softmax(mlp(_concatenate(features, batch)), 1).cpu()
            for batch in rows.split(WINDOWS_AT_A_TIME)
        ]
    return torch.cat(parts).numpy()


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


def _concatenate(features, batch):
    return torch.cat([feature[batch] for feature in features], 1).float()


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
