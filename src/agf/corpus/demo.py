"""The demo corpus: music with planted artist groups, in the layout of the Free Music Archive.

The paper's hypothesis is the model the corpus is drawn from. Artists belong to latent groups; a
group has traits of composition, instruments and recording; an artist follows its group with habits
of its own and borrows a small share of its traits from a second group, as in a topic mixture. The
top genre is a coarse function of the group, annotated per album and sometimes wrongly; the
subgenre follows the group more finely. The planted groups are written beside the metadata, so that
what a run finds can be compared with what was put in.
"""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import soundfile

from agf.corpus.fma import audio_path
from agf.corpus.palettes import GENRES, PROGRESSIONS, check_demo
from agf.corpus.synthesis import SAMPLE_RATE, render_clip
from agf.files import replacing, write_json, write_text
from agf.keyed_random import generator
from agf.progress import progress

CHOICES = ("rhythm", "kit", "scale", "comping", "chord_voice", "lead_voice", "bass_voice")
"""Traits a group takes from its genre's list."""

AMOUNTS = ("tempo", "brightness", "stereo_width", "reverb", "noise_floor")
"""Traits a group takes from its genre's range."""

OWN_HABIT = 0.2
"""Probability that an artist replaces one of its group's choices by another of the palette."""

SECOND_SHARE = (0.05, 0.25)
"""Range of the probability that a trait of a track is borrowed from the artist's second group."""

SPREAD = {
    "tempo": 6.0,
    "brightness": 0.5,
    "stereo_width": 0.12,
    "reverb": 0.06,
    "noise_floor": 4.0,
}
"""Standard deviation of an artist about its group; half of it for an album, and for a track."""

LICENSE = "CC0 1.0 Universal"

COLUMNS = {
    "album": "comments date_created date_released engineer favorites id information listens "
    "producer tags title tracks type",
    "artist": "active_year_begin active_year_end associated_labels bio comments date_created "
    "favorites id latitude location longitude members name related_projects tags website "
    "wikipedia_page",
    "set": "split subset",
    "track": "bit_rate comments composer date_created date_recorded duration favorites genre_top "
    "genres genres_all information interest language_code license listens lyricist number "
    "publisher tags title",
}
"""The 52 columns of FMA's tracks.csv, in its order."""

ADJECTIVES = (
    "Amber Bitter Borrowed Broken Clouded Distant Early Electric Faded Foreign Gentle Golden "
    "Hidden Hollow Iron Late Little Lonesome Lost Lucky Midnight Northern Paper Patient Pale "
    "Quiet Restless Rolling Second Silver Slow Southern Velvet Wandering Winter Wooden"
)

NOUNS = (
    "Anchors Arcades Avenues Birds Bridges Cabins Canyons Cities Clocks Engines Fields Fires "
    "Foxes Gardens Harbours Houses Islands Kites Ladders Lanterns Letters Mirrors Mountains "
    "Oceans Orchards Pilots Radios Rivers Sailors Shadows Signals Stations Swallows Towers "
    "Trains Windows"
)


class DemoPlan(NamedTuple):
    """Everything that is drawn before a sound is made.

    Attributes
    ----------
    settings : dict
        The settings it was drawn from.
    seed : int
        The seed it was drawn with.
    genres : pandas.DataFrame
        FMA's genres.csv, indexed by `genre_id`.
    groups : pandas.DataFrame
        One row per group: `genre_top` and the traits of the planted model.
    artists : pandas.DataFrame
        One row per `artist_id`: name, `group`, `second_group`, `second_share` and `split`.
    albums : pandas.DataFrame
        One row per `album_id`: artist, title, `genre_true` and the annotated `genre_top`, `genres`.
    tracks : pandas.DataFrame
        One row per `track_id`: album, number, title, subset and the traits that
        :func:`agf.corpus.synthesis.render_clip` takes.
    """

    settings: dict
    seed: int
    genres: pd.DataFrame
    groups: pd.DataFrame
    artists: pd.DataFrame
    albums: pd.DataFrame
    tracks: pd.DataFrame


