"""A stand-in for the Free Music Archive dataset, of any size, made from a few clips.

    python benchmarks/stand_in_corpus.py --clips FOLDER --tracks 106574 --out DIR

Everything that costs time in proportion to the corpus is there: a file per track, FMA's folders and
tables, texts as long as FMA's, a long tail of artists. Only the sound repeats itself: every track's
file is a hard link to one of the clips.
"""

import argparse
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile

from agf.corpus.demo import COLUMNS, LICENSE, write_demo
from agf.corpus.fma import audio_path, read_tracks
from agf.errors import UserError
from agf.files import write_text
from agf.keyed_random import generator

SEED = 0

FMA_TRACKS = 106_574
FMA_LAST_ID = 155_320
FMA_ARTISTS = 16_341

HEAPS_EXPONENT = 0.73
"""Artists of a corpus grow as its tracks to this power, as the words of a text do. It is the power
by which FMA's albums grow from fma_medium (25,000 tracks, 5,152 albums) to all of FMA (106,574 and
14,854): log(14854 / 5152) / log(106574 / 25000)."""

ARTIST_SPREAD = 1.5
"""Standard deviation of the logarithm of an artist's productivity. At FMA's size half of the
artists then have three tracks or fewer, and the most productive ones several hundred."""

ALBUM_TRACKS = 12
"""Tracks of a full album. An album is one artist's; FMA, with its samplers, has fewer of them."""

TOP_GENRES = {
    (12, "Rock"): 7103,
    (15, "Electronic"): 6314,
    (38, "Experimental"): 2251,
    (21, "Hip-Hop"): 2201,
    (17, "Folk"): 1519,
    (1235, "Instrumental"): 1350,
    (10, "Pop"): 1186,
    (2, "International"): 1018,
    (5, "Classical"): 619,
    (8, "Old-Time / Historic"): 510,
    (4, "Jazz"): 384,
    (9, "Country"): 178,
    (14, "Soul-RnB"): 154,
    (20, "Spoken"): 118,
    (3, "Blues"): 74,
    (13, "Easy Listening"): 21,
}
"""Ids and titles of FMA's top genres, and their tracks in fma_medium."""

N_GENRES = 163

SMALL_GENRES = (
    "Electronic",
    "Experimental",
    "Folk",
    "Hip-Hop",
    "Instrumental",
    "International",
    "Pop",
    "Rock",
)
"""fma_small has 1,000 tracks of each of these."""

BIOGRAPHY, INFORMATION = 950, 390
"""Characters of ``artist.bio`` and ``album.information``, which are most of FMA's tracks.csv: means
over its first 682 tracks."""

DEMO_CLIPS = {
    "tracks": 48,
    "artists": 12,
    "groups": 4,
    "genres": 4,
    "subgenres": 2,
    "min_seconds": 4,
    "max_seconds": 6,
    "label_noise": 0.0,
}
"""What is generated where there are no real clips."""


def find_clips(folder):
    """Return the paths of all mp3 files below a folder, sorted.

    Parameters
    ----------
    folder : str or pathlib.Path

    Returns
    -------
    list of pathlib.Path

    Raises
    ------
    UserError
        Where there is none.
    """
    clips = sorted(path for path in Path(folder).rglob("*.mp3") if path.is_file())
    if not clips:
        raise UserError(f"{folder} has no mp3 file: name a folder with clips.")
    return clips


def count_artists(n_tracks):
    """Return how many artists a corpus of `n_tracks` has: by Heaps' law, 16,341 at FMA's size."""
    return min(n_tracks, round(FMA_ARTISTS * (n_tracks / FMA_TRACKS) ** HEAPS_EXPONENT))


