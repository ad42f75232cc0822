"""What a corpus is like: its sizes, how far genre annotation follows albums, what splits share.

Source: section 2 of Kim, Won, Serra and Liem (WWW'18), which counts the albums whose tracks are
annotated alike.
"""

import logging
import re
import unicodedata

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from agf.corpus.manifest import reason_kind
from agf.errors import UserError
from agf.files import write_parquet, write_text

logger = logging.getLogger(__name__)

AUDIT_SCHEMA = pa.schema(
    [
        ("section", pa.string()),
        ("measure", pa.string()),
        ("group", pa.string()),
        ("scanned", pa.float64()),
        ("kept", pa.float64()),
    ]
)
"""One row per number: of all tracks the metadata names, and of those kept."""

PARTS = ("train", "evaluation", "unused")
"""Parts of a split."""

PAPER_TRACKS = 25_000
"""Tracks in the paper's corpus; its figures are comparable with no other."""

PAPER_ALBUMS = (5_028, 5_152)
"""Albums whose tracks share one genre annotation, and all albums (the paper's section 2)."""

LISTED_GROUPS = 20
"""Groups of identical files shown on the page; the Parquet file has them all."""

LISTED_TRACKS = 5
"""Tracks of one group shown on the page."""

NAME_WIDTH = 40
"""Columns of text that a name given by a user may take on the page."""

NO_TOP_GENRE = "(no top genre)"

SCAN_COLUMNS = [
    "track_id",
    "artist_id",
    "artist",
    "album_id",
    "title",
    "genre_top",
    "genres",
    "sha256",
]


def audit_corpus(scan, tracks, rejected, genres, splits, out_parquet, out_md):
    """Count what a corpus holds, and write it as a table and as a page.

    Parameters
    ----------
    scan : str or pathlib.Path
        ``corpus/scan.parquet``, with ``sha256`` of the audio file or null.
    tracks, rejected : str or pathlib.Path
        ``corpus/tracks.parquet`` and ``corpus/rejected.parquet``, which share out the scan.
    genres : str or pathlib.Path
        ``corpus/genres.parquet``.
    splits : dict of str to (str or pathlib.Path)
        Name and file, ``splits/{split}.parquet``, of each split to look at.
    out_parquet : str or pathlib.Path
        Table with the columns of :data:`AUDIT_SCHEMA`. ``scanned`` is the value over all tracks of
        the scan, null for splits, which have none; ``kept`` is the value over the tracks kept.
        Values are counts, except where the measure says median, mean or share (0 to 1). In the
        section ``identical tracks`` each row is a track (``group`` its id) of a group of
        byte-identical files (``measure`` their sha256).
    out_md : str or pathlib.Path
        The same for people, as Markdown that is readable as plain text.

    Raises
    ------
    UserError
        Where a file lacks a column, or the files do not belong together.

    Notes
    -----
    An artist is an ``artist_id``, an album an ``album_id``; a track whose album is unknown (null
    or negative) belongs to no album.
    """
    corpus = _read_corpus(scan, tracks, rejected)
    kept = corpus[corpus.kept]
    parents = _read(genres, ["genre_id", "parent"]).set_index("genre_id").parent
    tables = [
        _both("sizes", corpus, lambda frame: _sizes(frame, parents)),
        _both("top genres", corpus, _tracks_by_genre),
        _both("rejected", corpus, _tracks_by_reason),
        _both("albums", corpus, _albums),
        _both("artists", corpus, _artists),
        _both("identical audio", corpus, _identical_audio),
        _identical_tracks(corpus),
        *(_split(name, path, kept, tracks) for name, path in splits.items()),
    ]
    audit = pd.concat([table for table in tables if len(table)], ignore_index=True)
    table = pa.Table.from_pandas(audit, schema=AUDIT_SCHEMA, preserve_index=False)
    write_parquet(table.replace_schema_metadata(), out_parquet)
    write_text(_page(audit, corpus, list(splits)), out_md)
    logger.info(
        "audit: %d tracks, %d kept; splits: %s", len(corpus), len(kept), ", ".join(splits) or "none"
    )


