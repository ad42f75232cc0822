"""What the demo corpus is made of: genres, scales, chords, rhythms and drums; and how much of it.

This module is imported whenever the workflow is read, so it needs the standard library alone.
"""

import math

from agf.errors import UserError

GENRES = {
    (21, "Hip-Hop"): {
        "subgenres": {
            100: "Alternative Hip-Hop",
            542: "Breakbeat",
            580: "Abstract Hip-Hop",
            539: "Rap",
        },
        "rhythm": ("boom bap", "half time", "breakbeat"),
        "kit": ("808", "acoustic", "909"),
        "scale": ("minor", "dorian", "phrygian"),
        "comping": ("sustained", "stabs", "offbeats"),
        "chord_voice": ("electric piano", "strings", "nylon guitar"),
        "lead_voice": ("bell", "flute", "square lead"),
        "bass_voice": ("sub bass", "fm bass", "finger bass"),
        "tempo": (78, 104),
        "brightness": (-1.6, 0.4),
        "stereo_width": (0.15, 0.6),
        "reverb": (0.05, 0.25),
        "noise_floor": (-62, -46),
    },
    (12, "Rock"): {
        "subgenres": {85: "Garage", 66: "Indie-Rock", 58: "Psych-Rock", 26: "Post-Rock"},
        "rhythm": ("backbeat", "motorik", "double time"),
        "kit": ("acoustic", "909", "acoustic"),
        "scale": ("mixolydian", "minor", "major"),
        "comping": ("eighths", "strummed", "sustained"),
        "chord_voice": ("fuzz guitar", "steel guitar", "organ"),
        "lead_voice": ("fuzz guitar", "saw lead", "steel guitar"),
        "bass_voice": ("finger bass", "saw bass", "finger bass"),
        "tempo": (104, 156),
        "brightness": (-0.8, 1.4),
        "stereo_width": (0.3, 0.9),
        "reverb": (0.1, 0.45),
        "noise_floor": (-66, -46),
    },
    (15, "Electronic"): {
        "subgenres": {181: "Techno", 182: "House", 495: "Downtempo", 236: "IDM"},
        "rhythm": ("four on the floor", "electro", "breakbeat"),
        "kit": ("909", "808", "909"),
        "scale": ("minor", "phrygian", "dorian"),
        "comping": ("fast arpeggio", "stabs", "sustained"),
        "chord_voice": ("saw pad", "electric piano", "organ"),
        "lead_voice": ("square lead", "saw lead", "bell"),
        "bass_voice": ("saw bass", "sub bass", "fm bass"),
        "tempo": (100, 138),
        "brightness": (-1.0, 1.6),
        "stereo_width": (0.5, 1.0),
        "reverb": (0.15, 0.5),
        "noise_floor": (-74, -56),
    },
    (17, "Folk"): {
        "subgenres": {
            103: "Singer-Songwriter",
            33: "Psych-Folk",
            94: "Freak-Folk",
            180: "British Folk",
        },
        "rhythm": ("no drums", "waltz", "train"),
        "kit": ("brushes", "hand drums", "acoustic"),
        "scale": ("major", "dorian", "mixolydian"),
        "comping": ("arpeggio", "strummed", "eighths"),
        "chord_voice": ("steel guitar", "nylon guitar", "organ"),
        "lead_voice": ("flute", "steel guitar", "strings"),
        "bass_voice": ("finger bass", "sub bass", "finger bass"),
        "tempo": (80, 126),
        "brightness": (-1.6, 0.8),
        "stereo_width": (0.1, 0.7),
        "reverb": (0.08, 0.4),
        "noise_floor": (-64, -44),
    },
    (4, "Jazz"): {
        "subgenres": {74: "Free-Jazz", 906: "Modern Jazz", 179: "Big Band/Swing", 97: "Jazz: Out"},
        "rhythm": ("swing ride", "boom bap", "clave"),
        "kit": ("brushes", "acoustic", "hand drums"),
        "scale": ("dorian", "mixolydian", "lydian"),
        "comping": ("stabs", "offbeats", "sustained"),
        "chord_voice": ("electric piano", "vibraphone", "organ"),
        "lead_voice": ("brass", "vibraphone", "flute"),
        "bass_voice": ("finger bass", "finger bass", "fm bass"),
        "tempo": (96, 168),
        "brightness": (-1.4, 0.4),
        "stereo_width": (0.2, 0.7),
        "reverb": (0.1, 0.35),
        "noise_floor": (-64, -48),
    },
    (2, "International"): {
        "subgenres": {504: "Latin", 92: "African", 118: "Balkan", 177: "Celtic"},
        "rhythm": ("clave", "one drop", "jig"),
        "kit": ("hand drums", "acoustic", "brushes"),
        "scale": ("mixolydian", "phrygian", "major"),
        "comping": ("offbeats", "strummed", "arpeggio"),
        "chord_voice": ("nylon guitar", "organ", "marimba"),
        "lead_voice": ("marimba", "brass", "flute"),
        "bass_voice": ("finger bass", "sub bass", "finger bass"),
        "tempo": (84, 140),
        "brightness": (-0.8, 1.0),
        "stereo_width": (0.2, 0.8),
        "reverb": (0.05, 0.35),
        "noise_floor": (-66, -46),
    },
    (1235, "Instrumental"): {
        "subgenres": {107: "Ambient", 18: "Soundtrack", 267: "New Age", 538: "Compilation"},
        "rhythm": ("sparse", "no drums", "half time"),
        "kit": ("brushes", "808", "hand drums"),
        "scale": ("lydian", "major", "minor"),
        "comping": ("sustained", "arpeggio", "fast arpeggio"),
        "chord_voice": ("saw pad", "strings", "vibraphone"),
        "lead_voice": ("bell", "strings", "electric piano"),
        "bass_voice": ("sub bass", "fm bass", "sub bass"),
        "tempo": (66, 108),
        "brightness": (-2.0, 0.4),
        "stereo_width": (0.5, 1.0),
        "reverb": (0.4, 0.9),
        "noise_floor": (-72, -52),
    },
    (38, "Experimental"): {
        "subgenres": {47: "Drone", 32: "Noise", 250: "Improv", 456: "Minimalism"},
        "rhythm": ("sparse", "electro", "jig"),
        "kit": ("hand drums", "909", "808"),
        "scale": ("phrygian", "lydian", "minor"),
        "comping": ("sustained", "fast arpeggio", "stabs"),
        "chord_voice": ("organ", "bell", "fuzz guitar"),
        "lead_voice": ("saw lead", "marimba", "bell"),
        "bass_voice": ("saw bass", "fm bass", "sub bass"),
        "tempo": (60, 150),
        "brightness": (-1.0, 2.0),
        "stereo_width": (0.4, 1.0),
        "reverb": (0.2, 0.8),
        "noise_floor": (-60, -38),
    },
}
"""FMA's genre ids and titles, and the palette a genre's groups draw their traits from.

Categorical traits are keys of the tables below and of :data:`agf.corpus.synthesis.VOICES`; the
others are ranges: tempo in quarter notes per minute, brightness in dB per octave, stereo width from
0 to 1, reverb as amplitude relative to the dry sound, noise floor in dB re full scale. Palettes
overlap on purpose.
"""

