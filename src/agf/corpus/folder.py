"""A folder of tagged music files as a corpus.

Every file that :func:`agf.corpus.audio_files.find_audio` lists is one track. What is known of it
comes from its tags, or from the user's CSV file of tags, whose filled cells go before the tags:

artist
    The artist tag, else the album artist. A name that stands for many or for nobody
    (:data:`COLLECTIVE_ARTISTS`: "Various Artists", "VA", "Unknown Artist" ...) is no artist in
    either place. Of several values in one tag the first artist counts; one text is never divided.
    Without an artist the track is rejected: "no artist".
genre
    All values of the genre tag, each divided at ";". The first is the track's top genre; the others
    are kept beside it. "/" and "," divide nothing, since "Old-Time / Historic" is one genre.
    Numbers of ID3's list ("17", "(17)") become names. :data:`NO_GENRES` ("Other", which
    many programs write by default, "Unknown", "None" ...) say nothing and count as no genre; who
    means them as a class has to call it by another name. Without a genre: "no genre".
album
    The album tag. Albums of one title are told apart by the album artist, else the artist. May be
    missing.
title
    The title tag, else the file's name without its suffix.

Texts are brought to Unicode's NFC; runs of white space, line breaks and control characters become
one space. Artists, albums and genres that differ only in case or white space are the same one,
shown in the spelling that most files have, the first in order of paths where two are equally
frequent.

Ids are hashes: of the path for a track, of the name for an artist or a genre, of artist and title
for an album. So a file that is added or removed changes the id of no other track; a file that is
tagged or encoded anew is the same track, one that is moved or renamed another.
"""

import csv
import hashlib
import logging
import math
import os
import posixpath
import unicodedata
from collections import Counter
from pathlib import Path

import mutagen
import mutagen.id3
import mutagen.mp3
import mutagen.mp4
import mutagen.wave
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import soundfile

from agf.corpus.audio_files import (
    DRIVE_ERRORS,
    AudioFile,
    lost_file,
    printable,
    suffix_of,
)
from agf.errors import UserError
from agf.files import write_parquet
from agf.progress import progress

logger = logging.getLogger(__name__)

TAGS = ("artist", "album_artist", "album", "genre", "title")
"""What is read of every file, and the columns a file of tags may have beside ``path``."""

COLLECTIVE_ARTISTS = frozenset(
    {
        *("various artists", "various artist", "various", "va", "v.a.", "v. a.", "v/a"),
        *("multiple artists", "diverse artists", "verschiedene interpreten", "diverse interpreten"),
        *("artistes divers", "artisti vari", "varios artistas", "vários artistas"),
        *("unknown artist", "<unknown artist>", "[unknown artist]", "unknown artists"),
        *("unknown", "<unknown>", "[unknown]", "no artist", "[no artist]", "none", "n/a"),
    }
)
"""Casefolded names that are nobody's."""

NO_GENRES = frozenset(
    {
        *("other", "unknown", "<unknown>", "[unknown]", "unknown genre", "unclassifiable"),
        *("none", "no genre", "undefined", "n/a", "misc", "miscellaneous"),
    }
)
"""Casefolded genres that say nothing. "Other" is number 12 of ID3's list."""

ID3_KEYS = {
    "artist": ("TPE1",),
    "album_artist": ("TPE2",),
    "album": ("TALB",),
    "genre": ("TCON",),
    "title": ("TIT2",),
}
MP4_KEYS = {
    "artist": ("\xa9ART",),
    "album_artist": ("aART",),
    "album": ("\xa9alb",),
    "genre": ("\xa9gen",),
    "title": ("\xa9nam",),
}
VORBIS_KEYS = {
    "artist": ("artist",),
    "album_artist": ("albumartist", "album artist", "album_artist"),
    "album": ("album",),
    "genre": ("genre",),
    "title": ("title",),
}
"""Where each format keeps a tag; the first place that is filled counts."""

