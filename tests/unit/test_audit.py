"""The audit's numbers, counted by hand on a dozen tracks and by plain pandas on FMA's metadata."""

import ast
import re

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from test_fma import FACTS

from agf.corpus.audit import AUDIT_SCHEMA, audit_corpus
from agf.corpus.fma import read_genres, read_tracks
from agf.errors import UserError

GENRES = pd.DataFrame(
    [
        (4, "Jazz", 0),
        (10, "Pop", 0),
        (12, "Rock", 0),
        (45, "Loud-Rock", 12),
        (76, "Experimental Pop", 10),
        (1235, "Instrumental Pop", 10),
    ],
    columns=["genre_id", "title", "parent"],
)

# Track 9 has no album and a genre that is not in the list of genres.
TRACKS = [
    # track, artist, album, top genre, genres, audio, reason
    (1, 10, 100, "Rock", [12, 45], "a", None),
    (2, 10, 100, "Rock", [45, 12], "b", None),
    (3, 10, 100, "Rock", [45, 12, 12], "c", None),
    (4, 10, 101, "Pop", [10], "d", None),
    (5, 11, 102, "Jazz", [4], "a", None),
    (6, 11, 102, "Rock", [12], "e", None),
    (7, 11, 103, "Pop", [10], "f", None),
    (8, 11, 103, "Pop", [10, 76], "f", None),
    (9, 12, -1, "Jazz", [4, 999], "g", None),
    (10, 13, 104, "Rock", [12], "h", None),
    (11, None, 105, None, [], None, "no artist"),
    (12, 13, 104, "Pop", [76, 1235], "a", "truncated: 3.1 s of 30 s"),
]

PARTS = {
    "train": [1, 2, 6, 7, 9],
    "evaluation": [3, 4, 8, 10],
    "unused": [5],
}

FILES = ("scan", "tracks", "rejected", "genres")


def make_scan(rows=TRACKS):
    names = ["track_id", "artist_id", "album_id", "genre_top", "genres", "sha256", "reason"]
    scan = pd.DataFrame(rows, columns=names)
    scan["artist_id"] = scan.artist_id.astype("Int64")
    scan["artist"] = "Artist " + scan.artist_id.astype("string")
    scan["title"] = "Track " + scan.track_id.astype("string")
    return scan


def write_corpus(folder, scan, genres=GENRES, parts=PARTS):
    """Write what the audit reads and return its arguments."""
    rejected = scan.reason.notna()
    scan.to_parquet(folder / "scan.parquet")
    scan[~rejected].to_parquet(folder / "tracks.parquet")
    scan[rejected][["track_id", "reason"]].to_parquet(folder / "rejected.parquet")
    genres.to_parquet(folder / "genres.parquet")
    split = [(track, part) for part, tracks in parts.items() for track in tracks]
    split = pd.DataFrame(split, columns=["track_id", "part"])
    split.to_parquet(folder / "random.parquet")
    inputs = [folder / f"{name}.parquet" for name in FILES]
    return [*inputs, {"random": folder / "random.parquet"}]


