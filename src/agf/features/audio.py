"""Decoding: one audio file to mono samples, or one reason why not."""

import os
from pathlib import Path

import numpy as np
import soundfile
import soxr

SILENCE_PEAK = 1e-4
"""Peak, relative to full scale, below which a track counts as silent: -80 dBFS, about three steps
of 16-bit audio. What is left there is dither or coder noise, and since a spectrogram keeps the
80 dB below its own maximum, that noise would fill the picture as if it were music."""

LOST_SECONDS = 0.1
"""Seconds that may be missing against the file's own header. A decoder that meets a flipped bit
drops an MPEG frame or two (26 ms each) and goes on; a download that broke off lacks more."""

DURATION_TOLERANCE = 1.0
"""Seconds that may be missing against the metadata, which rounds to whole seconds."""

BLOCK_FRAMES = 1 << 16


class AudioError(ValueError):
    """A file that cannot be used; the text is the reason, as it stands in a rejection list.

    The reason begins with ``missing``, ``unreadable``, ``truncated``, ``damaged``, ``silent`` or
    ``too short``.
    """


def decode(path, sample_rate, min_seconds=1.0, duration=None):
    """Decode an audio file to mono at a fixed sample rate.

    The channels are averaged, (L + R) / 2 for stereo, and resampled by soxr's HQ filter only where
    the rate differs. For files that libsndfile reads this is ``librosa.load`` to the bit.

    Parameters
    ----------
    path : str or pathlib.Path
        A file in any format libsndfile reads (WAV, FLAC, Ogg, MP3 and more).
    sample_rate : int
        Sample rate of the result in Hz.
    min_seconds : float
        Shortest track that is of use, in seconds. One second is what a network sees at a time.
    duration : float, optional
        Length of this file in seconds by other knowledge than its own header.

    Returns
    -------
    numpy.ndarray, shape (n_samples,), float32
        Samples, full scale at -1 and 1.

    Raises
    ------
    AudioError
        If the file is missing, not readable, cut short, damaged, silent or too short.

    Notes
    -----
    libsndfile reads a truncated MP3 without complaint, so its length is held against the header.
    An MP3 without a Xing or Info header has no length to compare with, nor has a cut WAV or Ogg
    file, whose length is taken from what is left of it: there only `duration` and `min_seconds` see
    the loss.
    """
    mono, rate, promised = _read_mono(path)
    seconds = len(mono) / rate
    if seconds < promised - LOST_SECONDS:
        raise AudioError(f"truncated: {seconds:.2f} s of {promised:.2f} s by its header")
    if duration is not None and seconds < duration - DURATION_TOLERANCE:
        raise AudioError(f"truncated: {seconds:.2f} s of {duration:.2f} s by the metadata")
    if not len(mono) or seconds < min_seconds:
        raise AudioError(f"too short: {seconds:.2f} s, {min_seconds:g} s needed")
    peak = max(mono.max(), -mono.min())
    if not np.isfinite(peak):
        raise AudioError("damaged: samples that are not finite")
    if peak < SILENCE_PEAK:
        raise AudioError(f"silent: peak {peak:.1e} of full scale, {SILENCE_PEAK:.0e} needed")
    if rate != sample_rate:
        mono = soxr.resample(mono, rate, sample_rate, quality="HQ")
    return mono


def _read_mono(path):
    """Return the mean of the channels, the file's sample rate, and seconds its header promises."""
    if not Path(path).is_file():
        raise AudioError("missing: no such file")
    if not os.access(path, os.R_OK):
        raise AudioError("missing: no permission to read the file")
    if not Path(path).stat().st_size:
        raise AudioError("unreadable: the file is empty")
    try:
        file = soundfile.SoundFile(path)
    except soundfile.LibsndfileError as error:
        raise AudioError(f"unreadable: no audio known to libsndfile (code {error.code})") from error
    with file:
        blocks = []
        try:
            # Block by block, because interleaved float32 of all channels at once is the largest
            # piece of memory that a feature worker would ever hold.
            while len(block := file.read(BLOCK_FRAMES, dtype="float32", always_2d=True)):
                blocks.append(_mean_of_channels(block))
        except soundfile.LibsndfileError as error:
            seconds = sum(map(len, blocks)) / file.samplerate
            raise AudioError(f"damaged: decoding stops near {seconds:.1f} s") from error
        mono = np.concatenate(blocks) if blocks else np.zeros(0, np.float32)
        return mono, file.samplerate, file.frames / file.samplerate


def _mean_of_channels(block):
    # Summing columns gives the bits of numpy's mean(axis=1) in a fraction of its time.
    total = block[:, 0].copy()
    for channel in range(1, block.shape[1]):
        total += block[:, channel]
    total /= block.shape[1]
    return total