CACHE_SCHEMA = pa.schema(
    [
        ("path", pa.string()),
        ("size", pa.int64()),
        ("mtime_ns", pa.int64()),
        *((tag, pa.string()) for tag in TAGS),
        ("length", pa.float64()),
        ("problem", pa.string()),
        ("tag_problem", pa.string()),
    ],
    # Another version of a library may read what this one could not.
    metadata={
        "readers": f"mutagen {mutagen.version_string}, "
        f"libsndfile {soundfile.__libsndfile_version__}",
    },
)
"""``problem`` makes a file useless; for ``tag_problem`` the file of tags can make up."""

STREAMED_WAV_BYTES = 0x7FFF0000
"""A WAV written to a pipe promises 2 GiB or 4 GiB of samples, since its length was not known."""

SEPARATOR = "\0"
"""Between the values of one tag; no tag has it inside a value."""

_BLANKS = dict.fromkeys([*range(32), *range(127, 160), 0xFEFF], " ")


def read_folder(tree, files, tags_file, cache):
    """Make tracks and genres of a folder of tagged music files.

    Parameters
    ----------
    tree : str or pathlib.Path
        The folder.
    files : list of agf.corpus.audio_files.AudioFile
        Its audio files.
    tags_file : str or pathlib.Path, or None
        CSV in UTF-8 with the column ``path`` (relative to `tree`) and any of :data:`TAGS`. A filled
        cell goes before the tag; an empty one leaves it.
    cache : str or pathlib.Path
        Parquet file that remembers the tags of files whose size and time have not changed.

    Returns
    -------
    tracks : pandas.DataFrame
        One row for each of `files` and each row of `tags_file` without a file, sorted by
        ``track_id``, with the columns of ``corpus/scan.parquet``. ``duration`` is in seconds by the
        file's header, NaN where that does not say; ``reason`` is None for a usable track.
    genres : pandas.DataFrame
        ``genre_id``, ``title``, ``parent`` (0) and ``top_level`` (the genre itself) of every genre
        seen, sorted by ``genre_id``.

    Raises
    ------
    UserError
        Where `tags_file` is not as described, or two names lead to one id.

    Notes
    -----
    A track is rejected as ``unreadable`` (empty, neither tags nor header to be understood while
    `tags_file` does not give artist and genre, M4A where libsndfile lacks a decoder for it, a name
    that is not valid UTF-8), ``no artist``, ``no genre`` or ``missing`` (a row of `tags_file`
    without a file).
    """
    overrides = read_tags_file(tags_file) if tags_file else {}
    files = sorted(files)
    rows = [
        _track(file.path, record, overrides.get(_key(file.path), {}))
        for file, record in zip(files, _read_files(Path(tree), files, Path(cache)), strict=True)
    ]
    missing = sorted(overrides.keys() - {row["key"] for row in rows})
    rows += [
        _track(key, _record(), overrides[key]) | {"reason": "missing: no such file"}
        for key in missing
    ]
    tracks, genres = _tables(rows)
    if len(tracks) != len(files) + len(missing):
        raise RuntimeError(f"{len(files)} files, {len(missing)} missing, {len(tracks)} tracks")
    return tracks, genres