def _read(path, columns):
    schema = pq.read_schema(path)
    missing = [name for name in columns if name not in schema.names]
    if missing:
        raise UserError(f"{path} has no column {missing[0]}: delete it and run the workflow again.")
    return pq.read_table(path, columns=columns).to_pandas()


def _read_corpus(scan, tracks, rejected):
    """Return the scan with ``annotation`` (set of genres), ``kept`` and ``kind`` (of rejection)."""
    corpus = _read(scan, SCAN_COLUMNS)
    refused = _read(rejected, ["track_id", "reason"])
    kept = _read(tracks, ["track_id"]).track_id
    if sorted([*kept, *refused.track_id]) != sorted(corpus.track_id):
        raise UserError(
            f"The tracks of {scan} are not those of {tracks} and {rejected} together: delete these "
            "two and run the workflow again."
        )
    corpus["album_id"] = corpus.album_id.where(corpus.album_id >= 0)
    # As text, because pandas compares and counts texts far faster than sets.
    corpus["annotation"] = [" ".join(map(str, sorted(set(ids)))) or None for ids in corpus.genres]
    corpus["kept"] = corpus.track_id.isin(kept)
    kinds = refused.reason.map(reason_kind)
    corpus["kind"] = corpus.track_id.map(dict(zip(refused.track_id, kinds, strict=True)))
    return corpus


def _both(section, corpus, count):
    """Return one section: what `count` finds in all tracks, and in those kept."""
    scanned, kept = count(corpus), count(corpus[corpus.kept])
    return _section(section, [(*key, scanned[key], kept.get(key, 0)) for key in scanned])


def _section(name, rows):
    table = pd.DataFrame(rows, columns=["measure", "group", "scanned", "kept"])
    table = table.astype({"scanned": "float64", "kept": "float64"})
    table.insert(0, "section", name)
    return table


def _sizes(frame, parents):
    in_use = frame.genres.explode().dropna().astype("int64").unique()
    parent = parents.reindex(in_use)
    values = {
        "tracks": len(frame),
        "artists": frame.artist_id.nunique(),
        "albums": frame.album_id.nunique(),
        "top genres": frame.genre_top.nunique(),
        "genres in use": len(in_use),
        "subgenres in use": (parent.notna() & (parent != 0)).sum(),
        "genres in use that genres.csv lacks": parent.isna().sum(),
        "tracks without an artist": frame.artist_id.isna().sum(),
        "tracks without an album": frame.album_id.isna().sum(),
        "tracks without a top genre": frame.genre_top.isna().sum(),
        "tracks without any genre": frame.annotation.isna().sum(),
    }
    return {(measure, ""): value for measure, value in values.items()}


def _tracks_by_genre(frame):
    counts = frame.genre_top.fillna(NO_TOP_GENRE).value_counts().sort_index()
    counts = counts.sort_values(ascending=False, kind="stable")
    return {("tracks", genre): count for genre, count in counts.items()}


def _tracks_by_reason(frame):
    return {("tracks", kind): count for kind, count in frame.kind.value_counts().items()}


def _albums(frame):
    values = {}
    for kind, column in (("top genre", "genre_top"), ("set of genres", "annotation")):
        annotated = frame[frame.album_id.notna() & frame[column].notna()]
        albums = annotated.groupby("album_id")[column].agg(["size", "nunique"])
        for which, least in (("all albums", 1), ("albums of two or more tracks", 2)):
            chosen = albums[albums["size"] >= least]
            values["albums", f"{which}, by {kind}"] = len(chosen)
            values["albums of one annotation", f"{which}, by {kind}"] = (
                chosen["nunique"] == 1
            ).sum()
    return values


