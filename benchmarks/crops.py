"""Crops of whole batches against torch's DataLoader with access item by item.

    python benchmarks/crops.py [--rounds 200]

The spectrograms are synthetic; a crop costs the same whatever is in it.
"""

import argparse
import sys
from collections import deque

import numpy as np
import torch
from measure import interleave, peak_memory, record, spread
from torch.utils.data import DataLoader, Dataset

from agf.errors import UserError
from agf.features.mel import dequantise
from agf.keyed_random import generator
from agf.networks.crops import Scaler, draw_crops, gather
from agf.networks.mels import Mels

N_TRACKS = 512
N_FRAMES = 1292
"""Of 30 s at 44,100 Hz and a hop length of 1024."""

N_BANDS = 128
N_GENRES = 16
CROP_FRAMES = 43
BATCH_SIZE = 64
TOP_DB = 80.0
TIMES_AS_FAST = 6.0

OURS = "gather, whole batches"
THEIRS = "DataLoader, item by item"

PREDICTED = (
    "8x: a crop is 5.5 kB read and 22 kB written, then read and written again twice, by the "
    "standardisation and by the transposition, some 10 us of a core at 10 GB/s; item by item the "
    "same bytes cost a dozen calls of numpy and torch at 2 to 5 us each besides, and are copied "
    "once more into the batch, some 80 us"
)


def synthetic_mels(n_tracks=N_TRACKS, n_frames=N_FRAMES):
    """Draw quantised spectrograms of which a network can learn the genre.

    Parameters
    ----------
    n_tracks, n_frames : int
        Number of tracks and frames in each.

    Returns
    -------
    mels : Mels
        Each genre has a spectral envelope, each track a deviation from it, each frame noise.
    scaler : Scaler
        Mean and standard deviation of the bands, roughly.
    genre : numpy.ndarray
        int64, shape (n_tracks,): the genre; of a fifth of the tracks a random one, so that the loss
        has something left to fall to.
    """
    rng = generator(0, "synthetic mels")
    genre = np.arange(n_tracks) % N_GENRES
    envelopes = 12 * rng.standard_normal((N_GENRES, N_BANDS))[genre]
    means = 128 + envelopes + 12 * rng.standard_normal((n_tracks, N_BANDS))
    frames = np.empty((n_tracks, n_frames, N_BANDS), np.uint8)
    for track, mean in zip(frames, means, strict=True):
        noise = 30 * rng.standard_normal((n_frames, N_BANDS), dtype=np.float32)
        track[:] = np.clip(mean + noise, 0, 255)
    drawn = rng.integers(N_GENRES, size=n_tracks)
    mels = Mels(
        torch.from_numpy(frames.reshape(-1, N_BANDS)),
        np.arange(n_tracks) * n_frames,
        np.full(n_tracks, n_frames),
        torch.from_numpy(rng.uniform(-10, 10, n_tracks).astype(np.float32)),
        np.zeros((n_tracks, 32), np.uint8),
    )
    middle, spread_db = TOP_DB * (128 / 255 - 1), 35 * TOP_DB / 255
    scaler = Scaler(torch.full((N_BANDS,), middle), torch.full((N_BANDS,), spread_db))
    return mels, scaler, np.where(rng.random(n_tracks) < 0.2, drawn, genre)


class Crops(Dataset):
    """One random crop of each track, cut, dequantised and standardised by itself."""

    def __init__(self, mels, scaler, starts):
        self.frames, self.max_db = mels.frames.numpy(), mels.max_db.numpy()
        self.mean, self.std = scaler.mean.numpy(), scaler.std.numpy()
        self.first = mels.offsets + starts

    def __len__(self):
        return len(self.first)

    def __getitem__(self, i):
        levels = self.frames[self.first[i] : self.first[i] + CROP_FRAMES]
        crop = (dequantise(levels, self.max_db[i], TOP_DB) - self.mean) / self.std
        return torch.from_numpy(np.ascontiguousarray(crop.T))[None]


def whole_batches(mels, scaler, order, starts):
    """Yield an epoch's batches as the training cuts them."""
    for rows in order.reshape(-1, BATCH_SIZE):
        yield gather(mels, rows, starts[rows], CROP_FRAMES, scaler, TOP_DB)


def item_by_item(mels, scaler, order, starts):
    """Yield the same batches from a DataLoader."""
    crops = Crops(mels, scaler, starts)
    yield from DataLoader(crops, BATCH_SIZE, sampler=order.tolist(), num_workers=0)


def cut_an_epoch():
    """Cut one epoch of whole batches, for the memory that it takes; return their number."""
    mels, scaler, _ = synthetic_mels()
    order, starts = draw_crops(0, "memory", 0, mels.lengths, CROP_FRAMES)
    return sum(1 for _ in whole_batches(mels, scaler, order, starts))


def main():
    """Measure the row `crops` from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=200, help="epochs of 512 crops each")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    mels, scaler, _ = synthetic_mels()
    order, starts = draw_crops(0, "benchmark", 0, mels.lengths, CROP_FRAMES)
    ways = {OURS: whole_batches, THEIRS: item_by_item}
    batches = {
        label: torch.cat(list(way(mels, scaler, order, starts))) for label, way in ways.items()
    }
    torch.testing.assert_close(batches[OURS], batches[THEIRS], rtol=0, atol=1e-4)
    # Of no batch is more kept than its turn, as in training.
    turns = {
        label: lambda way=way: deque(way(mels, scaler, order, starts), maxlen=0)
        for label, way in ways.items()
    }
    try:
        seconds = interleave(turns, arguments.rounds)
    except UserError as error:
        sys.exit(str(error))
    _, megabytes = peak_memory(cut_an_epoch)
    ratio = spread(np.divide(seconds[THEIRS], seconds[OURS]))
    ours, theirs = (1e6 * np.median(seconds[label]) / N_TRACKS for label in (OURS, THEIRS))
    record(
        "crops",
        ours="a batch cut, dequantised and standardised as a whole",
        alternative="torch's DataLoader, a Dataset that cuts one crop, no worker processes",
        unit="crops/s",
        measured={label: spread(N_TRACKS / np.array(values)) for label, values in seconds.items()},
        ratio=ratio,
        reached=ratio["median"] >= TIMES_AS_FAST,
        predicted=PREDICTED,
        remark=f"Batches of {BATCH_SIZE} crops from {N_TRACKS} synthetic spectrograms of "
        f"{N_FRAMES} frames and {N_BANDS} bands; both ways give the same crops. A crop costs "
        f"{ours:.1f} us in a batch and {theirs:.1f} us by itself, of which 10 us and 80 us were "
        "expected: what both have to do, converting and transposing 5,504 values, weighs more than "
        "the calls. Against the network's step, a thousand us a crop, either is small. The memory "
        f"is that of torch and of the spectrograms ({mels.frames.nbytes / 1e6:.0f} MB).",
        megabytes=megabytes,
        packages=("torch", "numpy"),
        details={"seconds": seconds},
    )


if __name__ == "__main__":
    main()
