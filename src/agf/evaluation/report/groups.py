"""Artist group factors: who and what each topic stands for, and a map of the artists."""

import numpy as np
import pandas as pd
from sklearn.manifold import TSNE

from agf.evaluation.report.cells import Cell, Column, Table, count, number, percent, text
from agf.evaluation.report.corpus import bar
from agf.evaluation.report.svg import SHAPES, drawing, element, linear, marker
from agf.keyed_random import random_key
from agf.tasks import ALL_TASKS

TOP_ARTISTS = 4
"""Artists named for a topic."""

LEAST_SHARE = 0.01
"""Share of a topic below which an artist does not belong to it, nor differ from another."""

TOP_GENRES = 3
"""Genres named for a topic."""

TOP_LABELS = 5
"""Words named for a topic, where they have names."""

MAPPED_ARTISTS = 600
"""Most artists on a map: those with the most training tracks."""

NAMED_GENRES = 14
"""Genres with a mark of their own on the map, the most frequent ones; the others share one."""

NAME_LENGTH = 40
"""Characters of a name; longer ones are cut."""

PERPLEXITY = 30.0
"""Of t-SNE, where there are artists enough for it (van der Maaten and Hinton, JMLR 9, 2008)."""

MAP = (640, 420)
"""Size of a map."""

COLOURS = 7
"""Colours of genres in page.css."""


def group_pages(topics, top_words, tracks, agreement, seed):
    """Return what is shown of each task's artist group factors.

    Parameters
    ----------
    topics, top_words : list of pathlib.Path
        ``targets/{split}/{task}.parquet`` and ``{task}.top_words.csv`` of one split.
    tracks : pandas.DataFrame
        ``corpus/tracks.parquet``: names of artists, and their tracks' top genres.
    agreement : pandas.DataFrame or None
        ``targets/{split}/agreement.csv``.
    seed : int
        The run's seed, for the maps.

    Returns
    -------
    dict or None
        ``tasks``, one entry for each task, and ``agreement``, a table or None. None without topics.
    """
    of_artists = artists_by_id(tracks)
    words = {path.name.partition(".")[0]: pd.read_csv(path) for path in top_words}
    targets = {path.stem: pd.read_parquet(path) for path in topics}
    tasks = [
        _task_page(task, targets[task], words.get(task), of_artists, seed)
        for task in ALL_TASKS
        if task in targets
    ]
    if not tasks:
        return None
    return {"tasks": tasks, "agreement": _agreement(agreement)}


def topic_genres(shares, genres):
    """Return the share of each genre in the tracks of each topic's artists.

    Parameters
    ----------
    shares : np.ndarray, shape (n_artists, n_topics)
        Topic distributions; rows sum to 1.
    genres : np.ndarray, shape (n_artists, n_genres)
        Tracks of each artist by genre.

    Returns
    -------
    np.ndarray, shape (n_topics, n_genres)
        Rows sum to 1: tracks counted as far as their artist belongs to the topic.
    """
    weighted = shares.T @ genres
    totals = weighted.sum(axis=1, keepdims=True)
    return np.divide(weighted, totals, out=np.zeros_like(weighted, float), where=totals > 0)


def artists_by_id(tracks):
    """Return artists by id: name, and their tracks by top genre.

    Parameters
    ----------
    tracks : pandas.DataFrame
        ``corpus/tracks.parquet``.

    Returns
    -------
    names : pandas.Series of str
        Artists without a name are left out.
    genres : pandas.DataFrame
        Number of tracks, one column per top genre.
    """
    known = tracks.dropna(subset=["artist_id"])
    names = known.groupby("artist_id")["artist"].first().dropna()
    return names, pd.crosstab(known["artist_id"], known["genre_top"])


def _task_page(task, target, words, of_artists, seed):
    names, genres = of_artists
    columns = [name for name in target if name.startswith("topic_")]
    with_topics = target.dropna(subset=columns)
    ids = with_topics["artist_id"]
    shares = with_topics[columns].to_numpy(float)
    labels = [_shortened(names.get(artist, f"artist {artist}")) for artist in ids]
    by_genre = genres.reindex(ids, fill_value=0)
    sentences = [f"{count(len(ids), 'artist')}, {count(len(columns), 'topic')}."]
    without = len(target) - len(with_topics)
    if without:
        sentences.append(f"{count(without, 'artist')} without a word left out.")
    map_, legend, note = _map(task, shares, labels, by_genre, with_topics["n_tracks"], seed)
    return {
        "task": task,
        "name": ALL_TASKS[task],
        "sentences": [*sentences, *([note] if note else [])],
        "topics": _topics_table(task, shares, labels, by_genre, words),
        "map": map_,
        "legend": legend,
    }


def _topics_table(task, shares, labels, by_genre, words):
    mixtures = topic_genres(shares, by_genre.to_numpy(float))
    named = words is not None and words["label"].notna().any()
    sizes = shares.mean(axis=0)
    rows = []
    for topic, (size, mixture) in enumerate(zip(sizes, mixtures, strict=True)):
        leaders = _leaders(shares[:, topic], labels)
        leading = np.argsort(-mixture, kind="stable")[:TOP_GENRES]
        shown = ", ".join(
            f"{by_genre.columns[i]} {percent(mixture[i])}" for i in leading if mixture[i] >= 0.005
        )
        row = [
            text(topic),
            number(100 * size, 1),
            Cell(bar(size / sizes.max())),
            text(leaders),
            text(shown if shares[:, topic].max() >= LEAST_SHARE else ""),
        ]
        if named:
            own = words[words["topic"] == topic].sort_values("rank")["label"].dropna()
            row.append(text(", ".join(_shortened(label) for label in own[:TOP_LABELS])))
        rows.append(row)
    columns = [
        Column("topic"),
        Column("% of artists", True),
        Column("", axis=""),
        Column("leading artists, and how far they belong to it"),
        Column("genres of its artists' tracks"),
        *([Column("heaviest words")] if named else []),
    ]
    return Table(f"Topics of task {task}, {ALL_TASKS[task]}", columns, rows, False, "topics")


