"""Sound of the demo corpus: short, simple music from a dict of traits.

A clip is a chord progression played by a chord instrument, a bass, a lead and drums, mixed to
stereo with a spectral tilt, a reverb, hiss and fades. Instruments are classical: band-limited
wavetables, two-operator FM (Chowning, 1973) and plucked strings (Karplus and Strong, 1983).
"""

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft
from scipy.signal import lfilter

from agf.corpus.palettes import COMPING, KITS, PROGRESSIONS, RHYTHMS, SCALES
from agf.keyed_random import generator

SAMPLE_RATE = 44_100
"""Samples per second of every clip."""

PEAK = 0.5
"""Ceiling of the limiter: as far below full scale as mp3 may overshoot a limited peak."""

TABLE_SIZE = 4096


def _decay(n, seconds):
    """Return exp(-t / seconds) for `n` samples."""
    return np.exp(np.arange(n, dtype=np.float32) * np.float32(-1.0 / (seconds * SAMPLE_RATE)))


def _gate(sound, attack=0.005, release=0.03):
    """Ramp a note up and down, so that it neither starts nor ends with a click."""
    n = len(sound)
    up, down = (min(n // 2, int(seconds * SAMPLE_RATE)) for seconds in (attack, release))
    sound[:up] *= np.linspace(0, 1, up, dtype=np.float32)
    sound[n - down :] *= np.linspace(1, 0, down, dtype=np.float32)
    return sound


def _cycles(frequency, n, vibrato=0.0):
    """Return the phase of an oscillator in cycles; `vibrato` is its depth in semitones."""
    t = np.arange(n) / SAMPLE_RATE
    cycles = frequency * t
    if vibrato:
        rate = 5.3
        depth = vibrato * np.log(2) / 12 * frequency / (2 * np.pi * rate)
        cycles += depth * (1 - np.cos(2 * np.pi * rate * t)) * np.minimum(1, t / 0.25)
    return cycles


def _table(frequency, amplitudes):
    """Return one period of a band-limited wave whose harmonics have these amplitudes."""
    spectrum = np.zeros(TABLE_SIZE // 2 + 1, dtype=np.complex64)
    count = max(1, min(len(amplitudes), int(0.4 * SAMPLE_RATE / frequency)))
    spectrum[1 : count + 1] = -1j * np.asarray(amplitudes[:count]) * TABLE_SIZE / 2
    return irfft(spectrum, TABLE_SIZE)


def _play(table, cycles):
    return table[(cycles * TABLE_SIZE).astype(np.int64) & (TABLE_SIZE - 1)]


def _rolloff(exponent, harmonics=48, odd=False):
    """Return amplitudes 1/h**exponent: 1 is a saw (odd: a square), larger is duller."""
    h = np.arange(1, harmonics + 1, dtype=np.float64)
    return h**-exponent * ((h % 2 == 1) if odd else 1)


def _plucked(frequency, n, rng, loss=0.5, sustain=1.4):
    """Return a plucked string: a period of noise, low-passed once per period.

    Karplus and Strong's loop, solved per harmonic: after k periods the averaging filter has
    multiplied harmonic h by cos(pi h / N)**k. `loss` is the filter's strength (1: theirs).
    """
    period = max(8, int(SAMPLE_RATE / frequency))
    periods = int(n * frequency / SAMPLE_RATE) + 2
    pluck = lfilter([1 - loss * 0.6], [1, -loss * 0.6], rng.uniform(-1, 1, period))
    spectrum = rfft(pluck.astype(np.float32))
    # A stroke near the bridge: the same comb for every note, hence a recognisable instrument.
    h = np.arange(len(spectrum), dtype=np.float32)
    spectrum *= np.sin(np.pi * h * 0.17) + 0.1
    fall = loss * np.log(np.maximum(np.cos(np.pi * h / period), 1e-3)) - 1 / (sustain * frequency)
    decays = np.exp(np.arange(periods, dtype=np.float32)[:, None] * fall.astype(np.float32))
    string = irfft(spectrum * decays, period, axis=1).ravel()
    at = np.arange(n) * (frequency * period / SAMPLE_RATE)
    low = at.astype(np.int64)
    part = (at - low).astype(np.float32)
    sound = string[low] * (1 - part) + string[low + 1] * part
    return sound / (np.abs(sound[: 4 * period]).max() + 1e-6)


def _fm(frequency, n, ratio, index, index_decay, decay):
    """Return a two-operator FM tone: modulator at `ratio`, index falling from `index`."""
    carrier = (2 * np.pi * (_cycles(frequency, n) % 1)).astype(np.float32)
    modulator = (2 * np.pi * (_cycles(frequency * ratio, n) % 1)).astype(np.float32)
    bend = np.float32(index) * _decay(n, index_decay) * np.sin(modulator)
    return np.sin(carrier + bend) * _decay(n, decay)


def _steel_guitar(frequency, n, rng):
    return _gate(_plucked(frequency, n, rng, loss=0.35, sustain=1.6), 0.001)


def _nylon_guitar(frequency, n, rng):
    return _gate(_plucked(frequency, n, rng, loss=0.95, sustain=0.9), 0.002)


def _fuzz_guitar(frequency, n, rng):
    string = _plucked(frequency, n, rng, loss=0.5, sustain=3.0)
    fifth = _play(_table(1.5 * frequency, _rolloff(1.2, 16)), _cycles(1.498 * frequency, n))
    return _gate(np.tanh(7 * string + 1.5 * fifth * _decay(n, 1.0)) * 0.6, 0.002)


def _electric_piano(frequency, n, rng):
    body = _fm(frequency, n, 1.0, 1.3, 0.5, 0.9)
    return _gate(body + 0.12 * _fm(frequency, n, 7.0, 0.8, 0.1, 0.12), 0.002, 0.06)


def _vibraphone(frequency, n, rng):
    tremolo = 1 + 0.25 * np.sin(2 * np.pi * 4.7 * np.arange(n, dtype=np.float32) / SAMPLE_RATE)
    return _gate(_fm(frequency, n, 4.0, 0.9, 0.15, 1.1) * tremolo, 0.002, 0.1)


def _bell(frequency, n, rng):
    return _gate(_fm(frequency, n, 3.53, 2.6, 0.6, 0.8), 0.001, 0.1)


def _marimba(frequency, n, rng):
    return _gate(_fm(frequency, n, 3.9, 1.2, 0.04, 0.2), 0.001)


def _organ(frequency, n, rng):
    drawbars = (0.9, 0.7, 0.5, 0.5, 0.05, 0.3, 0.02, 0.25)
    return _gate(0.45 * _play(_table(frequency, drawbars), _cycles(frequency, n, 0.12)), 0.01)


def _saw_pad(frequency, n, rng):
    table = _table(frequency, _rolloff(1.25))
    start = rng.random(3)
    voices = [
        _play(table, _cycles(frequency * 2 ** (cents / 1200), n) + phase)
        for cents, phase in zip((-9, 1, 11), start, strict=True)
    ]
    return _gate(0.35 * sum(voices), 0.12, 0.15)


def _strings(frequency, n, rng):
    table = _table(frequency, _rolloff(1.6) * (1 + 0.5 * np.cos(np.arange(48))))
    first = _play(table, _cycles(frequency * 1.003, n, 0.18))
    return _gate(0.5 * (first + _play(table, _cycles(frequency, n, 0.1) + rng.random())), 0.1, 0.12)


def _square_lead(frequency, n, rng):
    table = _table(frequency, _rolloff(1.0, odd=True))
    return _gate(0.6 * _play(table, _cycles(frequency, n, 0.2)) * _decay(n, 1.5), 0.004)


def _saw_lead(frequency, n, rng):
    table = _table(frequency, _rolloff(1.05))
    double = _play(table, _cycles(frequency, n, 0.15)) + _play(table, _cycles(frequency * 1.006, n))
    return _gate(0.4 * double, 0.008, 0.05)


def _flute(frequency, n, rng):
    tone = _play(_table(frequency, (1, 0.22, 0.12, 0.04)), _cycles(frequency, n, 0.22))
    breath = lfilter([0.3], [1, -0.7], rng.standard_normal(n).astype(np.float32))
    return _gate(0.9 * tone + 0.06 * breath.astype(np.float32), 0.05, 0.07)


def _brass(frequency, n, rng):
    cycles = _cycles(frequency, n, 0.1)
    swell = np.minimum(1, np.arange(n, dtype=np.float32) / (0.09 * SAMPLE_RATE)) * _decay(n, 0.8)
    dark = _play(_table(frequency, _rolloff(2.2)), cycles)
    return _gate(0.7 * (dark + swell * _play(_table(frequency, _rolloff(0.9, 20)), cycles)), 0.03)


def _sub_bass(frequency, n, rng):
    table = _table(frequency, (1, 0.12, 0.04))
    return _gate(_play(table, _cycles(frequency, n)) * _decay(n, 1.2), 0.008, 0.04)


def _finger_bass(frequency, n, rng):
    return _gate(_plucked(frequency, n, rng, loss=1.0, sustain=1.2), 0.003, 0.04)


def _saw_bass(frequency, n, rng):
    cycles = _cycles(frequency, n)
    bright = _play(_table(frequency, _rolloff(1.0)), cycles) * _decay(n, 0.12)
    return _gate(0.6 * (bright + _play(_table(frequency, _rolloff(1.9)), cycles)), 0.003)


def _fm_bass(frequency, n, rng):
    return _gate(_fm(frequency, n, 2.0, 2.2, 0.15, 0.7), 0.003)


VOICES = {
    "steel guitar": _steel_guitar,
    "nylon guitar": _nylon_guitar,
    "fuzz guitar": _fuzz_guitar,
    "electric piano": _electric_piano,
    "vibraphone": _vibraphone,
    "bell": _bell,
    "marimba": _marimba,
    "organ": _organ,
    "saw pad": _saw_pad,
    "strings": _strings,
    "square lead": _square_lead,
    "saw lead": _saw_lead,
    "flute": _flute,
    "brass": _brass,
    "sub bass": _sub_bass,
    "finger bass": _finger_bass,
    "saw bass": _saw_bass,
    "fm bass": _fm_bass,
}
"""Instruments: functions of frequency (Hz), number of samples and a random generator."""


def _drum(kit, part, rng):
    """Return one stroke of a drum, peak about 1."""
    settings = KITS[kit]
    if part == "kick":
        high, low, decay = settings["kick"]
        n = int(4 * decay * SAMPLE_RATE)
        t = np.arange(n, dtype=np.float32) / SAMPLE_RATE
        cycles = low * t + (high - low) * 0.03 * (1 - np.exp(-t / 0.03))
        return _gate(np.sin(2 * np.pi * cycles) * _decay(n, decay), 0.001, 0.02)
    if part == "snare":
        tone, decay, noisy = settings["snare"]
        n = int(5 * decay * SAMPLE_RATE)
        noise = rng.standard_normal(n).astype(np.float32) * 0.35
        t = np.arange(n, dtype=np.float32) / SAMPLE_RATE
        body = np.sin(2 * np.pi * tone * t) * _decay(n, decay / 2)
        return _gate(noisy * noise * _decay(n, decay) + (1 - noisy) * body, 0.001, 0.02)
    if part == "hat":
        n = int(6 * settings["hat"] * SAMPLE_RATE)
        noise = rng.standard_normal(n + 2).astype(np.float32)
        # x[t] - x[t - 2] peaks at a quarter of the rate, 11 kHz: metal, and below mp3's cut-off.
        return _gate(0.35 * (noise[2:] - noise[:-2]) * _decay(n, settings["hat"]), 0.0005, 0.01)
    n = int(0.3 * SAMPLE_RATE)
    return _gate(_fm(settings["tuned"], n, 1.48, 0.7, 0.02, 0.07), 0.001, 0.02)


def _strokes(pattern, bars):
    """Yield (bar, step, level) of every stroke of a bar's pattern."""
    for bar in range(bars):
        for step, sign in enumerate(pattern):
            if sign != ".":
                yield bar, step, 1.0 if sign == "X" else 0.65


def _melody(rng, bars, steps, chords):
    """Return (bar, step, length in steps, scale degree) of a two-bar phrase and its returns.

    The phrase wanders by small intervals and rests on a chord tone at the start of a bar; every
    return is sung over the chords of its own bars.
    """
    phrase, degree = [], int(rng.integers(4, 10))
    for bar in range(2):
        step = int(rng.choice([0, 0, 2]))
        while step < steps:
            length = int(rng.choice([1, 2, 2, 2, 4, 4, 6]))
            degree = int(np.clip(degree + rng.choice([-3, -2, -1, -1, 0, 1, 1, 2, 3]), 2, 12))
            if rng.random() < 0.8:
                phrase.append((bar, step, min(length, steps - step), degree))
            step += length
    notes = []
    for start in range(0, bars, 2):
        for bar, step, length, degree in phrase:
            if start + bar >= bars:
                continue
            if step == 0:
                tones = chords[(start + bar) % len(chords)] + np.array([0, 2, 4, 7, 9])
                degree = int(tones[np.abs(tones - degree).argmin()])
            notes.append((start + bar, step, length, degree))
    return notes


def _frequency(tonic, scale, degree, octave):
    """Return Hz of a scale degree (0 the tonic, 7 its octave) above C of `octave`."""
    octaves, within = divmod(degree, 7)
    return 440.0 * 2 ** ((12 * (octave + octaves - 4) + tonic + SCALES[scale][within] - 9) / 12)


def _perform(style, rng, n):
    """Return the instruments' sound by name, each a float32 array of `n` samples."""
    rhythm = RHYTHMS[style["rhythm"]]
    steps = len(rhythm["kick"])
    sixteenth = 15.0 / style["tempo"]
    bars = int(np.ceil(n / SAMPLE_RATE / (steps * sixteenth)))
    chords = PROGRESSIONS[style["progression"]]
    tracks = {}
    notes = {}

    def place(instrument, sound, bar, step, level):
        late = rhythm.get("swing", 0.0) * 2 * sixteenth if step % 4 == 2 else 0.0
        human = rng.normal(0, 0.004)
        start = int(max(0.0, (bar * steps + step) * sixteenth + late + human) * SAMPLE_RATE)
        into = tracks.setdefault(instrument, np.zeros(n, dtype=np.float32))
        end = min(n, start + len(sound))
        if start < end:
            into[start:end] += np.float32(level * rng.uniform(0.85, 1.0)) * sound[: end - start]

    def note(voice, degree, octave, length):
        # A part repeats few notes many times: each is made once per clip.
        key = (voice, degree, octave, length)
        if key not in notes:
            frequency = _frequency(style["tonic"], style["scale"], degree, octave)
            samples = int(length * sixteenth * SAMPLE_RATE)
            notes[key] = VOICES[voice](frequency, samples, rng).astype(np.float32)
        return notes[key]

    for part in ("kick", "snare", "hat", "percussion"):
        stroke = _drum(style["kit"], part, rng)
        for bar, step, level in _strokes(rhythm[part], bars):
            place(part, stroke, bar, step, level)
        if part == "snare" and "X" in rhythm[part]:
            # A fill leads out of every fourth bar.
            for bar in range(3, bars, 4):
                place(part, stroke, bar, steps - 2, 0.5)
                place(part, stroke, bar, steps - 1, 0.65)

    comping = COMPING[style["comping"]][:steps]
    hits = [step for step, sign in enumerate(comping) if sign != "."]
    for bar, step, level in _strokes(comping, bars):
        root = chords[bar % len(chords)]
        following = min([hit for hit in hits if hit > step], default=steps)
        if "arpeggio" in style["comping"]:
            tone = root + (0, 2, 4, 7, 4, 2)[hits.index(step) % 6]
            place("chords", note(style["chord_voice"], tone, 4, 3), bar, step, level)
            continue
        for tone in (root - 7 * (root > 3), root + 2, root + 4):
            sound = note(style["chord_voice"], tone, 4, following - step)
            place("chords", sound, bar, step, 0.6 * level)

    strokes = [step for step, sign in enumerate(rhythm["bass"]) if sign != "."]
    for bar, step, level in _strokes(rhythm["bass"], bars):
        root = chords[bar % len(chords)]
        tone = root + (4 if step == strokes[-1] and bar % 2 else 0) - 7 * (root > 3)
        following = min([stroke for stroke in strokes if stroke > step], default=steps)
        place(
            "bass", note(style["bass_voice"], tone, 2, min(8, following - step)), bar, step, level
        )

    for bar, step, length, degree in _melody(rng, bars, steps, chords):
        place("lead", note(style["lead_voice"], degree, 4, length), bar, step, 0.9)
    return tracks


LEVELS = {
    "kick": 0.9,
    "snare": 0.6,
    "hat": 0.3,
    "percussion": 0.3,
    "bass": 0.6,
    "chords": 0.45,
    "lead": 0.45,
}
"""Balance of the mix, as peak amplitude of a stroke or note."""

PLACES = {"hat": 0.5, "percussion": -0.7, "chords": -0.45, "lead": 0.3}
"""Places in the stereo image, -1 left to 1 right, at full stereo width; others in the centre."""


def _mix(tracks, style, rng, n):
    """Return the stereo mix of the instruments, shape (2, n), with reverb, tilt and hiss."""
    dry = np.zeros((2, n), dtype=np.float32)
    for instrument, sound in tracks.items():
        # Equal-power panning.
        angle = (1 + PLACES.get(instrument, 0.0) * style["stereo_width"]) * np.pi / 4
        gains = np.float32(LEVELS[instrument]) * np.array([np.cos(angle), np.sin(angle)])
        dry += gains.astype(np.float32)[:, None] * sound

    tail = int(1.2 * SAMPLE_RATE)
    room = rng.standard_normal((2, tail)).astype(np.float32) * _decay(tail, 0.25)
    centre = room.mean(axis=0)
    room = centre + np.float32(style["stereo_width"]) * (room - centre)
    room[:, : int(0.012 * SAMPLE_RATE)] = 0
    room *= np.float32(style["reverb"]) / np.sqrt((room**2).sum(axis=1, keepdims=True))
    room[:, 0] = 1

    # One transform for both the room and the tone of the recording.
    length = next_fast_len(n + tail, real=True)
    frequency = np.fft.rfftfreq(length, 1 / SAMPLE_RATE).clip(60, 14_000)
    tilt = (frequency / 800) ** (style["brightness"] / 20 / np.log10(2))
    spectrum = rfft(dry, length) * rfft(room, length) * tilt.astype(np.float32)
    wet = irfft(spectrum, length)[:, :n]

    wet *= np.float32(10 ** (style["loudness"] / 20)) / np.sqrt((wet**2).mean())
    hiss = lfilter([0.5], [1, -0.5], rng.standard_normal((2, n)).astype(np.float32))
    return wet + np.float32(10 ** (style["noise_floor"] / 20)) * hiss.astype(np.float32)


def render_clip(style, seed, track_id):
    """Return one clip of music.

    Parameters
    ----------
    style : mapping
        The clip's traits: `duration` (s), `tempo` (quarter notes per minute), `tonic` (semitones
        above C), `scale`, `progression`, `rhythm`, `comping`, `kit`, `chord_voice`, `lead_voice`,
        `bass_voice` (keys of this module's tables), `brightness` (spectral tilt, dB per octave),
        `stereo_width` (0 mono to 1), `reverb` (amplitude relative to the dry sound),
        `noise_floor` and `loudness` (RMS, dB re full scale).
    seed : int
        The corpus' seed.
    track_id : int
        The track; every random draw is keyed by it and the seed.

    Returns
    -------
    numpy.ndarray
        Shape (samples, 2), float32, at 44,100 Hz; no sample exceeds :data:`PEAK`.
    """
    rng = generator(seed, "demo", "clip", track_id)
    n = round(style["duration"] * SAMPLE_RATE)
    stereo = _mix(_perform(style, rng, n), style, rng, n)
    stereo = np.float32(PEAK) * np.tanh(stereo / np.float32(PEAK))
    return np.ascontiguousarray(_fade(stereo).T)


def _fade(stereo, fade_in=0.05, fade_out=0.5):
    """Fade the clip in and out, in seconds."""
    n_in, n_out = int(fade_in * SAMPLE_RATE), int(fade_out * SAMPLE_RATE)
    stereo[:, :n_in] *= np.linspace(0, 1, n_in, dtype=np.float32)
    stereo[:, -n_out:] *= np.linspace(1, 0, n_out, dtype=np.float32)
    return stereo
