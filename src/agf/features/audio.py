"""Decoding: one audio file to mono samples, or one reason why not."""

import os
from contextlib import contextmanager
from typing import NamedTuple

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

PADDING_SECONDS = 0.1
"""Seconds by which a file may exceed the longest piece and still be taken whole: coders pad to full
frames, and a clip of 30.003 s is one of 30 s."""

BLOCK_FRAMES = 1 << 16

TRUSTED_FRAMES = 1 << 22
"""Sample frames for which memory is taken before they are decoded: 16 MB, 95 s at 44.1 kHz."""

PREROLL_SECONDS = 1.0
"""Seconds decoded and thrown away before an excerpt begins. An MPEG frame keeps part of its bits in
up to some ten frames before it, and the decoder does not go back that far by itself."""

NO_LENGTH = 1 << 62
"""Sample frames from which on libsndfile does not state a length but that it knows none."""

ID3_HEADER = 10
MPEG_LENGTH_MARKS = (b"Xing", b"Info", b"VBRI")
MPEG_SEARCH = 2048
"""Bytes in which the first MPEG frame's length mark lies: libsndfile gives up its search for a
frame after 1,024, and the mark follows at most 40 bytes after the frame begins."""


class AudioError(ValueError):
    """A file that cannot be used; the text is the reason, as it stands in a rejection list.

    The reason begins with ``missing``, ``unreadable``, ``truncated``, ``damaged``, ``silent`` or
    ``too short``.
    """


class _Sequential(soundfile.SoundFile):
    """A file whose reads do not seek.

    soundfile seeks to where it is after every read, upon which the MPEG decoder forgets the bits
    that earlier frames hold for later ones: at a variable bit rate two frames at every block's
    beginning come out wrong.
    """

    def seekable(self):
        return False


class Excerpt(NamedTuple):
    """An open file, read up to where its excerpt begins; all counts are sample frames."""

    file: soundfile.SoundFile
    start: int
    stop: int
    length: int
    """Of the whole file."""
    has_length: bool
    """Whether the header states the length; else it is estimated or counted."""

    @property
    def is_whole(self):
        """Whether nothing of the file is left out."""
        return (self.start, self.stop) == (0, self.length)


def decode(path, sample_rate, min_seconds=1.0, duration=None, max_duration=None, offset="middle"):
    """Decode an audio file, or an excerpt of a long one, to mono at a fixed sample rate.

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
        Length of the whole file in seconds by other knowledge than its own header.
    max_duration : float, optional
        Longest piece to decode, in seconds. None: everything from `offset` on.
    offset : "middle" or float
        Where an excerpt begins: seconds from the file's beginning, or such that as much is left
        out before it as after it. A file no longer than `max_duration`, give or take a coder's
        padding, has only one middle: all of it.

    Returns
    -------
    numpy.ndarray, shape (n_samples,), float32
        Samples, full scale at -1 and 1.

    Raises
    ------
    AudioError
        If the file is missing, not readable, cut short, damaged, silent or too short. Of a file of
        which an excerpt is taken, only the length and the excerpt are judged.

    Notes
    -----
    libsndfile reads a truncated MP3 without complaint, so its length is held against the header.
    An MP3 without a Xing or Info header has no length to compare with, nor has a cut WAV or Ogg
    file, whose length is taken from what is left of it: there only `duration` and `min_seconds` see
    the loss. A header that states less than the file holds is believed: libsndfile does not read
    beyond.

    An excerpt is read from where it begins, sample for sample what the whole file holds there; of
    some MP3 the last bit differs. Memory grows with the excerpt, not with the file. Only an MP3
    without a Xing or Info header is decoded once more as a whole, piece by piece, to learn its
    length.
    """
    with open_excerpt(path, max_duration, offset, duration) as excerpt:
        mono = _mono(excerpt)
        rate = excerpt.file.samplerate
    peak = max(mono.max(), -mono.min()) if len(mono) else 0.0
    _judge(excerpt, rate, len(mono), peak, min_seconds, duration)
    if rate != sample_rate:
        mono = soxr.resample(mono, rate, sample_rate, quality="HQ")
    return mono


