"""The mel spectrograms of all tracks in one file, which all trainings map into their memory."""

from typing import NamedTuple

import numpy as np
import torch

from agf.corpus.tracks import read_tracks
from agf.errors import UserError
from agf.features.reading import iterate_mels, read_columns
from agf.tensors import reading_tensors, writing_tensors


class Mels(NamedTuple):
    """Quantised mel spectrograms of some tracks.

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
    digests : numpy.ndarray
        uint8, shape (tracks, 32): hashes of the tracks' spectrograms.
    """

    frames: torch.Tensor
    offsets: np.ndarray
    lengths: np.ndarray
    max_db: torch.Tensor
    digests: np.ndarray


def pack_mels(mel_paths, tracks_path, out):
    """Write the spectrograms of all tracks, time-major, one track after the other.

    The shards' pages have to be decoded by whoever reads them, each into memory of its own. Here a
    crop is one piece of the file, and processes side by side share the system's one copy of it.

    Parameters
    ----------
    mel_paths : list of str or pathlib.Path
        Mel shards.
    tracks_path : str or pathlib.Path
        ``tracks.parquet``.
    out : str or pathlib.Path
        safetensors, tracks in ascending order of ``track_id``: ``track_id``, ``offset`` and
        ``n_frames`` int64, ``max_db`` float32, ``digest`` uint8 (tracks x 32) and ``frames`` uint8
        (frames of all tracks x bands).

    Raises
    ------
    UserError
        If a track is in no shard, or if a spectrogram's size does not fit its number of frames or
        the other tracks' bands.
    """
    track_ids = np.sort(read_tracks(tracks_path).track_id.to_numpy(np.int64))
    position = {int(track_id): i for i, track_id in enumerate(track_ids)}
    lengths = np.full(len(track_ids), -1, np.int64)
    for path in mel_paths:
        table = read_columns(path, ["track_id", "n_frames"])
        for row in table.to_pylist():
            if row["track_id"] in position:
                lengths[position[row["track_id"]]] = row["n_frames"]
    for track_id, i in position.items():
        if lengths[i] < 0:
            raise UserError(f"Track {track_id} is in none of the mel shards; compute its features.")
    offsets = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    n_bands = next(iterate_mels(mel_paths))[-1].shape[1]
    shapes = {
        "track_id": ("int64", [len(track_ids)]),
        "offset": ("int64", [len(track_ids)]),
        "n_frames": ("int64", [len(track_ids)]),
        "max_db": ("float32", [len(track_ids)]),
        "digest": ("uint8", [len(track_ids), 32]),
        "frames": ("uint8", [int(lengths.sum()), n_bands]),
    }
    with writing_tensors(out, shapes) as arrays:
        arrays["track_id"][:], arrays["offset"][:] = track_ids, offsets
        arrays["n_frames"][:] = lengths
        for track_id, digest, maximum, spectrogram in iterate_mels(mel_paths):
            if track_id not in position:
                continue
            i = position[track_id]
            if spectrogram.shape != (lengths[i], n_bands):
                raise UserError(
                    f"The spectrogram of track {track_id} has {spectrogram.shape[1]} bands, others "
                    f"have {n_bands}; compute the mel features again."
                )
            arrays["frames"][offsets[i] : offsets[i] + lengths[i]] = spectrogram
            arrays["max_db"][i] = maximum
            arrays["digest"][i] = np.frombuffer(bytes.fromhex(digest), np.uint8)


def read_mels(path, track_ids, min_frames):
    """Map the spectrograms of some tracks.

    Parameters
    ----------
    path : str or pathlib.Path
        A file of :func:`pack_mels`.
    track_ids : array of int
        The tracks, in the order wanted.
    min_frames : int
        Frames a track must have: the length of a crop.

    Returns
    -------
    Mels
        `frames` holds those of all tracks of the file, as a memory map.

    Raises
    ------
    UserError
        If a track is not in the file or is shorter than `min_frames`.
    """
    track_ids = np.asarray(track_ids, np.int64)
    with reading_tensors(path) as file:
        present = file.get_tensor("track_id").numpy()
        rows = np.searchsorted(present, track_ids).clip(max=len(present) - 1)
        missing = track_ids[present[rows] != track_ids]
        if len(missing):
            raise UserError(
                f"{path} lacks track {missing[0]}; delete it and run the workflow again."
            )
        lengths = file.get_tensor("n_frames").numpy()[rows]
        short = np.flatnonzero(lengths < min_frames)
        if len(short):
            raise UserError(
                f"Track {track_ids[short[0]]} has {lengths[short[0]]} frames, but a crop takes "
                f"{min_frames}; raise min_seconds or remove the track."
            )
        return Mels(
            file.get_tensor("frames"),
            file.get_tensor("offset").numpy()[rows],
            lengths,
            file.get_tensor("max_db")[rows],
            file.get_tensor("digest").numpy()[rows],
        )
