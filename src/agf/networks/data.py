"""What a network learns from: spectrograms, scaler and targets of the training tracks."""

from typing import NamedTuple

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
from agf.networks.crops import Scaler, load_scaler
from agf.networks.mels import Mels, read_mels


class TrainingData(NamedTuple):
    """What a network learns from: the training tracks, sorted by track_id.

    Attributes
    ----------
    mels : agf.networks.mels.Mels
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


def read_training_data(
    network, mels_path, tracks_path, split_path, scaler_path, target_paths, crop_frames
):
    """Read spectrograms and targets of the training tracks.

    Parameters are those of :func:`agf.networks.training.train_network`.

    A track whose artist has no topics for a task (an empty bag) is left out of that task.

    Returns
    -------
    TrainingData
        On the CPU.

    Raises
    ------
    UserError
        If a training track has no spectrogram, is shorter than a crop or has no genre; if a genre
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
    mels = read_mels(mels_path, track_ids, crop_frames)
    scaler = load_scaler(scaler_path)
    if len(scaler.mean) != mels.frames.shape[1]:
        raise UserError(
            f"{scaler_path} has {len(scaler.mean)} mel bands and the spectrograms have "
            f"{mels.frames.shape[1]}; fit the scaler again."
        )
    return TrainingData(mels, scaler, targets, rows, genres)


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