def plan_stand_in(n_tracks, seed):
    """Draw the tracks of a stand-in corpus.

    Parameters
    ----------
    n_tracks : int
        Number of tracks.
    seed : int
        The same number and seed give the same corpus.

    Returns
    -------
    pandas.DataFrame
        Indexed by ``track_id``, ascending, with ``artist_id``, ``album_id``, ``number`` (of the
        track in its album), ``album_tracks``, ``genre_top``, ``genres``, ``genres_all``, ``subset``
        and ``split``. The tracks of an album follow each other, as they were uploaded to FMA.

    Raises
    ------
    UserError
        Where `n_tracks` is not positive.

    Notes
    -----
    Artists are laid out in a random order, one track after the other, and the genres in blocks of
    FMA medium's proportions over them: the proportions are exact, and an artist has one genre but
    where two blocks meet. Every track has a top genre, though in FMA only 49,598 have one, because
    the scan drops a track without, which would then cost nothing. The official split takes whole
    artists, about 80, 10 and 10 % of every genre.
    """
    if n_tracks < 1:
        raise UserError(f"--tracks is {n_tracks}: give at least 1.")
    n_artists = count_artists(n_tracks)
    rng = generator(seed, "stand-in", "artists", n_tracks)
    productivity = np.exp(ARTIST_SPREAD * rng.standard_normal(n_artists))
    sizes = 1 + rng.multinomial(n_tracks - n_artists, productivity / productivity.sum())
    tracks = pd.DataFrame({"artist_id": np.repeat(np.arange(1, n_artists + 1), sizes)})
    of_artist = tracks.groupby("artist_id").cumcount()
    tracks["number"] = of_artist % ALBUM_TRACKS + 1

    counts = _genre_counts(n_tracks)
    block = np.repeat(np.arange(len(counts)), counts)
    tracks["genre_top"] = np.array([title for _, title in TOP_GENRES], dtype=object)[block]
    tracks["genres"], tracks["genres_all"] = _draw_subgenres(block, seed)
    tracks["subset"] = _draw_subsets(tracks.genre_top, seed)
    tracks["split"] = _split_artists(sizes, block, counts)

    albums = tracks.artist_id.astype(str) + "-" + (of_artist // ALBUM_TRACKS).astype(str)
    codes, names = pd.factorize(albums)
    rng = generator(seed, "stand-in", "albums", n_tracks)
    tracks["album_id"] = 1 + rng.permutation(len(names))[codes]
    tracks["album_tracks"] = np.bincount(codes)[codes]
    tracks = tracks.sort_values(["album_id", "number"], kind="stable")
    tracks.index = pd.Index(_draw_ids(n_tracks, seed), name="track_id")
    return tracks


def write_stand_in(clips, n_tracks, seed, out):
    """Make a corpus of `n_tracks` tracks in FMA's layout from a few clips.

    Parameters
    ----------
    clips : list of pathlib.Path
        MP3 files. Each stands for about as many tracks as any other.
    n_tracks : int
        Number of tracks.
    seed : int
        The same clips, number and seed give the same corpus.
    out : str or pathlib.Path
        The corpus' folder: ``audio/NNN/NNNNNN.mp3``, ``fma_metadata/tracks.csv`` and
        ``fma_metadata/genres.csv``. Files are hard links to the clips, so that a change of one,
        of its time too, is a change of the clip; where a link is not possible they are copies.

    Raises
    ------
    UserError
        Where `out` holds a corpus already, a clip is no audio, or `n_tracks` is not positive.
    """
    audio, metadata = Path(out) / "audio", Path(out) / "fma_metadata"
    for folder in (audio, metadata):
        if folder.exists():
            raise UserError(f"{folder} exists already: give --out a new folder.")
    tracks = plan_stand_in(n_tracks, seed)
    which = generator(seed, "stand-in", "clips").permutation(np.arange(n_tracks) % len(clips))
    table = _fma_tracks(tracks, _durations(clips)[which])
    _link(clips, which, tracks.index, audio)
    write_text(_fma_genres(tracks).to_csv(lineterminator="\n"), metadata / "genres.csv")
    # The table is whole where everything else is, so it comes last.
    write_text(table.to_csv(lineterminator="\n"), metadata / "tracks.csv")


def add_tracks(clips, n_tracks, seed, out):
    """Add tracks by new artists to a stand-in corpus, with the ids that follow its last one.

    Parameters
    ----------
    clips, n_tracks, seed, out
        As in :func:`write_stand_in`, whose corpus lies in `out`.

    Returns
    -------
    list of int
        The new tracks.

    Raises
    ------
    UserError
        Where `out` holds no corpus that can be read.
    """
    path = Path(out) / "fma_metadata" / "tracks.csv"
    last = read_tracks(path)[["track_id", "artist_id", "album_id"]].max()
    tracks = plan_stand_in(n_tracks, seed)
    tracks.index = pd.RangeIndex(n_tracks, name="track_id") + int(last.track_id) + 1
    tracks["artist_id"] += int(last.artist_id)
    tracks["album_id"] += int(last.album_id)
    which = np.arange(n_tracks) % len(clips)
    table = _fma_tracks(tracks, _durations(clips)[which])
    _link(clips, which, tracks.index, Path(out) / "audio")
    rows = table.to_csv(header=False, lineterminator="\n")
    write_text(path.read_text(encoding="utf-8") + rows, path)
    return tracks.index.to_list()


def _genre_counts(n_tracks):
    """Divide the tracks among the top genres by the largest remainders."""
    medium = np.array(list(TOP_GENRES.values()))
    exact = n_tracks * medium / medium.sum()
    counts = exact.astype(int)
    order = np.argsort(counts - exact, kind="stable")
    counts[order[: n_tracks - counts.sum()]] += 1
    return counts


def _subgenres():
    """Return (id, title, top genre's id) of every subgenre; the top genres take turns."""
    tops, taken = list(TOP_GENRES), {genre_id for genre_id, _ in TOP_GENRES}
    free = [number for number in range(1, 2 * N_GENRES) if number not in taken]
    rows = []
    for turn in range(N_GENRES - len(tops)):
        top, title = tops[turn % len(tops)]
        rows.append((free[turn], f"{title} {turn // len(tops) + 1}", top))
    return rows


def _draw_subgenres(block, seed):
    """Return `genres` (a subgenre) and `genres_all` (with its top genre) as FMA writes them."""
    tops = [genre_id for genre_id, _ in TOP_GENRES]
    below = [[row[0] for row in _subgenres() if row[2] == top] for top in tops]
    at = generator(seed, "stand-in", "subgenres").random(len(block))
    chosen = [below[b][int(r * len(below[b]))] for b, r in zip(block, at, strict=True)]
    both = [f"[{tops[b]}, {genre}]" for b, genre in zip(block, chosen, strict=True)]
    return [f"[{genre}]" for genre in chosen], both


def _draw_subsets(genre_top, seed):
    """Return each track's subset: medium has FMA's share of every genre, small is balanced."""
    scale = len(genre_top) / FMA_TRACKS
    order = generator(seed, "stand-in", "subsets").permutation(len(genre_top))
    rank = pd.Series(order, index=genre_top.index).groupby(genre_top).rank()
    medium = {title: round(count * scale) for (_, title), count in TOP_GENRES.items()}
    small = {title: round(1000 * scale) for title in SMALL_GENRES}
    in_medium = rank <= genre_top.map(medium)
    in_small = in_medium & (rank <= genre_top.map(small).fillna(0))
    return np.select([in_small, in_medium], ["small", "medium"], "large")


def _split_artists(sizes, block, counts):
    """Return each track's part of the official split: where in its genre its artist begins."""
    first = np.cumsum(sizes) - sizes
    genre = block[first]
    at = (first - (np.cumsum(counts) - counts)[genre]) / counts[genre]
    part = np.select([at < 0.8, at < 0.9], ["training", "validation"], "test")
    return np.repeat(part, sizes)


def _draw_ids(n_tracks, seed):
    """Return ascending ids with gaps as wide as FMA's, from 2 as FMA's are."""
    last = max(n_tracks + 1, round(n_tracks * FMA_LAST_ID / FMA_TRACKS))
    rng = generator(seed, "stand-in", "ids", n_tracks)
    return np.sort(rng.choice(np.arange(2, last + 1), n_tracks, replace=False))


def _durations(clips):
    seconds = []
    for clip in clips:
        try:
            seconds.append(round(soundfile.info(clip).duration, 2))
        except soundfile.LibsndfileError as error:
            raise UserError(f"{clip} cannot be read as audio: take it out of --clips.") from error
    return np.array(seconds)


def _link(clips, which, track_ids, audio):
    """Make the tracks' files: links to clips or, where that fails, to a copy made once."""
    sources = list(clips)
    for clip, track_id in zip(which, track_ids, strict=True):
        path = audio / audio_path(track_id)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(sources[clip], path)
        except FileExistsError:
            raise
        except OSError:
            # Another file system, no links there, or an inode that has all it can have (65,000 on
            # ext4): a copy serves the links that follow.
            shutil.copyfile(sources[clip], path)
            sources[clip] = path


def _fma_tracks(tracks, durations):
    """Return the table as FMA's tracks.csv holds it, with its three header lines."""
    names = [(level, name) for level, columns in COLUMNS.items() for name in columns.split()]
    biography = _filler("Playing, recording and touring since the first tape; ", BIOGRAPHY)
    information = _filler("Recorded in two days, mixed in three; ", INFORMATION)
    values = {
        ("album", "id"): tracks.album_id,
        ("album", "information"): information,
        ("album", "tags"): "[]",
        ("album", "title"): "Album " + tracks.album_id.astype(str),
        ("album", "tracks"): tracks.album_tracks,
        ("album", "type"): "Album",
        ("artist", "bio"): biography,
        ("artist", "id"): tracks.artist_id,
        ("artist", "name"): "Artist " + tracks.artist_id.astype(str),
        ("artist", "tags"): "[]",
        ("set", "split"): tracks.split,
        ("set", "subset"): tracks.subset,
        ("track", "duration"): durations,
        ("track", "genre_top"): tracks.genre_top,
        ("track", "genres"): tracks.genres,
        ("track", "genres_all"): tracks.genres_all,
        ("track", "license"): LICENSE,
        ("track", "number"): tracks.number,
        ("track", "tags"): "[]",
        ("track", "title"): "Track " + tracks.index.astype(str),
    }
    table = pd.DataFrame({name: values.get(name) for name in names}, index=tracks.index)
    return table.set_axis(pd.MultiIndex.from_tuples(names), axis="columns")


def _filler(text, length):
    return (text * (length // len(text) + 1))[:length]


def _fma_genres(tracks):
    """Return FMA's genres.csv: 163 genres, of which 16 are top genres, with the tracks of each."""
    rows = [(top, 0, title, top) for top, title in TOP_GENRES]
    rows += [(genre_id, top, title, top) for genre_id, title, top in _subgenres()]
    table = pd.DataFrame(rows, columns=["genre_id", "parent", "title", "top_level"])
    table = table.set_index("genre_id").sort_index()
    used = tracks.genres_all.str.strip("[]").str.split(", ").explode().astype(int).value_counts()
    table.insert(0, "#tracks", used.reindex(table.index, fill_value=0))
    return table


def main():
    """Make a stand-in corpus from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--clips", help="folder with mp3 files [clips generated as for the demo]")
    parser.add_argument("--tracks", type=int, required=True, help="number of tracks")
    parser.add_argument("--out", type=Path, required=True, help="folder of the corpus, a new one")
    arguments = parser.parse_args()
    try:
        folder = arguments.clips
        if folder is None:
            folder = arguments.out / "clips"
            write_demo(DEMO_CLIPS, SEED, folder)
        write_stand_in(find_clips(folder), arguments.tracks, SEED, arguments.out)
    except UserError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