def plan_demo(settings, seed):
    """Draw the demo corpus: genres, groups, artists, albums and tracks.

    Parameters
    ----------
    settings : dict
        `tracks`, `artists`, `groups`, `genres`: how many; `subgenres`: how many per genre;
        `min_seconds`, `max_seconds`: range of a clip's duration; `label_noise`: the share of albums
        whose genre is annotated as another.
    seed : int
        Every draw is a function of the seed and of what is drawn.

    Returns
    -------
    DemoPlan
        The tables.

    Raises
    ------
    UserError
        Where a setting is missing, unknown or out of range.
    """
    check_demo(settings)
    genres, offered = _draw_genres(settings)
    groups = _draw_groups(settings, seed, offered)
    artists = _draw_artists(settings, seed, groups)
    albums = _draw_albums(settings, seed, groups, artists, offered)
    artists["split"] = _draw_split(seed, groups, artists)
    tracks = _draw_tracks(settings, seed, groups, artists, albums)
    uses = tracks["album_id"].map(albums["genres_all"]).explode().value_counts()
    genres["#tracks"] = uses.reindex(genres.index, fill_value=0).astype(int)
    return DemoPlan(dict(settings), seed, genres, groups, artists, albums, tracks)


def _draw_genres(settings):
    """Return genres.csv's table and, per top genre's title, its subgenres' ids."""
    rows, offered = [], {}
    for top, title in list(GENRES)[: settings["genres"]]:
        rows.append((top, 0, title, top))
        chosen = list(GENRES[top, title]["subgenres"].items())[: settings["subgenres"]]
        rows += [(genre_id, top, name, top) for genre_id, name in chosen]
        offered[title] = [genre_id for genre_id, _ in chosen]
    table = pd.DataFrame(rows, columns=["genre_id", "parent", "title", "top_level"])
    table.insert(1, "#tracks", 0)
    return table.set_index("genre_id").sort_index(), offered


def _palette(title):
    """Return the palette of a top genre."""
    return next(palette for (_, name), palette in GENRES.items() if name == title)


def _draw_groups(settings, seed, offered):
    """Return the groups: traits spread over the palette of each group's genre.

    The groups of a genre take different entries of a list and different parts of a range, so that
    no two of them are alike by accident.
    """
    titles = list(offered)
    rows = []
    for place, title in enumerate(titles):
        members = range(place, settings["groups"], len(titles))
        rng, palette = generator(seed, "demo", "groups", title), _palette(title)
        orders = {trait: rng.permutation(len(palette[trait])) for trait in CHOICES}
        ranks = {trait: rng.permutation(len(members)) for trait in AMOUNTS}
        # One subgenre is the group's own; the groups of a genre take different ones.
        subgenres = rng.permutation(offered[title])
        for i, group in enumerate(members):
            row = {
                "group": group,
                "genre_top": title,
                "subgenre": int(subgenres[i % len(subgenres)]),
            }
            for trait in CHOICES:
                row[trait] = palette[trait][orders[trait][i % len(orders[trait])]]
            for trait in AMOUNTS:
                low, high = palette[trait]
                at = (ranks[trait][i] + rng.uniform(0.25, 0.75)) / len(members)
                row[trait] = round(low + at * (high - low), 3)
            rows.append(row)
    return pd.DataFrame(rows).set_index("group").sort_index()


def _names(rng, count, form):
    """Return `count` different names made of an adjective and a noun."""
    adjectives, nouns = ADJECTIVES.split(), NOUNS.split()
    pairs = rng.permutation(len(adjectives) * len(nouns))
    names = []
    for i in range(count):
        first, second = divmod(int(pairs[i % len(pairs)]), len(nouns))
        again = f" {i // len(pairs) + 1}" if i >= len(pairs) else ""
        names.append(form.format(adjectives[first], nouns[second]) + again)
    return names