def read_tags_file(path):
    """Read the user's CSV file of tags.

    Parameters
    ----------
    path : str or pathlib.Path
        CSV in UTF-8, with or without a byte order mark.

    Returns
    -------
    dict of str to dict
        For each path, in NFC, the filled cells by tag.

    Raises
    ------
    UserError
        Where the file is not UTF-8 or not CSV, a column is unknown, twice there or ``path`` is not,
        or a row has another number of cells, no relative path, or the path of an earlier row.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = [name.strip() for name in next(reader, [])]
            _check_header(header, path)
            tags = {}
            for cells in reader:
                if cells:
                    key, given = _tags_row(cells, header, f"{path}, line {reader.line_num}")
                    if key in tags:
                        raise UserError(
                            f"{path}, line {reader.line_num}: {key!r} has a row already; keep one."
                        )
                    tags[key] = given
    except OSError as error:
        raise UserError(f"tags_file {path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8; save it as CSV in UTF-8.") from error
    except csv.Error as error:
        raise UserError(f"{path}, line {reader.line_num}: {error}; mend the quotes.") from error
    return tags


def stable_id(text):
    """Return the first 52 bits of the text's sha256: every table and language holds them exactly.

    Parameters
    ----------
    text : str
        May have surrogates for bytes that are not UTF-8.
    """
    return int(hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:13], 16)


def _check_header(header, path):
    known = ", ".join(("path", *TAGS))
    unknown = [name for name in header if name not in ("path", *TAGS)]
    if "path" not in header:
        raise UserError(
            f"{path} has no column 'path'; its columns, by commas, are some of {known}."
        )
    if unknown:
        raise UserError(f"{path} has the unknown column {unknown[0]!r}; known are {known}.")
    if len(set(header)) < len(header):
        twice = next(name for name in header if header.count(name) > 1)
        raise UserError(f"{path} has the column {twice!r} twice; keep one.")


def _tags_row(cells, header, where):
    if len(cells) != len(header):
        raise UserError(
            f"{where}: {len(cells)} cells under {len(header)} columns; put texts with commas in "
            "double quotes."
        )
    row = dict(zip(header, cells, strict=True))
    path = row.pop("path")
    if not path.strip() or path.startswith("/"):
        raise UserError(f"{where}: the path {path!r} must be relative to the folder of music.")
    given = {tag: cell for tag, cell in row.items() if _clean(cell)}
    return _key(posixpath.normpath(path)), given


def _key(path):
    """Return the path as it is hashed and compared: one name for both ways to encode accents."""
    return unicodedata.normalize("NFC", path)


def _record(tags=None, length=math.nan, problem=None, tag_problem=None):
    """Return what is known of one file, as in the cache."""
    known = {tag: (tags or {}).get(tag) for tag in TAGS}
    return known | {"length": length, "problem": problem, "tag_problem": tag_problem}


def _read_files(tree, files, cache):
    """Return one record for each of `files`; those that have not changed come from the cache."""
    known = _read_cache(cache)
    records, lasting, n_read = [], [], 0
    for file in progress(files, "tags"):
        record, lasts = known.get(file), True
        if printable(file.path) != file.path:
            record, lasts = _record(problem="its name is not valid UTF-8; rename it"), False
        elif record is None:
            record, lasts = _read_file(tree / file.path)
            n_read += 1
        records.append(record)
        if lasts:
            lasting.append(file._asdict() | record)
    logger.info("tags: %d files read anew, %d in all", n_read, len(files))
    write_parquet(pa.Table.from_pylist(lasting, schema=CACHE_SCHEMA), cache)
    return records


def _read_cache(cache):
    if not cache.is_file():
        return {}
    try:
        table = pq.read_table(cache)
    except (pa.ArrowInvalid, OSError) as error:
        logger.warning("%s is damaged (%s): all tags are read again", cache, error)
        return {}
    if not table.schema.equals(CACHE_SCHEMA, check_metadata=True):
        logger.info("%s was made by other versions: all tags are read again", cache)
        return {}
    rows = table.to_pylist()
    return {tuple(row.pop(name) for name in AudioFile._fields): row for row in rows}


def _read_file(path):
    """Return the record of one file, and whether it lasts as long as the file does not change."""
    try:
        if path.stat().st_size == 0:
            return _record(problem="the file is empty"), True
        if suffix_of(path.name) == ".m4a" and _is_mp4(path) and not _decodes(path):
            problem = "m4a cannot be decoded here, convert it to flac or wav"
            return _record(problem=problem), True
        parsed = mutagen.File(path)
        if parsed is None:
            return _record(tag_problem="neither audio nor tags are recognised in it"), True
        return _record(_tags_of(parsed, path), _length_of(parsed, path)), True
    # A file may hold anything, and the parsers let all kinds of exceptions through; none of them
    # may end the scan of a whole collection.
    except Exception as error:
        failure = _system_error(error)
        if failure and failure.errno in DRIVE_ERRORS:
            raise lost_file(path, failure) from error
        if failure:
            logger.warning("%r cannot be opened: %s", str(path), failure.strerror)
            return _record(problem=failure.strerror), False
        message = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        logger.warning("%r: its tags or its header cannot be read: %s", str(path), message)
        return _record(tag_problem=f"its tags or its header cannot be read ({message})"), True


def _system_error(error):
    """Return the file system's error behind an exception, if any; only those have a number."""
    while error is not None:
        if isinstance(error, OSError) and error.errno is not None:
            return error
        error = error.__context__
    return None


