"""Reading metadata in the layout of the Free Music Archive dataset.

Source: Defferrard, Benzi, Vandergheynst and Bresson, "FMA: A Dataset for Music Analysis", ISMIR
2017.
"""

import ast
import logging
from pathlib import Path

import pandas as pd

from agf.errors import UserError

logger = logging.getLogger(__name__)

SUBSETS = ("small", "medium", "large")
"""FMA's subsets; each holds the ones before it. All clips of the dataset are in ``large``."""

CLIP_SECONDS = 30.0
"""Length of the dataset's clips; ``tracks.csv`` has the length of the track they were cut from."""

OFFICIAL_SPLITS = ("training", "validation", "test")
"""Parts of FMA's official split."""

COLUMNS = {
    "artist_id": ("artist", "id"),
    "artist": ("artist", "name"),
    "album_id": ("album", "id"),
    "album": ("album", "title"),
    "title": ("track", "title"),
    "genre_top": ("track", "genre_top"),
    "genres": ("track", "genres"),
    "duration": ("track", "duration"),
    "subset": ("set", "subset"),
    "official_split": ("set", "split"),
}
"""Our column names and where FMA's ``tracks.csv`` keeps them."""


def audio_path(track_id):
    """Return a clip's path below the audio folder: 2 is ``000/000002.mp3``."""
    name = f"{track_id:06d}"
    return f"{name[:3]}/{name}.mp3"


def read_tracks(path, subset="large"):
    """Read ``tracks.csv`` of FMA.

    Parameters
    ----------
    path : str or pathlib.Path
        The CSV file with its three header lines, of which the third only names the index.
    subset : str
        One of :data:`SUBSETS`. A track without a subset belongs to ``large`` only.

    Returns
    -------
    pandas.DataFrame
        One row per track, sorted by ``track_id``, with the columns of ``corpus/scan.parquet``
        except ``path`` and ``reason``. Missing ids are ``<NA>``; an empty list of genres is ``[]``.

    Raises
    ------
    UserError
        Where the file is missing, is not in this layout, or a row cannot be read.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path} does not exist: point data_dir at a folder with fma_metadata/.")
    try:
        table = pd.read_csv(path, header=[0, 1], index_col=0, low_memory=False)
    except (ValueError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read as FMA's tracks.csv: {_brief(error)}.") from error
    missing = [".".join(source) for source in COLUMNS.values() if source not in table.columns]
    if missing:
        raise UserError(f"{path} lacks the columns {', '.join(missing)} of FMA's tracks.csv.")
    ids = _numbers(pd.Series(table.index))
    bad = ids.isna() | (ids < 0)
    if bad.any():
        raise UserError(
            f"{path}: {table.index[bad.argmax()]!r} is not a track id (a whole number)."
        )
    tracks = pd.DataFrame({name: table[source].to_numpy() for name, source in COLUMNS.items()})
    tracks.insert(0, "track_id", ids.astype("int64").to_numpy())
    if tracks.track_id.duplicated().any():
        twice = tracks.track_id[tracks.track_id.duplicated()].iloc[0]
        raise UserError(f"{path}: track {twice} has two rows; keep one.")
    tracks["artist_id"] = _whole_numbers(tracks, "artist_id", path)
    tracks["album_id"] = _whole_numbers(tracks, "album_id", path)
    tracks["duration"] = pd.to_numeric(tracks.duration, errors="coerce").astype("float64")
    tracks["genres"] = [
        _genre_list(value, track, path)
        for track, value in zip(tracks.track_id, tracks.genres, strict=True)
    ]
    for name in ("artist", "album", "title", "genre_top", "subset", "official_split"):
        tracks[name] = _texts(tracks[name])
    for name, known in (("subset", SUBSETS), ("official_split", OFFICIAL_SPLITS)):
        stray = tracks[tracks[name].notna() & ~tracks[name].isin(known)]
        if len(stray):
            row = stray.iloc[0]
            raise UserError(
                f"{path}: track {row.track_id} has the {name.removeprefix('official_')} "
                f"{row[name]!r}, which is none of {', '.join(known)}."
            )
    for name in ("artist", "album", "title", "genre_top"):
        broken = tracks[tracks[name].str.contains("\n", na=False)]
        if len(broken):
            logger.warning(
                "%s: the %s of track %d has a line break; where a quote is not closed, the rows "
                "that follow are lost in it",
                path,
                name,
                broken.track_id.iloc[0],
            )
    rank = tracks.subset.map({name: i for i, name in enumerate(SUBSETS)}).fillna(len(SUBSETS) - 1)
    tracks = tracks[rank <= SUBSETS.index(subset)]
    if tracks.empty:
        raise UserError(f"{path} has no track in the subset {subset!r}.")
    return tracks.sort_values("track_id", ignore_index=True)


def read_genres(path):
    """Read ``genres.csv`` of FMA.

    Parameters
    ----------
    path : str or pathlib.Path
        CSV with the columns ``genre_id``, ``parent``, ``title`` and ``top_level``.

    Returns
    -------
    pandas.DataFrame
        ``genre_id``, ``title``, ``parent``, ``top_level``, sorted by ``genre_id``. ``parent`` is 0
        for a top genre.

    Raises
    ------
    UserError
        Where the file is missing or lacks one of these columns.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path} does not exist: it comes with FMA's metadata.")
    try:
        genres = pd.read_csv(path)
        genres = genres[["genre_id", "title", "parent", "top_level"]]
    except (KeyError, ValueError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read as FMA's genres.csv: {_brief(error)}.") from error
    for name in ("genre_id", "parent", "top_level"):
        numbers = _numbers(genres[name])
        if numbers.isna().any():
            value = genres[name][numbers.isna()].iloc[0]
            raise UserError(f"{path}: the {name} {value!r} is not a whole number.")
        genres = genres.assign(**{name: numbers.astype("int64")})
    genres["title"] = _texts(genres.title)
    if genres.title.isna().any():
        untitled = genres.genre_id[genres.title.isna()].iloc[0]
        raise UserError(f"{path}: genre {untitled} has no title.")
    if genres.genre_id.duplicated().any():
        twice = genres.genre_id[genres.genre_id.duplicated()].iloc[0]
        raise UserError(f"{path}: genre {twice} has two rows; keep one.")
    return genres.sort_values("genre_id", ignore_index=True)


def _brief(error):
    return " ".join(str(error).split()).rstrip(".")


def _numbers(column):
    """Return whole numbers as float64, NaN for all that is none or has no exact double."""
    numbers = pd.to_numeric(column, errors="coerce").astype("float64")
    return numbers.where((numbers % 1 == 0) & (numbers.abs() < 2**53))


def _texts(column):
    texts = column.astype("string").str.strip()
    return texts.mask(texts == "").astype(object).where(lambda text: text.notna(), None)


def _whole_numbers(tracks, name, path):
    values = _numbers(tracks[name])
    given = tracks[name].notna() & (tracks[name].astype("string").str.strip() != "")
    bad = given & values.isna()
    if bad.any():
        row = tracks[bad].iloc[0]
        raise UserError(
            f"{path}: track {row.track_id} has the {name} {row[name]!r}, not a whole number."
        )
    return values.astype("Int64")


def _genre_list(value, track, path):
    if not isinstance(value, str) or not value.strip():
        return []
    try:
        genres = ast.literal_eval(value)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        genres = None
    whole = isinstance(genres, list) and all(
        type(genre) is int and abs(genre) < 2**53 for genre in genres
    )
    if not whole:
        raise UserError(f"{path}: track {track} has the genres {value!r}, not a list of numbers.")
    return genres