SCALES = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "phrygian": (0, 1, 3, 5, 7, 8, 10),
    "lydian": (0, 2, 4, 6, 7, 9, 11),
}
"""Semitones above the tonic of the seven degrees."""

PROGRESSIONS = {
    "I-IV-V-IV": (0, 3, 4, 3),
    "I-V-VI-IV": (0, 4, 5, 3),
    "VI-IV-I-V": (5, 3, 0, 4),
    "I-VI-IV-V": (0, 5, 3, 4),
    "I-VII-VI-VII": (0, 6, 5, 6),
    "I-IV": (0, 3, 0, 3),
    "II-V-I-VI": (1, 4, 0, 5),
    "I-III-IV-I": (0, 2, 3, 0),
}
"""Scale degrees of the chords, one per bar."""

RHYTHMS = {
    "four on the floor": {
        "kick": "X...X...X...X...",
        "snare": "....x.......x...",
        "hat": "..X...X...X...X.",
        "percussion": "...x..x....x..x.",
        "bass": "..x...x...x...x.",
    },
    "electro": {
        "kick": "X..X..X...X..X..",
        "snare": "....X.......X...",
        "hat": "x.x.x.x.x.x.x.xx",
        "percussion": "..x..x....x..x..",
        "bass": "x..x..x...x..x..",
    },
    "breakbeat": {
        "kick": "X.X.......XX....",
        "snare": "....X..x.x..X..x",
        "hat": "x.x.x.x.x.x.x.x.",
        "percussion": "......x.......x.",
        "bass": "x.x.......x...x.",
    },
    "boom bap": {
        "kick": "X......xX.x.....",
        "snare": "....X.......X...",
        "hat": "X.x.X.x.X.x.X.x.",
        "percussion": "...........x..x.",
        "bass": "x......x..x.....",
        "swing": 0.28,
    },
    "half time": {
        "kick": "X.....x....x....",
        "snare": "........X.......",
        "hat": "x.x.x.xxx.x.xxxx",
        "percussion": "....x.......x...",
        "bass": "x.....x....x....",
    },
    "backbeat": {
        "kick": "X.......X.x.....",
        "snare": "....X.......X...",
        "hat": "X.x.X.x.X.x.X.x.",
        "percussion": "................",
        "bass": "x.x.x.x.x.x.x.x.",
    },
    "motorik": {
        "kick": "X...X...X...X.x.",
        "snare": "....X.......X...",
        "hat": "x.X.x.X.x.X.x.X.",
        "percussion": "x.xxx.xxx.xxx.xx",
        "bass": "x.x.x.x.x.x.x.x.",
    },
    "double time": {
        "kick": "X...X.x.X...X.x.",
        "snare": "..X...X...X...X.",
        "hat": "X.X.X.X.X.X.X.X.",
        "percussion": "................",
        "bass": "x.x.x.x.x.x.x.x.",
    },
    "train": {
        "kick": "X...x...X...x...",
        "snare": "x.xXx.xXx.xXx.xX",
        "hat": "................",
        "percussion": "..x...x...x...x.",
        "bass": "x.......x.......",
        "swing": 0.15,
    },
    "waltz": {
        "kick": "X...........",
        "snare": "....x...x...",
        "hat": "x...x...x...",
        "percussion": "........x.x.",
        "bass": "x...........",
    },
    "jig": {
        "kick": "X.....x.....",
        "snare": "............",
        "hat": "............",
        "percussion": "X.xx.xX.xx.x",
        "bass": "x.....x.....",
    },
    "no drums": {
        "kick": "................",
        "snare": "................",
        "hat": "................",
        "percussion": "................",
        "bass": "x.........x.....",
    },
    "swing ride": {
        "kick": "x.......x.......",
        "snare": ".......x......x.",
        "hat": "X...X.x.X...X.x.",
        "percussion": "................",
        "bass": "x...x...x...x...",
        "swing": 0.33,
    },
    "clave": {
        "kick": "X..x..X.X..x..X.",
        "snare": "................",
        "hat": "x.x.x.x.x.x.x.x.",
        "percussion": "X..X..X...X.X...",
        "bass": "x..x..x.x..x..x.",
    },
    "one drop": {
        "kick": "........X.......",
        "snare": "........x.....x.",
        "hat": "..X...X...X...X.",
        "percussion": ".......x.......x",
        "bass": "..x...x.x...x...",
    },
    "sparse": {
        "kick": "X...............",
        "snare": "................",
        "hat": "......x.........",
        "percussion": "..........x..x..",
        "bass": "x...............",
    },
}
"""Sixteenth-note patterns of one bar (12 steps: three quarters): X accent, x stroke, . rest.

`swing` delays every second eighth by that share of an eighth.
"""

