"""Mel spectrograms in memory, their standardisation, and the one-second crops cut from them."""

from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import torch

from agf.corpus.tracks import read_part
from agf.errors import UserError
from agf.features.reading import iterate_mels
from agf.files import write_parquet
from agf.keyed_random import generator


class Mels(NamedTuple):
    """Quantised mel spectrograms of some tracks, one after the other.

    Attributes
    ----------
    frames : torch.Tensor
        uint8, shape (frames of all tracks, bands); dB = max_db - top_db + frames * top_db / 255.
    offsets : numpy.ndarray
        int64, shape (tracks,): a track's first row in `frames`.
    lengths : numpy.ndarray
        int64, shape (tracks,): a track's number of frames.
    max_db : torch.Tensor
        float32, shape (tracks,): a track's maximum in dB.
    digests : list of str
        Hashes of the tracks' spectrograms.
    """

    frames: torch.Tensor
    offsets: np.ndarray
    lengths: np.ndarray
    max_db: torch.Tensor
    digests: list

    def to(self, device):
        """Return the same with its tensors on `device`."""
        return self._replace(frames=self.frames.to(device), max_db=self.max_db.to(device))


class Scaler(NamedTuple):
    """Mean and standard deviation of each mel band in dB; float32 tensors of shape (bands,)."""

    mean: torch.Tensor
    std: torch.Tensor

    def to(self, device):
        """Return the same with its tensors on `device`."""
        return Scaler(self.mean.to(device), self.std.to(device))


def load_mels(mel_paths, track_ids, min_frames):
    """Read the spectrograms of some tracks into one array.

    Memory holds that array (128 bytes a frame, 165 kB for 30 s) and one row group beside it.

    Parameters
    ----------
    mel_paths : list of str or pathlib.Path
        Mel shards.
    track_ids : array of int
        The tracks, in the order wanted, none twice.
    min_frames : int
        Frames a track must have: the length of a crop.

    Returns
    -------
    Mels
        On the CPU.

    Raises
    ------
    UserError
        If a track is in no shard or is shorter than `min_frames`, or if a spectrogram's size
        does not fit its number of frames or the other tracks' bands.
    """
    position = {int(track_id): i for i, track_id in enumerate(track_ids)}
    lengths = np.full(len(position), -1, np.int64)
    for path in mel_paths:
        for row in pq.read_table(path, columns=["track_id", "n_frames"]).to_pylist():
            if row["track_id"] in position:
                lengths[position[row["track_id"]]] = row["n_frames"]
    for track_id, i in position.items():
        if lengths[i] < 0:
            raise UserError(f"Track {track_id} is in none of the mel shards; compute its features.")
        if lengths[i] < min_frames:
            raise UserError(
                f"Track {track_id} has {lengths[i]} frames, but a crop takes {min_frames}; "
                "raise min_seconds or remove the track."
            )
    offsets = np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int64)
    max_db = np.empty(len(position), np.float32)
    digests = [""] * len(position)
    frames = None
    for track_id, digest, maximum, spectrogram in iterate_mels(mel_paths):
        if track_id not in position:
            continue
        i = position[track_id]
        if frames is None:
            frames = np.empty((lengths.sum(), spectrogram.shape[1]), np.uint8)
        if spectrogram.shape != (lengths[i], frames.shape[1]):
            raise UserError(
                f"The spectrogram of track {track_id} has {spectrogram.shape[1]} bands, others "
                f"have {frames.shape[1]}; compute the mel features again."
            )
        frames[offsets[i] : offsets[i] + lengths[i]] = spectrogram
        max_db[i] = maximum
        digests[i] = digest
    return Mels(torch.from_numpy(frames), offsets, lengths, torch.from_numpy(max_db), digests)


