"""One-second crops of mel spectrograms, and their standardisation."""

from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from agf.corpus.tracks import read_part
from agf.files import write_parquet
from agf.keyed_random import generator
from agf.networks.mels import read_mels


class Scaler(NamedTuple):
    """Mean and standard deviation of each mel band in dB; float32 tensors of shape (bands,)."""

    mean: torch.Tensor
    std: torch.Tensor

    def to(self, device):
        """Return the same with its tensors on `device`."""
        return Scaler(self.mean.to(device), self.std.to(device))


def fit_scaler(mels_path, split_path, out, settings):
    """Write mean and standard deviation of every mel band over all frames of training tracks.

    A band that never changes gets the standard deviation 1, as in scikit-learn's StandardScaler.

    Parameters
    ----------
    mels_path : str or pathlib.Path
        The spectrograms, a file of :func:`agf.networks.mels.pack_mels`.
    split_path : str or pathlib.Path
        The split.
    out : str or pathlib.Path
        ``scaler.parquet``: columns ``band``, ``mean`` and ``std`` in dB.
    settings : dict
        ``top_db``, the range in dB that the 256 levels span.

    Raises
    ------
    UserError
        If there is no training track, or one has no spectrogram.
    """
    mels = read_mels(mels_path, read_part(split_path, "train"), 1)
    step = settings["top_db"] / 255
    means, squares = [], []
    frames = mels.frames.numpy()
    for offset, n, max_db in zip(mels.offsets, mels.lengths, mels.max_db.tolist(), strict=True):
        # Sums of the integer levels are exact; the maximum differs between tracks, hence the sums
        # inside each track first, then the spread of the tracks' means.
        levels = frames[offset : offset + n].astype(np.int64)
        total = levels.sum(0)
        means.append(max_db - settings["top_db"] + step * total / n)
        squares.append(step**2 * ((n * np.einsum("ij,ij->j", levels, levels) - total**2) / n))
    weights, means = mels.lengths.astype(float)[:, None], np.array(means)
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
        Mean and standard deviation of each band; the crops come to its device.
    top_db : float
        Range in dB that the 256 levels span.

    Returns
    -------
    torch.Tensor
        float32, shape (batch, 1, bands, crop_frames).
    """
    device = scaler.mean.device
    first = torch.from_numpy(mels.offsets[rows] + starts).to(mels.frames.device)
    levels = cut(mels.frames, first, crop_frames).to(device)
    max_db = mels.max_db[torch.from_numpy(rows).to(mels.max_db.device)].to(device)
    return standardise(levels, max_db, scaler, top_db)


def cut(frames, first, crop_frames):
    """Cut crops out of time-major spectrograms.

    Parameters
    ----------
    frames : torch.Tensor
        Contiguous, shape (frames of all tracks, bands).
    first : torch.Tensor
        int64, shape (batch,): the row of `frames` each crop begins with.
    crop_frames : int
        Frames of a crop.

    Returns
    -------
    torch.Tensor
        Shape (batch, crop_frames, bands).
    """
    n_frames, n_bands = frames.shape
    # Every crop there is, as a row; rows overlap. One row is one copy, where an index for every
    # frame takes ten times as long.
    crops = frames.as_strided((n_frames - crop_frames + 1, crop_frames * n_bands), (n_bands, 1))
    return crops.index_select(0, first).view(-1, crop_frames, n_bands)


def standardise(levels, max_db, scaler, top_db):
    """Standardise crops of quantised spectrograms, band by band.

    Parameters
    ----------
    levels : torch.Tensor
        uint8, shape (batch, crop_frames, bands).
    max_db : torch.Tensor
        float32, shape (batch,): maximum in dB of the track of each crop.
    scaler : Scaler
        Mean and standard deviation of each band.
    top_db : float
        Range in dB that the 256 levels span.

    Returns
    -------
    torch.Tensor
        float32, shape (batch, 1, bands, crop_frames).
    """
    shift = (max_db[:, None] - top_db - scaler.mean) / scaler.std
    # Transposed while a value is one byte, and computed in place.
    crops = levels.transpose(1, 2).contiguous().to(torch.float32)
    crops.mul_((top_db / 255 / scaler.std)[:, None]).add_(shift[:, :, None])
    return crops.unsqueeze(1)