def audit(folder, *corpus, **options):
    """Return the audit as {(section, measure, group): (scanned, kept)}, and the page."""
    arguments = write_corpus(folder, *corpus, **options)
    audit_corpus(*arguments, folder / "audit.parquet", folder / "audit.md")
    table = pd.read_parquet(folder / "audit.parquet")
    keys = list(zip(table.section, table.measure, table.group, strict=True))
    assert len(set(keys)) == len(keys)
    values = dict(zip(keys, zip(table.scanned, table.kept, strict=True), strict=True))
    return values, (folder / "audit.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def values(tmp_path_factory):
    folder = tmp_path_factory.mktemp("audit")
    found, _ = audit(folder, make_scan())
    assert pq.read_schema(folder / "audit.parquet").equals(AUDIT_SCHEMA)
    return found


def section(values, name):
    return {key[1:]: value for key, value in values.items() if key[0] == name}


def test_sizes(values):
    assert section(values, "sizes") == {
        ("tracks", ""): (12, 10),
        ("artists", ""): (4, 4),
        ("albums", ""): (6, 5),
        ("top genres", ""): (3, 3),
        # 4, 10, 12, 45, 76, 999, and 1235 of track 12 alone.
        ("genres in use", ""): (7, 6),
        ("subgenres in use", ""): (3, 2),
        ("genres in use that genres.csv lacks", ""): (1, 1),
        ("tracks without an artist", ""): (1, 0),
        ("tracks without an album", ""): (1, 1),
        ("tracks without a top genre", ""): (1, 0),
        ("tracks without any genre", ""): (1, 0),
    }


def test_tracks_by_genre_and_by_reason(values):
    assert section(values, "top genres") == {
        ("tracks", "Rock"): (5, 5),
        ("tracks", "Pop"): (4, 3),
        ("tracks", "Jazz"): (2, 2),
        ("tracks", "(no top genre)"): (1, 0),
    }
    assert section(values, "rejected") == {
        ("tracks", "no artist"): (1, 0),
        ("tracks", "truncated"): (1, 0),
    }


def test_albums_of_one_genre(values):
    # Album 102 is Jazz and Rock; 104 is Rock and Pop until track 12 is rejected; 103 has one top
    # genre and two sets of genres; 105 has no genre at all.
    whole, one = "albums", "albums of one annotation"
    assert section(values, "albums") == {
        (whole, "all albums, by top genre"): (5, 5),
        (one, "all albums, by top genre"): (3, 4),
        (whole, "albums of two or more tracks, by top genre"): (4, 3),
        (one, "albums of two or more tracks, by top genre"): (2, 2),
        (whole, "all albums, by set of genres"): (5, 5),
        (one, "all albums, by set of genres"): (2, 3),
        (whole, "albums of two or more tracks, by set of genres"): (4, 3),
        (one, "albums of two or more tracks, by set of genres"): (1, 1),
    }


def test_artists_across_genres(values):
    # Artists 10, 11, 12, 13 have 4, 4, 1, 2 tracks, of which 4, 4, 1, 1 are kept.
    assert section(values, "artists") == {
        ("artists", "in no top genre"): (0, 0),
        ("artists", "in one top genre"): (1, 2),
        ("artists", "in two top genres"): (2, 1),
        ("artists", "in three and more top genres"): (1, 1),
        ("artists", "with a single track"): (1, 2),
        ("tracks per artist", "median"): (3, 2.5),
        ("tracks per artist", "mean"): (2.75, 2.5),
        ("tracks per artist", "90 % quantile"): (4, 4),
        ("tracks per artist", "largest"): (4, 4),
    }


def test_identical_audio(values):
    # Tracks 1, 5 and 12 differ in everything, 7 and 8 in their set of genres alone.
    assert section(values, "identical audio") == {
        ("tracks whose file was read", ""): (11, 10),
        ("groups of identical files", ""): (2, 2),
        ("tracks in these groups", ""): (5, 4),
        ("groups with different artists", ""): (1, 1),
        ("groups with different top genres", ""): (1, 1),
        ("groups with different sets of genres", ""): (2, 2),
        ("groups with different artists or genres", ""): (2, 2),
    }
    assert list(section(values, "identical tracks").items()) == [
        (("a", "1"), (1, 1)),
        (("a", "5"), (1, 1)),
        (("a", "12"), (1, 0)),
        (("f", "7"), (1, 1)),
        (("f", "8"), (1, 1)),
    ]


def test_what_the_parts_of_a_split_share(values):
    found = section(values, "split random")
    assert all(np.isnan(scanned) for scanned, _ in found.values())
    assert {key: kept for key, (_, kept) in found.items()} == {
        ("tracks", "train"): 5,
        ("tracks", "evaluation"): 4,
        ("tracks", "unused"): 1,
        ("artists", "train"): 3,
        ("artists", "evaluation"): 3,
        ("artists in both train and evaluation", ""): 2,
        ("evaluation tracks whose artist is in training", ""): 3,
        ("share of evaluation tracks whose artist is in training", ""): 0.75,
        ("albums", "train"): 3,
        ("albums", "evaluation"): 4,
        ("albums in both train and evaluation", ""): 2,
        ("evaluation tracks whose album is in training", ""): 2,
        ("share of evaluation tracks whose album is in training", ""): 0.5,
        # Track 8 is track 7; track 5, which is track 1, is not used.
        ("evaluation tracks identical to a training track", ""): 1,
        ("training tracks identical to an evaluation track", ""): 1,
        ("genres without an evaluation track", ""): 1,
        ("evaluation tracks by top genre", "Jazz"): 0,
        ("evaluation tracks by top genre", "Pop"): 2,
        ("evaluation tracks by top genre", "Rock"): 2,
        ("smallest genre in evaluation", "Pop"): 2,
        ("smallest genre in evaluation", "Rock"): 2,
    }


def test_tracks_without_album_or_hash_share_nothing(tmp_path):
    rows = [(1, 10, None, "Rock", [12], None, None), (2, 11, None, "Rock", [12], None, None)]
    found, page = audit(tmp_path, make_scan(rows), parts={"train": [1], "evaluation": [2]})
    split = section(found, "split random")
    assert split["evaluation tracks whose album is in training", ""][1] == 0
    assert split["evaluation tracks identical to a training track", ""][1] == 0
    assert section(found, "identical audio")["groups of identical files", ""] == (0, 0)
    assert not section(found, "rejected") and not section(found, "identical tracks")
    assert "No track was rejected." in page
    assert "No two tracks have the same audio file." in page


def test_nine_of_ten_artists_have_at_most_the_quantile(tmp_path):
    # Ten artists with 1, 2 ... 10 tracks.
    rows = [(10 * n + i, n, n, "Rock", [12], None, None) for n in range(1, 11) for i in range(n)]
    parts = {"train": [row[0] for row in rows[1:]], "evaluation": [10]}
    found, _ = audit(tmp_path, make_scan(rows), parts=parts)
    assert found["artists", "tracks per artist", "90 % quantile"] == (9, 9)
    assert found["artists", "tracks per artist", "median"] == (5.5, 5.5)


def cells(line):
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def test_the_page_is_aligned_and_escaped(tmp_path):
    scan = make_scan()
    scan.loc[0, "title"] = "Either|Or\r\n*live* \\ [1]\x1b"
    scan.loc[4, "title"] = "long " * 20
    _, page = audit(tmp_path, scan)
    tables = re.findall(r"(?:^\|.*\n)+", page, re.M)
    assert len(tables) == 8
    for table in tables:
        lines = table.splitlines()
        assert len({len(line) for line in lines}) == 1
        assert len({len(cells(line)) for line in lines}) == 1
    rows = [cells(line) for line in page.splitlines() if line.startswith("|")]
    title = r"Either\|Or \*live\* \\ \[1]" + "\N{REPLACEMENT CHARACTER}"
    assert ["1", "1", "Artist 10", title, "Rock", "yes"] in rows
    assert ["1", "12", "Artist 13", "Track 12", "Pop", "no"] in rows
    (long,) = [row[3] for row in rows if row[:2] == ["1", "5"]]
    assert len(long) == 40 and long.endswith("…")
    assert ["all albums, by top genre", "3", "5", "60.00%", "4", "5", "80.00%"] in rows
    assert ["share of evaluation tracks whose artist is in training", "75.00%"] in rows
    assert ["tracks per artist, mean", "2.75", "2.50"] in rows
    assert (
        "Split random: genres without an evaluation track: Jazz; smallest genre in evaluation: "
        "Pop, Rock (2 tracks)."
    ) in page


def test_wide_characters_take_two_columns(tmp_path):
    scan = make_scan()
    # Two characters of two columns each, and an accent of none.
    scan.loc[0, "title"] = "東京e\u0301"
    _, page = audit(tmp_path, scan)
    lines = [line for line in page.splitlines() if re.match(r"\| +1 \|", line)]
    lengths = {cells(line)[1]: len(line) for line in lines}
    assert lengths["1"] == lengths["5"] - 2 + 1


def test_the_page_lists_twenty_groups_and_the_table_all(tmp_path):
    # Group 0 has eight tracks, the 24 others two.
    shas = ["0"] * 8 + [str(group) for group in range(1, 25) for _ in range(2)]
    rows = [(i, 10, 100, "Rock", [12], sha, None) for i, sha in enumerate(shas)]
    parts = {"train": range(0, 56, 2), "evaluation": range(1, 56, 2)}
    found, page = audit(tmp_path, make_scan(rows), parts=parts)
    assert len(section(found, "identical tracks")) == 56
    listing = page[page.index("The 20 largest of 25 groups") : page.index("## Splits")]
    rows = [cells(line) for line in listing.splitlines() if line.startswith("|")][2:]
    assert [row[1] for row in rows[:6]] == ["0", "1", "2", "3", "4", ""]
    assert rows[5][2] == "and 3 more"
    assert len(rows) == 6 + 19 * 2 and rows[-1][:2] == ["20", "45"]


def test_the_papers_figures_stand_beside_its_own_corpus_only(tmp_path):
    _, page = audit(tmp_path, make_scan())
    assert "5,152" not in page
    rows = [(i, i // 8, i // 5, "Rock", [12], None, None) for i in range(25_000)]
    parts = {"train": range(21_250), "evaluation": range(21_250, 25_000)}
    _, page = audit(tmp_path, make_scan(rows), parts=parts)
    rows = [cells(line) for line in page.splitlines() if line.startswith("|")]
    assert ["tracks", "25,000", "25,000"] in rows
    assert ["Kim et al., all albums", "5,028", "5,152", "97.59%", "", "", ""] in rows
    assert "section 2 of Kim, Won, Serra and Liem (WWW'18)" in page


def test_files_that_do_not_belong_together_are_refused(tmp_path):
    arguments = write_corpus(tmp_path, make_scan())
    out = (tmp_path / "audit.parquet", tmp_path / "audit.md")
    rejected = pd.read_parquet(tmp_path / "rejected.parquet")
    rejected.iloc[1:].to_parquet(tmp_path / "rejected.parquet")
    with pytest.raises(UserError, match=r"scan\.parquet are not those of .*tracks\.parquet"):
        audit_corpus(*arguments, *out)
    rejected.to_parquet(tmp_path / "rejected.parquet")

    split = pd.read_parquet(tmp_path / "random.parquet")
    split.iloc[1:].to_parquet(tmp_path / "random.parquet")
    with pytest.raises(UserError, match=r"random\.parquet does not share out"):
        audit_corpus(*arguments, *out)
    split.replace("unused", "test").to_parquet(tmp_path / "random.parquet")
    with pytest.raises(UserError, match="track 5 is in the part 'test'"):
        audit_corpus(*arguments, *out)

    make_scan().drop(columns="sha256").to_parquet(tmp_path / "scan.parquet")
    with pytest.raises(UserError, match=r"scan\.parquet has no column sha256"):
        audit_corpus(*arguments, *out)
    assert not any(path.exists() for path in out)


@pytest.mark.skipif(not FACTS.is_dir(), reason="FMA's own metadata is not at hand")
def test_counts_on_the_real_fma(tmp_path):
    source = FACTS / "fma_metadata" / "tracks_first682.csv"
    scan = read_tracks(source)
    scan["sha256"] = None
    scan["reason"] = scan.genre_top.isna().map({True: "no genre", False: None})
    kept = scan.track_id[scan.reason.isna()].tolist()
    parts = {"train": kept[::2], "evaluation": kept[1::2]}
    genres = read_genres(FACTS / "fma_metadata" / "genres.csv")
    found, _ = audit(tmp_path, scan, genres, parts)

    raw = pd.read_csv(source, header=[0, 1], index_col=0)
    sizes = section(found, "sizes")
    assert sizes["tracks", ""] == (682, raw[("track", "genre_top")].notna().sum())
    assert sizes["artists", ""][0] == len(set(raw[("artist", "id")]))
    assert sizes["albums", ""][0] == len(set(raw[("album", "id")][raw[("album", "id")] >= 0]))
    used = {genre for text in raw[("track", "genres")] for genre in ast.literal_eval(text)}
    top = set(genres.genre_id[genres.parent == 0])
    assert sizes["genres in use", ""][0] == len(used)
    assert sizes["subgenres in use", ""][0] == len(used - top)
    counts = raw[("track", "genre_top")].value_counts()
    by_genre = section(found, "top genres")
    assert {genre: by_genre["tracks", genre] for genre in counts.index} == {
        genre: (count, count) for genre, count in counts.items()
    }

    albums = {}
    for _, row in raw.iterrows():
        if row[("album", "id")] >= 0 and isinstance(row[("track", "genre_top")], str):
            albums.setdefault(row[("album", "id")], []).append(row[("track", "genre_top")])
    several = [tracks for tracks in albums.values() if len(tracks) > 1]
    shared = section(found, "albums")
    for which, chosen in (
        ("all albums", list(albums.values())),
        ("albums of two or more tracks", several),
    ):
        one = sum(len(set(tracks)) == 1 for tracks in chosen)
        assert shared["albums", f"{which}, by top genre"] == (len(chosen), len(chosen))
        assert shared["albums of one annotation", f"{which}, by top genre"] == (one, one)
    assert 0 < len(several) < len(albums)
