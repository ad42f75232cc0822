"""Window embeddings: the 256-d feature of every second of every track, for each task."""

import numpy as np
import torch

from agf.corpus.tracks import read_tracks
from agf.networks.crops import Scaler, gather
from agf.networks.device import (
    autocast,
    bytes_for_data,
    lend_device,
    resolve_precision,
    set_precision,
)
from agf.networks.mels import read_mels
from agf.networks.model import load_weights
from agf.progress import progress
from agf.tensors import writing_tensors

WINDOWS_AT_A_TIME = {"cpu": 64, "cuda": 2048}
"""On one core faster than larger batches, whose activations leave the cache; a GPU is to be filled.
"""


def window_starts(n_frames, crop_frames=43, hop=21):
    """Return the first frames of the windows that lie wholly inside a track.

    Parameters
    ----------
    n_frames : int
        Frames of the track.
    crop_frames : int
        Frames of a window.
    hop : int
        Frames between the starts of two windows.

    Returns
    -------
    numpy.ndarray
        int64; empty where the track is shorter than a window.

    Examples
    --------
    >>> window_starts(90).tolist()
    [0, 21, 42]
    """
    return np.arange(0, n_frames - crop_frames + 1, hop, dtype=np.int64)


def embed_tracks(weights_path, mels_path, tracks_path, out, settings, gpu_jobs_per_device=1):
    """Write the transfer features of every window of every track.

    The feature of a task is the output of Dense-BN-ELU of its branch, in evaluation mode and
    unscaled.

    Parameters
    ----------
    weights_path : str or pathlib.Path
        A trained network.
    mels_path : str or pathlib.Path
        The spectrograms of all tracks, a file of :func:`agf.networks.mels.pack_mels`.
    tracks_path : str or pathlib.Path
        ``tracks.parquet``.
    out : str or pathlib.Path
        safetensors: for each task ``embedding_{task}`` float16 (windows x dense units); ``track``
        int32 (windows): the window's track as its row in ``tracks.parquet``, ascending;
        ``track_id`` int64 (tracks): the track_id of each row; and, where the network learnt genre,
        ``probability_g`` float32 (windows x genres). It is written batch by batch: no more than one
        batch is in memory.
    settings : dict
        ``hop_frames``, frames from one window to the next. Everything else is as in training.
    gpu_jobs_per_device : int
        Jobs that may share a GPU.

    Raises
    ------
    UserError
        If a track has no spectrogram or one shorter than a window, or if the GPU's memory does not
        suffice.
    """
    model, metadata = load_weights(weights_path)
    trained = metadata["settings"]
    crop_frames, top_db = trained["crop_frames"], trained["top_db"]
    track_ids = read_tracks(tracks_path).track_id.to_numpy(np.int64)
    mels = read_mels(mels_path, track_ids, crop_frames)
    windows = [window_starts(n, crop_frames, settings["hop_frames"]) for n in mels.lengths]
    starts = np.concatenate(windows)
    track = np.repeat(np.arange(len(track_ids)), [len(w) for w in windows])

    shapes = {"track": ("int32", [len(track)]), "track_id": ("int64", [len(track_ids)])}
    for task in model.tasks:
        shapes[f"embedding_{task}"] = ("float16", [len(track), model.head[task][-1].in_features])
    if "g" in model.tasks:
        shapes["probability_g"] = ("float32", [len(track), metadata["n_outputs"]["g"]])

    with (
        lend_device(gpu_jobs_per_device) as device,
        writing_tensors(out, shapes) as tensors,
        torch.inference_mode(),
    ):
        precision = resolve_precision(trained["precision"], device)
        set_precision(precision, device)
        scaler = Scaler(*(torch.tensor(metadata["scaler"][name]) for name in Scaler._fields))
        scaler = scaler.to(device)
        at_a_time = WINDOWS_AT_A_TIME[device.type]
        # Activations live no longer than a layer and its successor; the first layers' are largest.
        largest = 4 * at_a_time * crop_frames * mels.frames.shape[1] * model.shared[0].out_channels
        room = bytes_for_data(
            device, 3 * largest, gpu_jobs_per_device, f"Embedding {metadata['network']}"
        )
        if mels.frames.nbytes <= room:
            mels = mels._replace(frames=mels.frames.to(device))
        model = model.to(device, memory_format=torch.channels_last)
        tensors["track"][:], tensors["track_id"][:] = track, track_ids
        batches = range(0, len(track), at_a_time)
        for first in progress(batches, f"embedding {metadata['network']}, batches"):
            part = slice(first, first + at_a_time)
            x = gather(mels, track[part], starts[part], crop_frames, scaler, top_db)
            with autocast(precision, device):
                shared = model.shared(x)
                for task in model.tasks:
                    feature = model.features[task](shared)
                    tensors[f"embedding_{task}"][part] = feature.to("cpu", torch.float16)
                    if task == "g":
                        logits = model.head[task](feature).float()
                        tensors["probability_g"][part] = torch.softmax(logits, 1).cpu()