def decode_blocks(path, sample_rate, min_seconds=1.0, max_duration=None, offset="middle"):
    """Decode an audio file piece by piece: the samples of :func:`decode` in constant memory.

    Parameters
    ----------
    path, sample_rate, min_seconds, max_duration, offset
        As in :func:`decode`.

    Yields
    ------
    numpy.ndarray, shape (n_samples,), float32
        The next samples.

    Raises
    ------
    AudioError
        As :func:`decode`; what only the whole file tells (cut short, too short, silent, not finite)
        is told after the last piece.
    """
    with open_excerpt(path, max_duration, offset) as excerpt:
        rate = excerpt.file.samplerate
        resampler = None
        if rate != sample_rate:
            resampler = soxr.ResampleStream(rate, sample_rate, 1, "float32", "HQ")
        n_samples, peak = 0, np.float32(0)
        for block in excerpt_blocks(excerpt):
            mono = mean_of_channels(block)
            n_samples += len(mono)
            if len(mono):
                # NaN stays, as it would not in Python's max.
                peak = np.maximum(peak, np.maximum(mono.max(), -mono.min()))
            yield mono if resampler is None else resampler.resample_chunk(mono)
        if resampler is not None:
            yield resampler.resample_chunk(np.empty(0, np.float32), last=True)
    _judge(excerpt, rate, n_samples, peak, min_seconds, None)


def _judge(excerpt, rate, n_samples, peak, min_seconds, duration):
    """Raise AudioError if what was decoded is cut short, too short, silent or not finite."""
    seconds, promised = n_samples / rate, (excerpt.stop - excerpt.start) / rate
    where = "" if excerpt.is_whole else f" from {excerpt.start / rate:.2f} s on"
    if excerpt.has_length and seconds < promised - LOST_SECONDS:
        raise AudioError(f"truncated: {seconds:.2f} s of {promised:.2f} s{where} by its header")
    if excerpt.is_whole:
        _check_duration(seconds, duration)
    if not n_samples or seconds < min_seconds:
        raise AudioError(f"too short: {seconds:.2f} s{where}, {min_seconds:g} s needed")
    if not np.isfinite(peak):
        raise AudioError("damaged: samples that are not finite")
    if peak < SILENCE_PEAK:
        raise AudioError(f"silent: peak {peak:.1e} of full scale, {SILENCE_PEAK:.0e} needed")


@contextmanager
def open_excerpt(path, max_duration=None, offset="middle", duration=None):
    """Open an audio file where its excerpt begins.

    Parameters
    ----------
    path, max_duration, offset, duration
        As in :func:`decode`.

    Yields
    ------
    Excerpt

    Raises
    ------
    AudioError
        If the file is missing or not readable; where an excerpt is taken, also if the file is
        shorter than `duration` or than `offset`.
    """
    if not os.path.exists(path):
        raise AudioError("missing: no such file")
    # A pipe would wait for a writer for ever.
    if not os.path.isfile(path):
        raise AudioError("missing: a folder or device has the file's name")
    if not os.access(path, os.R_OK):
        raise AudioError("missing: no permission to read the file")
    if not os.path.getsize(path):
        raise AudioError("unreadable: the file is empty")
    try:
        file = _Sequential(path)
    except soundfile.LibsndfileError as error:
        raise AudioError(f"unreadable: no audio known to libsndfile (code {error.code})") from error
    with file:
        if file.frames >= NO_LENGTH:
            raise AudioError("unreadable: the header does not state how long the file is")
        has_length = file.format != "MP3" or _mp3_states_length(path)
        length, rate = file.frames, file.samplerate
        if not has_length and (max_duration is not None or offset != "middle"):
            # libsndfile estimates from the first frames' bit rate: minutes too much where a
            # variable bit rate begins with silence, and the middle would lie beyond the end.
            length = sum(map(len, _blocks(file, 0, length)))
        start, stop = _bounds(length, rate, max_duration, offset)
        excerpt = Excerpt(file, start, stop, length, has_length)
        if not excerpt.is_whole:
            _check_duration(length / rate, duration)
            if start >= length:
                raise AudioError(
                    f"too short: {length / rate:.2f} s, excerpt begins at {offset:g} s"
                )
        yield excerpt