def _is_mp4(path):
    with open(path, "rb") as file:
        return b"ftyp" in file.read(128)


def _decodes(path):
    try:
        soundfile.SoundFile(path).close()
    except soundfile.LibsndfileError:
        return False
    return True


def _tags_of(parsed, path):
    """Return the filled tags of a parsed file as text, values divided by the separator."""
    tags, keys = parsed.tags or {}, VORBIS_KEYS
    if isinstance(tags, mutagen.id3.ID3):
        keys = ID3_KEYS
    elif isinstance(tags, mutagen.mp4.MP4Tags):
        keys = MP4_KEYS
    given = _riff_info(path) if isinstance(parsed, mutagen.wave.WAVE) else {}
    for tag, places in keys.items():
        for place in places:
            frame = tags.get(place)
            text = SEPARATOR.join(map(str, getattr(frame, "text", frame) or []))
            if _values(text):
                given[tag] = text
                break
    return given


def _riff_info(path):
    """Return the tags in a WAV file's INFO list, which mutagen does not read."""
    try:
        with soundfile.SoundFile(path) as file:
            info = file.copy_metadata()
    except (soundfile.LibsndfileError, UnicodeDecodeError) as error:
        logger.warning("%r: its RIFF INFO tags cannot be read: %s", str(path), error)
        return {}
    return {tag: info[tag] for tag in TAGS if tag in info}


def _length_of(parsed, path):
    info = parsed.info
    length = getattr(info, "length", 0)
    # Without a Xing or VBRI header mutagen divides the size by the first frame's bit rate. Where
    # the rate varies that can be many times the true length, and the whole track would be taken
    # for truncated once a decoder comes to its end.
    unknown = mutagen.mp3.BitrateMode.UNKNOWN
    if isinstance(parsed, mutagen.mp3.MP3) and info.bitrate_mode == unknown:
        return math.nan
    if isinstance(parsed, mutagen.wave.WAVE):
        promised = length * info.bitrate / 8
        if promised >= STREAMED_WAV_BYTES and promised > path.stat().st_size:
            return math.nan
    return float(length) if length > 0 and math.isfinite(length) else math.nan


def _track(path, record, given):
    """Return one track by the rule of this module, its names not yet in their common spelling."""
    tags = {tag: _values(given.get(tag) or record[tag] or "") for tag in TAGS}
    artist = _first_artist(tags["artist"] + tags["album_artist"])
    texts = [_clean(part) for value in tags["genre"] for part in value.split(";")]
    if "genre" not in given:
        # Numbers stand for names in tags only: who writes 1980 into the CSV file means it.
        texts = mutagen.id3.TCON(encoding=3, text=texts).genres
    genres = _genres(texts)
    album = next(iter(tags["album"]), None)
    stem = os.path.splitext(posixpath.basename(printable(path)))[0]
    return {
        "key": _key(path),
        "path": printable(path),
        "artist": artist,
        "album": album,
        "album_artist": next(iter(tags["album_artist"]), artist),
        "title": next(iter(tags["title"]), None) or _clean(stem) or None,
        "genres": genres,
        "duration": record["length"],
        "reason": _reason(record, given, artist, genres),
    }


def _reason(record, given, artist, genres):
    if record["problem"]:
        return f"unreadable: {record['problem']}"
    if record["tag_problem"] and not (artist and genres):
        return f"unreadable: {record['tag_problem']}"
    if not artist:
        return "no artist" if genres else "no artist: and no genre"
    return None if genres else "no genre"


