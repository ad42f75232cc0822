"""The 4,374 Essentia descriptors of a track.

They are all that is numeric and of fixed length in what ``MusicExtractor`` returns::

      32   single values: loudness, tempo, tuning, key strengths, 10 properties of the audio file
     440   44 curves over time, 10 statistics each
    2890   289 bands of 7 spectra and profiles over time, 10 statistics each
     310   3 histograms and profiles: tempo (250), chords (24), transposed pitch classes (36)
     702   means (13), covariances and their inverses (13 x 13) of MFCC and GFCC
    ----
    4374   as many as the paper has

Left out are strings (keys, scales, tags) and ``rhythm.beats_position``, whose length varies.
"""

import ctypes
import tempfile
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import numpy as np
import soundfile

from agf.errors import UserError
from agf.features.audio import AudioError, excerpt_blocks, mean_of_channels, open_excerpt

N_DESCRIPTORS = 4374

INITIAL_SEED = 1
"""The C standard's seed of a program that sets none."""

MOST_CHANNELS = 2
"""Channels that Essentia reads."""

STATISTICS = ("mean", "var", "stdev", "median", "min", "max", "dmean", "dmean2", "dvar", "dvar2")
"""Statistics over time: ``dmean`` and ``dvar`` of the first, ``dmean2`` and ``dvar2`` of the
second difference, in absolute value."""

CEPSTRAL_STATISTICS = ("mean", "cov", "icov")

_BAND_SHAPES = ("crest", "flatness_db", "kurtosis", "skewness", "spread")

_SINGLE_VALUES = [
    "lowlevel.average_loudness",
    "lowlevel.dynamic_complexity",
    "lowlevel.loudness_ebu128.integrated",
    "lowlevel.loudness_ebu128.loudness_range",
    "metadata.audio_properties.analysis.equal_loudness",
    "metadata.audio_properties.analysis.length",
    "metadata.audio_properties.analysis.sample_rate",
    "metadata.audio_properties.analysis.start_time",
    "metadata.audio_properties.bit_rate",
    "metadata.audio_properties.length",
    "metadata.audio_properties.lossless",
    "metadata.audio_properties.number_channels",
    "metadata.audio_properties.replay_gain",
    "metadata.audio_properties.sample_rate",
    "rhythm.beats_count",
    "rhythm.bpm",
    "rhythm.danceability",
    "rhythm.onset_rate",
    "rhythm.bpm_histogram_first_peak_bpm",
    "rhythm.bpm_histogram_first_peak_weight",
    "rhythm.bpm_histogram_second_peak_bpm",
    "rhythm.bpm_histogram_second_peak_spread",
    "rhythm.bpm_histogram_second_peak_weight",
    "tonal.chords_changes_rate",
    "tonal.chords_number_rate",
    "tonal.key_edma.strength",
    "tonal.key_krumhansl.strength",
    "tonal.key_temperley.strength",
    "tonal.tuning_diatonic_strength",
    "tonal.tuning_equal_tempered_deviation",
    "tonal.tuning_frequency",
    "tonal.tuning_nontempered_energy_ratio",
]

_CURVES = [
    "lowlevel.dissonance",
    "lowlevel.hfc",
    "lowlevel.pitch_salience",
    "lowlevel.zerocrossingrate",
    "lowlevel.loudness_ebu128.momentary",
    "lowlevel.loudness_ebu128.short_term",
    "lowlevel.silence_rate_20dB",
    "lowlevel.silence_rate_30dB",
    "lowlevel.silence_rate_60dB",
    "lowlevel.spectral_centroid",
    "lowlevel.spectral_complexity",
    "lowlevel.spectral_decrease",
    "lowlevel.spectral_energy",
    "lowlevel.spectral_energyband_high",
    "lowlevel.spectral_energyband_low",
    "lowlevel.spectral_energyband_middle_high",
    "lowlevel.spectral_energyband_middle_low",
    "lowlevel.spectral_entropy",
    "lowlevel.spectral_flux",
    "lowlevel.spectral_kurtosis",
    "lowlevel.spectral_rms",
    "lowlevel.spectral_rolloff",
    "lowlevel.spectral_skewness",
    "lowlevel.spectral_spread",
    "lowlevel.spectral_strongpeak",
    "rhythm.beats_loudness",
    "tonal.chords_strength",
    "tonal.hpcp_crest",
    "tonal.hpcp_entropy",
] + [
    f"lowlevel.{bands}_{shape}"
    for bands in ("barkbands", "erbbands", "melbands")
    for shape in _BAND_SHAPES
]

_SPECTRA = {
    "lowlevel.barkbands": 27,
    "lowlevel.erbbands": 40,
    "lowlevel.melbands": 40,
    "lowlevel.melbands128": 128,
    "lowlevel.spectral_contrast_coeffs": 6,
    "lowlevel.spectral_contrast_valleys": 6,
    "rhythm.beats_loudness_band_ratio": 6,
    "tonal.hpcp": 36,
}

_PROFILES = {"rhythm.bpm_histogram": 250, "tonal.chords_histogram": 24, "tonal.thpcp": 36}

_CEPSTRA = {"lowlevel.mfcc": 13, "lowlevel.gfcc": 13}


def descriptor_names():
    """Return the names of the descriptors, in the order in which they are always stored.

    Returns
    -------
    tuple of str
        4,374 names, such as ``rhythm.bpm``, ``lowlevel.mfcc.mean.3`` and ``lowlevel.mfcc.cov.3.7``
        (counted from 0), sorted by entry and then by index.
    """
    return tuple(
        ".".join((entry, *map(str, index)))
        for entry, shape in _entries().items()
        for index in np.ndindex(shape)
    )


