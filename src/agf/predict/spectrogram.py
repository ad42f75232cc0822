"""The spectrogram of a file of any length, as the corpus's features are stored, out of memory.

The cut 80 dB below a track's maximum needs the maximum, which is known when the file has ended. So
frames are laid by as they come, in memory as long as they are few and else in a temporary file, and
are cut and quantised when they are read.
"""

import tempfile
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np

from agf.features.audio import AudioError, decode_blocks
from agf.features.mel import dequantise, mel_blocks, quantise

SPOOL_BYTES = 16 << 20
"""Size from which frames go to a temporary file: 12 minutes at the paper's settings."""


class Spectrogram(NamedTuple):
    """A spectrogram to read from.

    Attributes
    ----------
    n_frames : int
        Number of frames.
    max_db : numpy.float32
        Its maximum.
    file : object
        Open file of float32, frame after frame.
    settings : dict
        ``n_mels``, ``top_db``.
    """

    n_frames: int
    max_db: np.float32
    file: object
    settings: dict

    def read(self, first, n):
        """Return at most `n` frames from `first` on, as the corpus's features have them.

        Returns
        -------
        numpy.ndarray, shape (n_frames, n_mels), float32
            dB in 256 steps over the `top_db` below the maximum.
        """
        n_mels, top_db = self.settings["n_mels"], self.settings["top_db"]
        self.file.seek(4 * first * n_mels)
        db = np.frombuffer(self.file.read(4 * n * n_mels), np.float32).reshape(-1, n_mels)
        return dequantise(*quantise(db, top_db, self.max_db), top_db)


@contextmanager
def open_spectrogram(path, settings, min_frames, max_duration=None, offset="middle"):
    """Compute the spectrogram of an audio file.

    Parameters
    ----------
    path : str or pathlib.Path
        The file.
    settings : dict
        As in :func:`agf.features.mel.mel_spectrogram_db`.
    min_frames : int
        Frames that a file must have.
    max_duration, offset
        As in :func:`agf.features.audio.decode`.

    Yields
    ------
    Spectrogram

    Raises
    ------
    AudioError
        As :func:`agf.features.audio.decode`.
    """
    rate = settings["sample_rate"]
    needed = (min_frames - 1) * settings["hop_length"] / rate
    with tempfile.SpooledTemporaryFile(SPOOL_BYTES) as file:
        n_frames, max_db = 0, np.float32(-np.inf)
        for db in mel_blocks(decode_blocks(path, rate, needed, max_duration, offset), settings):
            n_frames += len(db)
            max_db = max(max_db, db.max())
            file.write(db.data)
        # Resampling can take the one sample that the last frame needs.
        if n_frames < min_frames:
            raise AudioError(f"too short: {n_frames} frames, {min_frames} needed")
        yield Spectrogram(n_frames, max_db, file, settings)