def _artists(frame):
    known = frame[frame.artist_id.notna()]
    artists = known.groupby("artist_id").genre_top.agg(["size", "nunique"])
    n_tracks, n_genres = artists["size"], artists["nunique"]
    # By default the quantile would lie between two artists' numbers, and cover fewer than it says.
    most = np.quantile(n_tracks, 0.9, method="inverted_cdf")
    return {
        ("artists", "in no top genre"): (n_genres == 0).sum(),
        ("artists", "in one top genre"): (n_genres == 1).sum(),
        ("artists", "in two top genres"): (n_genres == 2).sum(),
        ("artists", "in three and more top genres"): (n_genres >= 3).sum(),
        ("artists", "with a single track"): (n_tracks == 1).sum(),
        ("tracks per artist", "median"): n_tracks.median(),
        ("tracks per artist", "mean"): n_tracks.mean(),
        ("tracks per artist", "90 % quantile"): most,
        ("tracks per artist", "largest"): n_tracks.max(),
    }


def _in_groups(frame):
    """Return the tracks whose file has a byte-identical twin in `frame`."""
    return frame[frame.sha256.notna() & frame.sha256.duplicated(keep=False)]


def _identical_audio(frame):
    twins = _in_groups(frame)
    columns = {"artists": "artist_id", "top genres": "genre_top", "sets of genres": "annotation"}
    differ = twins.groupby("sha256")[list(columns.values())].nunique(dropna=False) > 1
    values = {
        "tracks whose file was read": frame.sha256.notna().sum(),
        "groups of identical files": len(differ),
        "tracks in these groups": len(twins),
        **{
            f"groups with different {name}": differ[column].sum()
            for name, column in columns.items()
        },
        "groups with different artists or genres": differ.any(axis=1).sum(),
    }
    return {(measure, ""): value for measure, value in values.items()}


def _identical_tracks(corpus):
    """Return one row per track in a group, the largest groups first."""
    twins = _in_groups(corpus)
    size = twins.groupby("sha256").track_id.transform("size")
    first = twins.groupby("sha256").track_id.transform("min")
    twins = twins.assign(size=-size, first=first).sort_values(["size", "first", "track_id"])
    rows = zip(twins.sha256, twins.track_id.astype(str), [1] * len(twins), twins.kept, strict=True)
    return _section("identical tracks", list(rows))


def _split(name, path, kept, tracks):
    parts = _read(path, ["track_id", "part"])
    if sorted(parts.track_id) != sorted(kept.track_id):
        raise UserError(
            f"{path} does not share out the tracks of {tracks}: delete it and run the workflow "
            "again."
        )
    strange = parts[~parts.part.isin(PARTS)]
    if len(strange):
        raise UserError(
            f"{path}: track {strange.track_id.iloc[0]} is in the part {strange.part.iloc[0]!r}, "
            f"which is none of {', '.join(PARTS)}."
        )
    part = kept.track_id.map(parts.set_index("track_id").part)
    train, evaluation = kept[part == "train"], kept[part == "evaluation"]
    values = {("tracks", name): (part == name).sum() for name in PARTS}
    for what, column in (("artist", "artist_id"), ("album", "album_id")):
        known = evaluation[column].notna() & evaluation[column].isin(train[column])
        values[f"{what}s", "train"] = train[column].nunique()
        values[f"{what}s", "evaluation"] = evaluation[column].nunique()
        values[f"{what}s in both train and evaluation", ""] = evaluation[column][known].nunique()
        measure = f"evaluation tracks whose {what} is in training"
        values[measure, ""] = known.sum()
        values[f"share of {measure}", ""] = known.mean()
    for measure, here, there in (
        ("evaluation tracks identical to a training track", evaluation, train),
        ("training tracks identical to an evaluation track", train, evaluation),
    ):
        values[measure, ""] = (here.sha256.notna() & here.sha256.isin(there.sha256)).sum()
    genres = evaluation.genre_top.value_counts()
    genres = genres.reindex(sorted(kept.genre_top.dropna().unique()), fill_value=0)
    values["genres without an evaluation track", ""] = (genres == 0).sum()
    values |= {("evaluation tracks by top genre", genre): n for genre, n in genres.items()}
    present = genres[genres > 0]
    smallest = present[present == present.min()]
    values |= {("smallest genre in evaluation", genre): n for genre, n in smallest.items()}
    return _section(f"split {name}", [(*key, np.nan, value) for key, value in values.items()])