def _leaders(shares, labels):
    """Name the artists that belong to a topic most, as far as any do."""
    if shares.max() < LEAST_SHARE:
        return "no artist"
    if np.ptp(shares) < LEAST_SHARE:
        return f"all artists alike, {percent(shares.mean())}"
    order = np.argsort(-shares, kind="stable")[:TOP_ARTISTS]
    return ", ".join(f"{labels[i]} {percent(shares[i])}" for i in order if shares[i] >= LEAST_SHARE)


def _map(task, shares, labels, by_genre, n_tracks, seed):
    """Return the map, its legend, and a sentence where something is not drawn."""
    note = None
    if len(shares) > MAPPED_ARTISTS:
        chosen = np.argsort(-n_tracks.to_numpy(), kind="stable")[:MAPPED_ARTISTS]
        shares, by_genre = shares[chosen], by_genre.iloc[chosen]
        labels = [labels[i] for i in chosen]
        note = f"The map has the {MAPPED_ARTISTS} artists with the most training tracks."
    if len(shares) < 5:
        return None, None, "A map needs five artists or more."
    positions = place_artists(shares, random_key(seed, "report", "map", task) % 2**32)
    width, height = MAP
    x = linear(*_limits(positions[:, 0]), 14, width - 14)
    y = linear(*_limits(positions[:, 1]), height - 14, 14)
    frequency = by_genre.sum().sort_values(ascending=False, kind="stable")
    places = {genre: place for place, genre in enumerate(frequency.index[:NAMED_GENRES])}
    main = by_genre.idxmax(axis=1).where(by_genre.sum(axis=1) > 0, "no top genre")
    points = []
    for (px, py), label, genre in zip(positions, labels, main, strict=True):
        shape, class_ = _genre_mark(places.get(genre))
        points.append(marker(shape, x(px), y(py), f"{label} · {genre}", class_))
    entries = [_key(genre, place) for genre, place in places.items() if (main == genre).any()]
    if not set(main) <= set(places):
        entries.append(_key("other", None))
    picture = drawing(
        f"map-{task}",
        f"Map of artists, task {task}",
        f"t-SNE of the topic distributions of {count(len(labels), 'artist')}: artists of similar "
        "topics lie together; mark and colour are their most frequent top genre.",
        MAP,
        element("rect", x=0, y=0, width=width, height=height, rx=6, class_="ground"),
        *points,
        class_="points map",
    )
    return picture, element("p", *entries, class_="legend"), note


def place_artists(shares, random_state):
    """Return positions on a map on which artists of similar topics lie together.

    Parameters
    ----------
    shares : np.ndarray, shape (n_artists, n_topics)
        Topic distributions of five artists or more.
    random_state : int
        Of t-SNE.

    Returns
    -------
    np.ndarray of float, shape (n_artists, 2)
        t-SNE of the square roots, whose distance is Hellinger's.
    """
    perplexity = min(PERPLEXITY, (len(shares) - 1) / 3)
    # PCA, the usual start, needs two dimensions that vary.
    start = "pca" if np.ptp(shares, axis=0).astype(bool).sum() > 1 else "random"
    return TSNE(perplexity=perplexity, init=start, random_state=random_state).fit_transform(
        np.sqrt(shares)
    )


def _genre_mark(place):
    if place is None:
        return "o", "other-genre"
    shapes = list(SHAPES)
    # Genres of one colour have different shapes.
    return shapes[(place + place // COLOURS) % len(shapes)], f"genre-{place % COLOURS}"


def _key(genre, place):
    shape, class_ = _genre_mark(place)
    picture = element(
        "svg",
        marker(shape, 8, 8, genre, class_),
        width=16,
        height=16,
        aria_hidden="true",
    )
    return element("span", picture, " ", genre, class_="key")


def _limits(values):
    low, high = float(values.min()), float(values.max())
    return (low, high) if high > low else (low - 1, high + 1)


def _shortened(name):
    name = str(name)
    return name if len(name) <= NAME_LENGTH else f"{name[: NAME_LENGTH - 1]}…"


def _agreement(agreement):
    if agreement is None:
        return None
    rows = [
        [
            text(f"{row.task} {ALL_TASKS[row.task]}"),
            number(row.n_artists, 0),
            number(row.auc, 3),
            number(row.auc_null_mean, 3),
            number(row.auc_p, 3),
            number(row.ami, 3),
            number(row.ami_null_mean, 3),
            number(row.ami_p, 3),
        ]
        for row in agreement.itertuples()
    ]
    names = ("artists", "AUC", "by chance", "p", "AMI", "by chance", "p")
    columns = [Column("task"), *(Column(name, True) for name in names)]
    return Table("Agreement of topics with the planted artist groups", columns, rows)