def essentia_descriptors(path, max_duration=None, offset="middle"):
    """Compute the descriptors of one audio file, or of an excerpt of a long one.

    Parameters
    ----------
    path : str or pathlib.Path
        An audio file that :func:`agf.features.audio.decode` accepts. Essentia works at 44,100 Hz.
    max_duration, offset
        The excerpt, as in :func:`agf.features.audio.decode`.

    Returns
    -------
    dict of str to float
        In the order of :func:`descriptor_names`.

    Raises
    ------
    AudioError
        If the file is missing, unreadable, damaged or too short for its excerpt, if Essentia
        refuses it as silent, or if a descriptor is not finite.
    UserError
        If the installed Essentia returns other descriptors than the paper's.

    Notes
    -----
    A whole file of one or two channels is decoded by Essentia itself. An excerpt, a file of more
    channels, which are averaged to one, and a file that Essentia's decoder refuses are handed over
    as a temporary WAV of 32-bit floats at the file's own sample rate. The descriptors below
    ``metadata.audio_properties`` then describe that WAV: its bit rate, length and number of
    channels, and that it is lossless.

    Essentia fills silent frames with unseeded noise unless told to keep them, which is done here.
    Its rhythm descriptors still draw on the C library's random numbers where a track is silent in
    parts. The generator is therefore set to its initial state for every track, so that a track's
    descriptors do not depend on the tracks before it. Processors may differ in the last digits.

    References
    ----------
    D. Bogdanov et al., "ESSENTIA: an audio analysis library for music information retrieval",
    ISMIR 2013.
    """
    with open_excerpt(path, max_duration, offset) as excerpt:
        if excerpt.is_whole and excerpt.file.channels <= MOST_CHANNELS:
            try:
                return _extract(path)
            except _DecoderRefusal:
                pass
        with _as_wav(excerpt) as wav:
            try:
                return _extract(wav)
            except _DecoderRefusal as error:
                raise AudioError(f"unreadable: Essentia says: {error}") from error


class _DecoderRefusal(Exception):
    """Essentia does not read a file; the text is what it says, without the path."""


@contextmanager
def _as_wav(excerpt):
    """Yield the path of a temporary WAV file of the excerpt, of at most two channels."""
    few = excerpt.file.channels <= MOST_CHANNELS
    with tempfile.TemporaryDirectory(prefix="agf-") as folder:
        path = Path(folder) / "excerpt.wav"
        channels, rate = excerpt.file.channels if few else 1, excerpt.file.samplerate
        with soundfile.SoundFile(path, "w", rate, channels, "FLOAT") as wav:
            for block in excerpt_blocks(excerpt):
                wav.write(block if few else mean_of_channels(block))
        yield path


def _extract(path):
    """Return the descriptors of a file that Essentia can decode."""
    # Imported here because it takes a second and 100 MB that only this function needs. Its logs
    # are stopped between the two imports: the second one already writes some.
    import essentia

    essentia.log.infoActive = False
    essentia.log.warningActive = False
    import essentia.standard

    statistics = list(STATISTICS)
    extractor = essentia.standard.MusicExtractor(
        lowlevelStats=statistics,
        rhythmStats=statistics,
        tonalStats=statistics,
        mfccStats=list(CEPSTRAL_STATISTICS),
        gfccStats=list(CEPSTRAL_STATISTICS),
        lowlevelSilentFrames="keep",
        tonalSilentFrames="keep",
    )
    ctypes.CDLL(None).srand(INITIAL_SEED)
    try:
        pool, _ = extractor(str(path))
    except RuntimeError as error:
        text = str(error).replace(str(path), "the file").replace("\n", " ")
        if "completely silent" in text:
            raise AudioError(f"silent: Essentia says: {text}") from error
        raise _DecoderRefusal(text) from error
    present = set(pool.descriptorNames())
    values = {}
    for entry, shape in _entries().items():
        value = np.asarray(pool[entry], np.float64) if entry in present else None
        if value is None or value.shape != shape:
            raise UserError(
                f"Essentia {essentia.__version__} does not return {entry} of shape {shape}; "
                "install the version pinned in the lock file"
            )
        if not np.isfinite(value).all():
            raise AudioError(f"damaged: Essentia's {entry} is not finite")
        values[entry] = value.ravel()
    return dict(
        zip(descriptor_names(), np.concatenate(list(values.values())).tolist(), strict=True)
    )


@lru_cache(maxsize=1)
def _entries():
    """Return the pool's entries and their shapes, sorted by name."""
    shapes = dict.fromkeys(_SINGLE_VALUES, ())
    shapes |= {f"{curve}.{s}": () for curve in _CURVES for s in STATISTICS}
    shapes |= {f"{spectrum}.{s}": (n,) for spectrum, n in _SPECTRA.items() for s in STATISTICS}
    shapes |= {profile: (n,) for profile, n in _PROFILES.items()}
    for cepstrum, n in _CEPSTRA.items():
        shapes |= {f"{cepstrum}.mean": (n,), f"{cepstrum}.cov": (n, n), f"{cepstrum}.icov": (n, n)}
    assert sum(int(np.prod(shape)) for shape in shapes.values()) == N_DESCRIPTORS
    return dict(sorted(shapes.items()))
