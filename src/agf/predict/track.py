"""From one audio file to the genre probabilities of its windows and of the whole."""

import os
from typing import NamedTuple

import numpy as np

from agf.predict.model import BATCH
from agf.predict.spectrogram import open_spectrogram

CURVE_POINTS = 400
"""Points of a curve; longer files are averaged to them, or the line is a smear."""


class Prediction(NamedTuple):
    """What a model makes of one track.

    Attributes
    ----------
    windows : numpy.ndarray
        float32, shape (windows, genres): genre probabilities of each window.
    seconds : numpy.ndarray
        float64, shape (windows,): where the middle of each window is, in seconds from where the
        decoded piece begins.
    duration : float
        Seconds decoded.
    picture : numpy.ndarray or None
        float32, shape (columns, bands): the spectrogram in dB, neighbouring frames averaged.
    topics : dict of str to numpy.ndarray
        For each AGF task of the case, float64, shape (topics,): mean over the windows of what the
        task's network makes of them.
    """

    windows: np.ndarray
    seconds: np.ndarray
    duration: float
    picture: np.ndarray | None
    topics: dict

    def mean(self):
        """Return the mean over the windows, float64, shape (genres,) (paper, section 4)."""
        return self.windows.mean(0, dtype=np.float64)

    def majority(self):
        """Return the share of windows of which each genre is the most probable, shape (genres,).

        Of equally probable genres the first has the window.
        """
        votes = np.bincount(self.windows.argmax(1), minlength=self.windows.shape[1])
        return votes / len(self.windows)

    def curve(self, points):
        """Return at most `points` times and means of neighbouring windows.

        Returns
        -------
        seconds : numpy.ndarray, float64, shape (points,)
        probabilities : numpy.ndarray, float64, shape (points, genres)
        """
        n = len(self.windows)
        points = min(n, points)
        start = np.unique(np.arange(points) * n // points)
        counts = np.diff(start, append=n)
        return (
            np.add.reduceat(self.seconds, start) / counts,
            np.add.reduceat(self.windows.astype(np.float64), start, axis=0) / counts[:, None],
        )


VOTES = {"mean": Prediction.mean, "majority": Prediction.majority}
"""How windows become a track."""


def predict_file(model, path, excerpt=False, columns=None, batch=BATCH):
    """Predict the genre of every window of an audio file.

    Windows and hop are those of the training, and so is the spectrogram, quantised as in the
    corpus's features. Memory does not grow with the file, but for one row of probabilities per
    window.

    Parameters
    ----------
    model : agf.predict.model.Model
        Of :func:`agf.predict.load`.
    path : str or pathlib.Path
        A file in any format that libsndfile reads, of any length from one window on.
    excerpt : bool
        Whether to take of a longer track the piece that the corpus would have taken, not all.
    columns : int, optional
        Largest width of `picture`; None for no picture.
    batch : int
        Windows computed at once.

    Returns
    -------
    Prediction

    Raises
    ------
    agf.features.audio.AudioError
        If the file cannot be used; the text is the reason.
    """
    config = model.config
    settings, window = config["spectrogram"], config["window"]
    size, hop = window["frames"], window["hop_frames"]
    piece = config["excerpt"] if excerpt else {}
    # As bytes, because libsndfile's binding takes no text that is not UTF-8.
    with open_spectrogram(os.fsencode(path), settings, size, **piece) as spectrogram:
        n_windows = (spectrogram.n_frames - size) // hop + 1
        probabilities = np.empty((n_windows, len(model.genres)), np.float32)
        topics = {}
        for first in range(0, n_windows, batch):
            n = min(batch, n_windows - first)
            db = spectrogram.read(first * hop, (n - 1) * hop + size)
            windows = np.lib.stride_tricks.sliding_window_view(db, size, axis=0)[::hop]
            found, by_task = model.outputs(np.ascontiguousarray(windows))
            probabilities[first : first + n] = found
            for task, values in by_task.items():
                topics[task] = topics.get(task, 0) + values.sum(0, dtype=np.float64) / n_windows
        picture = None if columns is None else _picture(spectrogram, columns)
        n_frames = spectrogram.n_frames
    frame = settings["hop_length"] / settings["sample_rate"]
    middles = (np.arange(n_windows) * hop + (size - 1) / 2) * frame
    return Prediction(probabilities, middles, (n_frames - 1) * frame, picture, topics)


def _picture(spectrogram, columns, frames_at_a_time=4096):
    """Return the spectrogram with neighbouring frames averaged, at most `columns` of them."""
    n_frames = spectrogram.n_frames
    columns = min(columns, n_frames)
    picture = np.zeros((columns, spectrogram.settings["n_mels"]))
    for first in range(0, n_frames, frames_at_a_time):
        db = spectrogram.read(first, frames_at_a_time)
        column = np.arange(first, first + len(db)) * columns // n_frames
        start = np.flatnonzero(np.diff(column, prepend=-1))
        picture[column[start]] += np.add.reduceat(db, start, axis=0)
    counts = np.bincount(np.arange(n_frames) * columns // n_frames, minlength=columns)
    return (picture / counts[:, None]).astype(np.float32)