def fit_scaler(mel_paths, split_path, out, settings):
    """Write mean and standard deviation of every mel band over all frames of training tracks.

    A band that never changes gets the standard deviation 1, as in scikit-learn's StandardScaler.

    Parameters
    ----------
    mel_paths : list of str or pathlib.Path
        Mel shards.
    split_path : str or pathlib.Path
        The split.
    out : str or pathlib.Path
        ``scaler.parquet``: columns ``band``, ``mean`` and ``std`` in dB.
    settings : dict
        ``top_db``, the range in dB that the 256 levels span.

    Raises
    ------
    UserError
        If there is no training track, or one is in no shard.
    """
    track_ids = read_part(split_path, "train")
    wanted = set(track_ids.tolist())
    step = settings["top_db"] / 255
    weights, means, squares = [], [], []
    for track_id, _, max_db, spectrogram in iterate_mels(mel_paths):
        if track_id not in wanted:
            continue
        # Sums of the integer levels are exact; the maximum differs between tracks, hence the sums
        # inside each track first, then the spread of the tracks' means.
        levels = spectrogram.astype(np.int64)
        n, total = len(levels), levels.sum(0)
        weights.append(n)
        means.append(max_db - settings["top_db"] + step * total / n)
        squares.append(step**2 * ((n * np.einsum("ij,ij->j", levels, levels) - total**2) / n))
        wanted.remove(track_id)
    if wanted:
        raise UserError(f"Track {min(wanted)} is in none of the mel shards; compute its features.")
    weights, means = np.array(weights, float)[:, None], np.array(means)
    mean = (weights * means).sum(0) / weights.sum()
    variance = (np.sum(squares, 0) + (weights * (means - mean) ** 2).sum(0)) / weights.sum()
    # Far below one quantisation step only rounding is left.
    std = np.where(variance < 1e-12, 1.0, np.sqrt(variance))
    write_parquet({"band": np.arange(len(mean), dtype=np.int32), "mean": mean, "std": std}, out)


def load_scaler(path):
    """Read ``scaler.parquet`` as a :class:`Scaler` on the CPU."""
    table = pd.read_parquet(path).sort_values("band")
    return Scaler(
        torch.tensor(table["mean"].to_numpy(np.float32)),
        torch.tensor(table["std"].to_numpy(np.float32)),
    )


def draw_crops(seed, network, epoch, lengths, crop_frames):
    """Draw one epoch: the order of the tracks and one crop in each.

    Parameters
    ----------
    seed : int
        The run's seed.
    network : str
        Name of the network.
    epoch : int or str
        Number of the epoch, or the name of another pass over the tracks.
    lengths : numpy.ndarray
        Frames of each track, shape (tracks,), none below `crop_frames`.
    crop_frames : int
        Frames of a crop.

    Returns
    -------
    permutation : numpy.ndarray
        int64, shape (tracks,): the order in which tracks are visited.
    start : numpy.ndarray
        int64, shape (tracks,): the first frame of each track's crop, uniform over all positions
        at which a crop lies inside the track.
    """
    rng = generator(seed, network, "crops", epoch)
    permutation = rng.permutation(len(lengths))
    return permutation, rng.integers(0, lengths - crop_frames + 1)


def updates_per_epoch(n_tracks, batch_size):
    """Return how many batches an epoch has.

    The last incomplete batch is dropped; where there are fewer tracks than `batch_size`, the one
    batch is all of them.
    """
    return max(n_tracks // batch_size, 1)


def gather(mels, rows, starts, crop_frames, scaler, top_db):
    """Cut a batch of crops and standardise it.

    Parameters
    ----------
    mels : Mels
        The spectrograms.
    rows : numpy.ndarray
        Which track each crop is from, as its position in `mels`, shape (batch,).
    starts : numpy.ndarray
        First frame of each crop in its track, shape (batch,).
    crop_frames : int
        Frames of a crop.
    scaler : Scaler
        Mean and standard deviation of each band, on the device of `mels`.
    top_db : float
        Range in dB that the 256 levels span.

    Returns
    -------
    torch.Tensor
        float32, shape (batch, 1, bands, crop_frames).
    """
    device = mels.frames.device
    first = torch.from_numpy(mels.offsets[rows] + starts).to(device)
    index = first[:, None] + torch.arange(crop_frames, device=device)
    levels = mels.frames[index].to(torch.float32)
    floor = mels.max_db[torch.from_numpy(rows).to(device)] - top_db
    shift = (floor[:, None] - scaler.mean) / scaler.std
    crops = levels * (top_db / 255 / scaler.std) + shift[:, None, :]
    return crops.transpose(1, 2).unsqueeze(1).contiguous()