def _draw_artists(settings, seed, groups):
    """Return the artists: group, second group, number of tracks and own variation of the traits."""
    count = settings["artists"]
    rng = generator(seed, "demo", "artists")
    ids = np.sort(rng.choice(np.arange(1, 20 * count), count, replace=False))
    group = rng.permutation(np.arange(count) % len(groups))
    second = (group + rng.integers(1, max(2, len(groups)), count)) % len(groups)
    # Uneven numbers of tracks, as in FMA, but never fewer than two.
    extra = rng.multinomial(settings["tracks"] - 2 * count, rng.dirichlet(np.full(count, 12.0)))
    artists = pd.DataFrame(
        {
            "artist": _names(rng, count, "The {} {}"),
            "group": group,
            "second_group": second,
            "second_share": rng.uniform(*SECOND_SHARE, count).round(3),
            "n_tracks": extra + 2,
        },
        index=pd.Index(ids, name="artist_id"),
    )
    for artist_id, artist in artists.iterrows():
        own = generator(seed, "demo", "artist", artist_id)
        traits = groups.loc[artist["group"]]
        palette = _palette(traits["genre_top"])
        for trait in CHOICES:
            habit = own.random() < OWN_HABIT
            choice = palette[trait][own.integers(len(palette[trait]))]
            artists.loc[artist_id, trait] = choice if habit else traits[trait]
        for trait in AMOUNTS:
            artists.loc[artist_id, trait] = traits[trait] + SPREAD[trait] * own.standard_normal()
    return artists