def excerpt_blocks(excerpt):
    """Yield the samples of an excerpt piece by piece.

    Parameters
    ----------
    excerpt : Excerpt
        Of :func:`open_excerpt`.

    Yields
    ------
    numpy.ndarray, shape (n_samples, n_channels), float32
        At most ``BLOCK_FRAMES`` samples of every channel. There are fewer in all than the excerpt
        promises where the file is cut short.

    Raises
    ------
    AudioError
        If the file is damaged.
    """
    return _blocks(excerpt.file, excerpt.start, excerpt.stop)


def _blocks(file, start, stop):
    # Block by block, because interleaved float32 of all channels at once is the largest piece of
    # memory that a feature worker would ever hold.
    position = max(0, start - round(PREROLL_SECONDS * file.samplerate))
    try:
        # Also at the beginning, as librosa does: some MP3 differ in the last bit without.
        file.seek(position)
        while position < stop and len(
            block := file.read(min(BLOCK_FRAMES, stop - position), dtype="float32", always_2d=True)
        ):
            before = max(0, start - position)
            position += len(block)
            yield block[before:]
    except soundfile.LibsndfileError as error:
        seconds = position / file.samplerate
        raise AudioError(f"damaged: decoding stops near {seconds:.1f} s") from error


def _bounds(length, rate, max_duration, offset):
    """Return where the excerpt begins and ends, in sample frames."""
    longest = length if max_duration is None else round(max_duration * rate)
    if length <= longest + PADDING_SECONDS * rate:
        longest = length
    if offset == "middle":
        start = max(0, (length - longest) // 2)
    else:
        start = min(length, round(offset * rate))
    return start, min(length, start + longest)


def _check_duration(seconds, duration):
    if duration is not None and seconds < duration - DURATION_TOLERANCE:
        raise AudioError(f"truncated: {seconds:.2f} s of {duration:.2f} s by the metadata")


def _mp3_states_length(path):
    """Return whether the first frame of an MP3 is one that says how many follow."""
    with open(path, "rb") as file:
        while (head := file.read(ID3_HEADER))[:3] == b"ID3":
            # The size of an ID3v2 tag is four times seven bits; a footer is not counted in it.
            size = sum(
                byte << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True)
            )
            file.seek(size + (ID3_HEADER if head[5] & 0x10 else 0), os.SEEK_CUR)
        first = head + file.read(MPEG_SEARCH)
    return any(mark in first for mark in MPEG_LENGTH_MARKS)


def _mono(excerpt):
    """Return the mean over the channels of a whole excerpt."""
    # One array, written once: to get memory from the system costs more than the mean. A header can
    # state any length, so an array of that length would be taken for nothing.
    mono = np.empty(min(excerpt.stop - excerpt.start, TRUSTED_FRAMES), np.float32)
    end = 0
    for block in excerpt_blocks(excerpt):
        start, end = end, end + len(block)
        if end > len(mono):
            mono = np.concatenate([mono[:start], np.empty(max(start, len(block)), np.float32)])
        mean_of_channels(block, out=mono[start:end])
    return mono[:end]


def mean_of_channels(block, out=None):
    """Return the mean over the channels.

    Parameters
    ----------
    block : numpy.ndarray, shape (n_samples, n_channels), float32
    out : numpy.ndarray, shape (n_samples,), float32, optional
        Where to write it.

    Returns
    -------
    numpy.ndarray, shape (n_samples,), float32
        `out`, where that is given.
    """
    # Summing columns gives the bits of numpy's mean(axis=1) in a fraction of its time.
    n_channels = block.shape[1]
    if n_channels == 1:
        return np.positive(block[:, 0], out=out)
    total = np.add(block[:, 0], block[:, 1], out=out)
    for channel in range(2, n_channels):
        total += block[:, channel]
    total /= n_channels
    return total