def _first_artist(names):
    return next((name for name in names if _fold(name) not in COLLECTIVE_ARTISTS), None)


def _genres(texts):
    """Return the genres among `texts` that say something, each once, in their order."""
    names = {}
    for name in map(_clean, texts):
        if name and _fold(name) not in NO_GENRES:
            names.setdefault(_fold(name), name)
    return list(names.values())


def _values(text):
    """Return the filled values of one tag."""
    return [value for value in map(_clean, text.split(SEPARATOR)) if value]


def _clean(text):
    return " ".join(unicodedata.normalize("NFC", text).translate(_BLANKS).split())


def _fold(text):
    return unicodedata.normalize("NFC", text.casefold())


def _tables(rows):
    """Return the frames of tracks and genres, with ids and every name in its common spelling."""
    track_ids = _ids([row["key"] for row in rows], "paths")
    if len(track_ids) < len(rows):
        twice = Counter(row["key"] for row in rows).most_common(1)[0][0]
        raise UserError(
            f"Two files have the name {twice!r}, with accents encoded in two ways; rename one."
        )
    artists = [row["artist"] and (_fold(row["artist"]), row["artist"]) for row in rows]
    albums = [_album(row) for row in rows]
    genres = [[(_fold(name), name) for name in row["genres"]] for row in rows]
    artist_ids, artist_names = _ids_and_names(artists, "artists")
    album_ids, album_names = _ids_and_names(albums, "albums")
    genre_ids, genre_names = _ids_and_names([pair for pairs in genres for pair in pairs], "genres")

    def texts(values):
        return pd.Series(values, dtype=object)

    tracks = pd.DataFrame(
        {
            "track_id": np.array([track_ids[row["key"]] for row in rows], np.int64),
            "path": pd.Series([row["path"] for row in rows], dtype="str"),
            "artist_id": pd.array([p and artist_ids[p[0]] for p in artists], dtype="Int64"),
            "artist": texts([p and artist_names[p[0]] for p in artists]),
            "album_id": pd.array([p and album_ids[p[0]] for p in albums], dtype="Int64"),
            "album": texts([p and album_names[p[0]] for p in albums]),
            "title": texts([row["title"] for row in rows]),
            "genre_top": texts([genre_names[pairs[0][0]] if pairs else None for pairs in genres]),
            "genres": texts([[genre_ids[folded] for folded, _ in pairs] for pairs in genres]),
            "duration": np.array([row["duration"] for row in rows], np.float64),
            "subset": texts([None] * len(rows)),
            "official_split": texts([None] * len(rows)),
            "reason": texts([row["reason"] for row in rows]),
        }
    )
    ids = np.array(list(genre_ids.values()), np.int64)
    titles = texts([genre_names[folded] for folded in genre_ids])
    genres = pd.DataFrame({"genre_id": ids, "title": titles, "parent": 0 * ids, "top_level": ids})
    return (
        tracks.sort_values("track_id", ignore_index=True),
        genres.sort_values("genre_id", ignore_index=True),
    )


def _album(row):
    if not row["album"] or not row["album_artist"]:
        return None
    return _fold(row["album_artist"]) + SEPARATOR + _fold(row["album"]), row["album"]


def _ids_and_names(pairs, what):
    """Return the id and the common spelling of each folded name in `pairs` (folded, spelled)."""
    spellings = {}
    for folded, name in filter(None, pairs):
        spellings.setdefault(folded, Counter())[name] += 1
    names = {folded: counts.most_common(1)[0][0] for folded, counts in spellings.items()}
    return _ids(names, what), names


def _ids(texts, what):
    ids, owners = {}, {}
    for text in texts:
        ids[text] = stable_id(text)
        other = owners.setdefault(ids[text], text)
        if other != text:
            raise UserError(f"The {what} {other!r} and {text!r} have the same id; rename one.")
    return ids