def _page(audit, corpus, splits):
    sections = dict(list(audit.groupby("section", sort=False)))
    blocks = [
        "# Audit of the corpus",
        "Scanned: all tracks the metadata names. Kept: those with audio and every feature.",
        "## Sizes",
        "How much there is; a subgenre is a genre below a top genre, and a genre is in use where a "
        "track is annotated with it.",
        _count_table("", sections["sizes"], "measure"),
        "## Tracks by top genre",
        "What the networks of task g learn to tell apart, and what the rejection cost each genre.",
        _count_table("top genre", sections["top genres"], "group"),
        "## Rejected tracks",
        *_rejections(sections.get("rejected")),
        "## Albums of one genre",
        *_albums_of_one_genre(sections["albums"], len(corpus)),
        "## Artists across genres",
        "How many top genres the tracks of one artist have, and how many tracks an artist has; at "
        "least 90 % of the artists have no more tracks than the 90 % quantile.",
        _count_table("", sections["artists"], "measure", "group"),
        "## Byte-identical audio",
        "Tracks whose audio files have the same sha256. Where their labels differ, no classifier "
        "can be right about all of them.",
        _count_table("", sections["identical audio"], "measure"),
        *_groups(sections.get("identical tracks"), corpus),
    ]
    if splits:
        blocks += [
            "## Splits",
            "What training and evaluation share; a track without an album shares none. Shares are "
            "of the evaluation tracks.",
            _split_table(sections, splits),
            *(_split_genres(name, sections[f"split {name}"]) for name in splits),
        ]
    return "\n\n".join(blocks) + "\n"


def _rejections(section):
    if section is None:
        return ["No track was rejected."]
    total = section.scanned.sum()
    rows = [
        [_name(kind), _number(n)] for kind, n in zip(section.group, section.scanned, strict=True)
    ]
    return [
        f"Why {_number(total)} tracks are not used, by kind of reason; every one of them is in "
        "rejected.parquet.",
        _table(["reason", "tracks"], [*rows, ["all", _number(total)]], "lr"),
    ]


def _albums_of_one_genre(section, n_scanned):
    values = section.set_index(["measure", "group"])
    rows = []
    for group in section.group.unique():
        row = [group]
        for column in ("scanned", "kept"):
            one = values.at[("albums of one annotation", group), column]
            row += _part_of(one, values.at[("albums", group), column])
        rows.append(row)
    sentences = [
        "Albums whose annotated tracks all have the same genre annotation: the same top genre, or "
        "the same set of genres. Albums of one track agree with themselves and are counted in the "
        "first reading of each; the second leaves them out."
    ]
    if n_scanned == PAPER_TRACKS:
        rows.append(["Kim et al., all albums", *_part_of(*PAPER_ALBUMS), "", "", ""])
        sentences.append(
            "The last row is section 2 of Kim, Won, Serra and Liem (WWW'18), who count the albums "
            "that are annotated as a whole."
        )
    header = ["reading"]
    for column in ("scanned", "kept"):
        header += [f"{column}: one genre", "of", "share"]
    return [" ".join(sentences), _table(header, rows, "lrrrrrr")]


def _part_of(part, whole):
    return [_number(part), _number(whole), _share(part / whole if whole else np.nan)]