def _draw_albums(settings, seed, groups, artists, offered):
    """Return the albums with their true and their annotated genres."""
    rows = []
    for artist_id, artist in artists.iterrows():
        rng = generator(seed, "demo", "albums", artist_id)
        n_albums = 1 + int(rng.binomial(artist["n_tracks"] // 2 - 1, 0.6))
        sizes = rng.multinomial(artist["n_tracks"] - n_albums, np.full(n_albums, 1 / n_albums)) + 1
        rows += [(artist_id, int(size)) for size in sizes]
    rng = generator(seed, "demo", "albums")
    # Albums are numbered, and so stored, in no order of artists.
    rows = [rows[i] for i in rng.permutation(len(rows))]
    albums = pd.DataFrame(rows, columns=["artist_id", "n_tracks"])
    ids = np.sort(rng.choice(np.arange(1, 20 * len(albums)), len(albums), replace=False))
    albums.index = pd.Index(ids, name="album_id")
    albums["album"] = _names(rng, len(albums), "{} {}")
    group = albums["artist_id"].map(artists["group"])
    albums["genre_true"] = group.map(groups["genre_top"])

    titles = list(offered)
    wrong = np.zeros(len(albums), dtype=bool)
    for title in titles:
        # The same share of every genre, so that no genre loses its albums by chance.
        mine = rng.permutation(np.flatnonzero(albums["genre_true"] == title))
        wrong[mine[: round(settings["label_noise"] * len(mine))]] = True
    top_ids = {title: genre_id for genre_id, title in GENRES}
    annotated = []
    for is_wrong, (album_id, album) in zip(wrong, albums.iterrows(), strict=True):
        own = generator(seed, "demo", "annotation", album_id)
        title = album["genre_true"]
        subgenres, favourite = offered[title], groups.loc[group[album_id], "subgenre"]
        if is_wrong:
            title = own.choice([other for other in titles if other != title])
            subgenres, favourite = offered[title], None
        # Two albums in three carry the group's own subgenre, one in three carries two.
        weights = np.array([1.0 + 5.0 * (genre_id == favourite) for genre_id in subgenres])
        many = min(len(subgenres), 1 + int(own.random() < 1 / 3))
        chosen = own.choice(subgenres, many, replace=False, p=weights / weights.sum())
        chosen = sorted(int(genre_id) for genre_id in chosen)
        annotated.append((str(title), chosen, sorted([top_ids[title], *chosen])))
    columns = ["genre_top", "genres", "genres_all"]
    albums[columns] = pd.DataFrame(annotated, columns=columns, index=albums.index)
    return albums


def _draw_split(seed, groups, artists):
    """Return the official part of each artist, about 80/10/10 of every genre's tracks.

    All tracks of an artist lie in one part, as in FMA.
    """
    part = pd.Series("training", index=artists.index)
    genre = artists["group"].map(groups["genre_top"])
    for title, members in artists.groupby(genre, sort=False):
        order = generator(seed, "demo", "split", title).permutation(members.index)
        left = members.loc[order, "n_tracks"]
        tenth = left.sum() / 10
        for name in ("test", "validation"):
            held = 0
            while held == 0 or (held < 0.75 * tenth and len(left) > 2):
                chosen = (left - (tenth - held)).abs().idxmin()
                part[chosen] = name
                held += left.pop(chosen)
    return part


def _draw_tracks(settings, seed, groups, artists, albums):
    """Return the tracks: where they belong and every trait of their sound."""
    total = int(albums["n_tracks"].sum())
    rng = generator(seed, "demo", "tracks")
    ids = np.sort(rng.choice(np.arange(2, max(4000, 4 * total)), total, replace=False))
    album_ids = albums.index.repeat(albums["n_tracks"])
    tracks = pd.DataFrame({"album_id": album_ids}, index=pd.Index(ids, name="track_id"))
    tracks["artist_id"] = tracks["album_id"].map(albums["artist_id"])
    tracks["number"] = tracks.groupby("album_id").cumcount() + 1
    tracks["title"] = _names(rng, total, "{1} ({0})")
    genre = tracks["album_id"].map(albums["genre_top"])
    # As in FMA, "small" is the part of "medium" with equally many tracks of every genre.
    balanced = genre.value_counts().min() // 2
    rank = pd.Series(rng.permutation(total), index=ids).groupby(genre).rank()
    tracks["subset"] = np.where(rank <= balanced, "small", "medium")
    styles = [
        _draw_style(settings, seed, groups, artists.loc[track["artist_id"]], track, track_id)
        for track_id, track in tracks.iterrows()
    ]
    return tracks.join(pd.DataFrame(styles, index=tracks.index))


def _draw_style(settings, seed, groups, artist, track, track_id):
    """Return the traits of one track: the artist's, its album's shift, and some borrowed ones."""
    rng = generator(seed, "demo", "track", track_id)
    album = generator(seed, "demo", "album", track["album_id"])
    second = groups.loc[artist["second_group"]]
    style = {"duration": round(rng.uniform(settings["min_seconds"], settings["max_seconds"]), 2)}
    for trait in (*CHOICES, *AMOUNTS):
        style[trait] = second[trait] if rng.random() < artist["second_share"] else artist[trait]
    for trait in AMOUNTS:
        style[trait] += SPREAD[trait] / 2 * (album.standard_normal() + rng.standard_normal())
    style["tempo"] = round(float(np.clip(style["tempo"], 56, 180)), 2)
    style["brightness"] = round(style["brightness"], 3)
    style["stereo_width"] = round(float(np.clip(style["stereo_width"], 0, 1)), 3)
    style["reverb"] = round(float(np.clip(style["reverb"], 0.02, 1)), 3)
    style["noise_floor"] = round(float(np.clip(style["noise_floor"], -80, -36)), 2)
    style["loudness"] = round(-20 + 1.5 * album.standard_normal() + rng.standard_normal(), 2)
    style["tonic"] = int(rng.integers(-6, 6))
    style["progression"] = str(rng.choice(list(PROGRESSIONS)))
    return style


def write_clip(plan, track_id, out):
    """Make one clip of the plan and write it as MP3.

    Parameters
    ----------
    plan : DemoPlan
        From :func:`plan_demo`.
    track_id : int
        The track; its sound depends on the seed, its row in ``plan.tracks`` and this number only,
        so that clips may be written in any order or at once.
    out : str or pathlib.Path
        The corpus' folder.

    Returns
    -------
    pathlib.Path
        The file written, ``out/audio/NNN/NNNNNN.mp3``.
    """
    path = Path(out) / "audio" / audio_path(track_id)
    clip = render_clip(plan.tracks.loc[track_id].to_dict(), plan.seed, track_id)
    with replacing(path) as temporary:
        soundfile.write(temporary, clip, SAMPLE_RATE, format="MP3", subtype="MPEG_LAYER_III")
    return path


def write_metadata(plan, out):
    """Write FMA's tables and the planted groups.

    Parameters
    ----------
    plan : DemoPlan
        From :func:`plan_demo`.
    out : str or pathlib.Path
        The corpus' folder.

    Returns
    -------
    list of pathlib.Path
        ``fma_metadata/tracks.csv`` (three header lines, 52 columns; unused ones are empty),
        ``fma_metadata/genres.csv`` and ``planted_groups.csv``.
    """
    out = Path(out)
    planted = plan.artists[["group", "second_group", "second_share"]].join(plan.groups, on="group")
    tables = {
        out / "fma_metadata" / "tracks.csv": _fma_tracks(plan),
        out / "fma_metadata" / "genres.csv": plan.genres,
        out / "planted_groups.csv": planted,
    }
    for path, table in tables.items():
        write_text(table.to_csv(lineterminator="\n"), path)
    return list(tables)


def _fma_tracks(plan):
    """Return the tracks as FMA's tracks.csv holds them."""
    tracks = plan.tracks.join(plan.albums.drop(columns="artist_id"), on="album_id")
    tracks = tracks.join(plan.artists[["artist", "split"]], on="artist_id")
    names = [(level, name) for level, columns in COLUMNS.items() for name in columns.split()]
    table = pd.DataFrame(index=tracks.index, columns=pd.MultiIndex.from_tuples(names), dtype=object)
    used = {
        ("album", "id"): "album_id",
        ("album", "title"): "album",
        ("album", "tracks"): "n_tracks",
        ("artist", "id"): "artist_id",
        ("artist", "name"): "artist",
        ("set", "split"): "split",
        ("set", "subset"): "subset",
        ("track", "duration"): "duration",
        ("track", "genre_top"): "genre_top",
        ("track", "genres"): "genres",
        ("track", "genres_all"): "genres_all",
        ("track", "number"): "number",
        ("track", "title"): "title",
    }
    for column, source in used.items():
        table[column] = tracks[source]
    table["album", "type"] = "Album"
    table["track", "license"] = LICENSE
    # FMA's own reader parses the tags as Python literals: an empty list, not an empty cell.
    for level in ("album", "artist", "track"):
        table[level, "tags"] = "[]"
    return table


def write_demo(settings, seed, out, workers=1):
    """Draw the demo corpus and write it in FMA's layout.

    Parameters
    ----------
    settings : dict
        As for :func:`plan_demo`.
    seed : int
        The corpus' seed; the same settings and seed give the same bytes.
    out : str or pathlib.Path
        The folder. ``demo.json``, with the settings, the seed and a checksum over all files, is
        written last: where it lies, the corpus is whole.
    workers : int
        Clips made at a time. The MP3 encoder, most of the work, runs beside other threads.

    Returns
    -------
    DemoPlan
        What was drawn.

    Raises
    ------
    UserError
        Where a setting is missing, unknown or out of range.
    """
    plan = plan_demo(settings, seed)
    out = Path(out)
    (out / "demo.json").unlink(missing_ok=True)
    with ThreadPoolExecutor(workers) as pool:
        clips = pool.map(lambda track_id: write_clip(plan, track_id, out), plan.tracks.index)
        paths = list(progress(clips, "demo clips", total=len(plan.tracks)))
    paths += write_metadata(plan, out)
    description = {"settings": plan.settings, "seed": seed, "sha256": _checksum(out, paths)}
    write_json(description, out / "demo.json")
    return plan


def _checksum(out, paths):
    """Return the sha256 of the lines `sha256  path` that sha256sum prints for the sorted paths."""
    lines = []
    for path in sorted(paths, key=lambda path: path.relative_to(out).as_posix()):
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        lines.append(f"{sha256}  {path.relative_to(out).as_posix()}\n")
    return hashlib.sha256("".join(lines).encode()).hexdigest()