COMPING = {
    "sustained": "X...............",
    "strummed": "X..xx.xxX..xx.xx",
    "eighths": "X.x.X.x.X.x.X.x.",
    "offbeats": "..X...X...X...X.",
    "stabs": "X..x..X...x.....",
    "arpeggio": "X.x.x.x.X.x.x.x.",
    "fast arpeggio": "XxxxXxxxXxxxXxxx",
}
"""When the chord instrument plays; the arpeggios play one chord tone at a time."""

KITS = {
    # kick: start Hz, end Hz, decay s; snare: tone Hz, decay s, noise share; hat and percussion
    # likewise. The kits share patterns, so that a rhythm alone does not give the genre away.
    "acoustic": {"kick": (140, 52, 0.13), "snare": (190, 0.10, 0.75), "hat": 0.045, "tuned": 140},
    "808": {"kick": (120, 43, 0.38), "snare": (260, 0.13, 0.95), "hat": 0.025, "tuned": 420},
    "909": {"kick": (220, 50, 0.20), "snare": (215, 0.09, 0.65), "hat": 0.060, "tuned": 300},
    "brushes": {"kick": (90, 60, 0.09), "snare": (170, 0.17, 0.98), "hat": 0.090, "tuned": 180},
    "hand drums": {"kick": (105, 82, 0.16), "snare": (330, 0.06, 0.3), "hat": 0.030, "tuned": 230},
}
"""Parameters of the drums: Hz and seconds."""


def check_demo(settings):
    """Raise UserError, naming the key, unless the settings describe a corpus that can be drawn."""
    counts = ("tracks", "artists", "groups", "genres", "subgenres")
    known = (*counts, "min_seconds", "max_seconds", "label_noise")
    for key in known:
        value = settings.get(key)
        whole = isinstance(value, int) or key not in counts
        if isinstance(value, bool) or not isinstance(value, int | float) or not whole:
            kind = "a whole number" if key in counts else "a number"
            raise UserError(f"config key demo.{key} is {value!r}: give {kind}.")
    for key in settings:
        if key not in known:
            raise UserError(f"config key demo.{key} is unknown: use {', '.join(known)}.")
    genres, groups = settings["genres"], settings["groups"]
    most = min(len(palette["subgenres"]) for palette in GENRES.values())
    # Three artists of every genre, one for each part of the official split.
    fewest = groups * math.ceil(3 / max(1, groups // max(1, genres)))
    limits = (
        ("genres", 2, len(GENRES)),
        ("subgenres", 1, most),
        ("groups", genres, settings["artists"]),
        ("artists", fewest, settings["tracks"] // 2),
        ("tracks", 6 * genres, 100_000),
        ("min_seconds", 2, settings["max_seconds"]),
        ("max_seconds", settings["min_seconds"], 60),
        ("label_noise", 0, 0.9),
    )
    for key, low, high in limits:
        if not low <= settings[key] <= high:
            raise UserError(
                f"config key demo.{key} is {settings[key]}: give at least {low} and at most {high}"
                " with the other demo settings as they are."
            )