def _groups(section, corpus):
    if section is None:
        return ["No two tracks have the same audio file."]
    digests = section.measure.unique()
    tracks = corpus.set_index("track_id")
    members = section.groupby("measure").group.apply(list)
    rows = []
    for number, digest in enumerate(digests[:LISTED_GROUPS], 1):
        ids = members[digest]
        for track_id in ids[:LISTED_TRACKS]:
            track = tracks.loc[int(track_id)]
            names = [_name(track[column]) for column in ("artist", "title", "genre_top")]
            rows.append([str(number), track_id, *names, "yes" if track.kept else "no"])
        if len(ids) > LISTED_TRACKS:
            more = f"and {_number(len(ids) - LISTED_TRACKS)} more"
            rows.append([str(number), "", more, "", "", ""])
    shown = f"The {len(digests)} groups"
    if len(digests) > LISTED_GROUPS:
        shown = f"The {LISTED_GROUPS} largest of {_number(len(digests))} groups"
    return [
        f"{shown}, at most {LISTED_TRACKS} tracks of each; audit.parquet has them all.",
        _table(["group", "track", "artist", "title", "top genre", "kept"], rows, "rrllll"),
    ]


def _split_table(sections, splits):
    tables = [sections[f"split {name}"].set_index(["measure", "group"]).kept for name in splits]
    by_genre = ("evaluation tracks by top genre", "smallest genre in evaluation")
    keys = [key for key in tables[0].index if key[0] not in by_genre]
    rows = []
    for measure, group in keys:
        show = _share if measure.startswith("share of") else _number
        label = f"{measure}, {group}" if group else measure
        rows.append([label, *(show(table[measure, group]) for table in tables)])
    return _table(["", *splits], rows, "l" + "r" * len(splits))


def _split_genres(name, section):
    counts = section[section.measure == "evaluation tracks by top genre"]
    smallest = section[section.measure == "smallest genre in evaluation"]
    absent = ", ".join(map(_name, counts.group[counts.kept == 0])) or "none"
    fewest = ", ".join(map(_name, smallest.group)) or "none"
    least = f" ({_number(smallest.kept.iloc[0])} tracks)" if len(smallest) else ""
    return (
        f"Split {name}: genres without an evaluation track: {absent}; smallest genre in "
        f"evaluation: {fewest}{least}."
    )


def _count_table(first, section, *label):
    rows = [
        [", ".join(filter(None, map(_name, row[: len(label)]))), *map(_number, row[len(label) :])]
        for row in section[[*label, "scanned", "kept"]].itertuples(index=False)
    ]
    return _table([first, "scanned", "kept"], rows, "lrr")


def _number(value):
    if np.isnan(value):
        return "-"
    return f"{value:,.0f}" if value == int(value) else f"{value:,.2f}"


def _share(value):
    return "-" if np.isnan(value) else f"{value:.2%}"


def _name(text):
    """Return a name fit for a cell: one line, not too long, no character that means something."""
    text = "" if pd.isna(text) else " ".join(text.split())
    text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    if len(text) > NAME_WIDTH:
        text = text[: NAME_WIDTH - 1] + "…"
    return re.sub(r"([\\`*_<\[|])", r"\\\1", text)


def _table(header, rows, alignment):
    """Return a Markdown table whose columns are aligned as plain text; l is left, r right."""
    columns = list(zip(header, *rows, strict=True))
    widths = [max(3, *map(_width, column)) for column in columns]
    rule = [
        "-" * (width - 1) + ":" if side == "r" else "-" * width
        for width, side in zip(widths, alignment, strict=True)
    ]
    lines = []
    for cells in (header, rule, *rows):
        padded = []
        for cell, width, side in zip(cells, widths, alignment, strict=True):
            space = " " * (width - _width(cell))
            padded.append(space + cell if side == "r" else cell + space)
        lines.append("| " + " | ".join(padded) + " |")
    return "\n".join(lines)


def _width(text):
    """Return the columns `text` takes in a terminal: two for a wide character, none for an accent.

    Unicode Standard Annex 11.
    """
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in text)
    return len(text) + wide - sum(map(bool, map(unicodedata.combining, text)))
