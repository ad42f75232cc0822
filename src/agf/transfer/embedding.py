"""Window embeddings: the 256-d feature of every second of every track, for each task."""

import numpy as np
import torch
from safetensors.torch import save_file

from agf.corpus.tracks import read_tracks
from agf.files import replacing
from agf.networks.crops import Scaler, gather, load_mels
from agf.networks.model import autocast, load_weights, prepare_device
from agf.progress import progress

WINDOWS_AT_A_TIME = 64
"""On one core faster than larger batches, whose activations leave the cache."""


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


def embed_tracks(weights_path, mel_paths, tracks_path, out, settings):
    """Write the transfer features of every window of every track.

    The feature of a task is the output of Dense-BN-ELU of its branch, in evaluation mode and
    unscaled.

    Parameters
    ----------
    weights_path : str or pathlib.Path
        A trained network.
    mel_paths : list of str or pathlib.Path
        Mel shards.
    tracks_path : str or pathlib.Path
        ``tracks.parquet``.
    out : str or pathlib.Path
        safetensors: for each task ``embedding_{task}`` float16 (windows x dense units); ``track``
        int32 (windows): the window's track as its row in ``tracks.parquet``, ascending;
        ``track_id`` int64 (tracks): the track_id of each row; and, where the network learnt genre,
        ``probability_g`` float32 (windows x genres).
    settings : dict
        ``hop_frames``, frames from one window to the next. Everything else is as in training.

    Raises
    ------
    UserError
        If a track is in no shard or shorter than a window.
    """
    device = prepare_device()
    model, metadata = load_weights(weights_path)
    model = model.to(device, memory_format=torch.channels_last)
    trained = metadata["settings"]
    crop_frames, top_db = trained["crop_frames"], trained["top_db"]
    scaler = Scaler(*(torch.tensor(metadata["scaler"][name]) for name in Scaler._fields)).to(device)
    track_ids = read_tracks(tracks_path).track_id.to_numpy(np.int64)
    mels = load_mels(mel_paths, track_ids, crop_frames).to(device)

    windows = [window_starts(n, crop_frames, settings["hop_frames"]) for n in mels.lengths]
    starts = np.concatenate(windows)
    track = np.repeat(np.arange(len(track_ids)), [len(w) for w in windows])
    tensors = {"track": torch.from_numpy(track.astype(np.int32))}
    tensors["track_id"] = torch.tensor(track_ids)
    for task in model.tasks:
        dense = model.head[task][-1].in_features
        tensors[f"embedding_{task}"] = torch.empty(len(track), dense, dtype=torch.float16)
    if "g" in model.tasks:
        tensors["probability_g"] = torch.empty(len(track), metadata["n_outputs"]["g"])

    batches = range(0, len(track), WINDOWS_AT_A_TIME)
    with torch.inference_mode():
        for first in progress(batches, f"embedding {metadata['network']}, batches"):
            part = slice(first, first + WINDOWS_AT_A_TIME)
            x = gather(mels, track[part], starts[part], crop_frames, scaler, top_db)
            with autocast(device, trained["precision"]):
                shared = model.shared(x)
                for task in model.tasks:
                    feature = model.features[task](shared)
                    tensors[f"embedding_{task}"][part] = feature.to("cpu", torch.float16)
                    if task == "g":
                        logits = model.head[task](feature).float()
                        tensors["probability_g"][part] = torch.softmax(logits, 1).cpu()
    with replacing(out) as temporary:
        save_file(tensors, temporary)
