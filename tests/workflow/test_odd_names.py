"""Names that users give: of music files, folders, artists and genres, and what a name cannot be.

The odd names of the project's own folder and of FMA's go through all rules in test_determinism.py.
"""

import csv
import io
import os
import re
import shutil
from types import SimpleNamespace

import pandas as pd
import pytest
from test_sources import tag
from tiny_run import ROOT, TINY, copy_project, snakemake, write_config

from agf.cli import main
from agf.config import check_config, check_project_folder, read_schema, schema_defaults
from agf.errors import UserError
from agf.evaluation.metrics import evaluate_predictions

pytestmark = pytest.mark.workflow

SCHEMA = ROOT / "workflow" / "schemas" / "config.schema.yaml"

FILES = [
    b"it's",
    b'say "yes"',
    b"two  words ",
    b"line\nbreak",
    b"-rf",
    "\u00c4ngste".encode(),  # NFC
    "U\u0308bel".encode(),  # NFD
    "\U0001f3b5\u202e".encode(),
    b"back\\slash",
    b"$HOME",
    b"`touch trace` $(touch trace) ; touch trace",
    b"a;b&c|d>trace",
    b"*",
    b"?[x]",
    b"{x}{",
    b"{wildcards.shard} <results>",
    b"%s%d",
    "\u00e9".encode() * 100 + b"a" * 51,  # 255 bytes with its ending, the most a name can have
    b"Case",
    b"case",
    b"=cmd()",
    b"caf\xe9",  # Latin-1
    b"\x1b[31mred",
]
"""Names of music files, without their ending."""

NOT_UTF8 = {b"caf\xe9.mp3": "caf\\xe9.mp3", b"d\xe9j\xe0/vu.mp3": "d\\xe9j\\xe0/vu.mp3"}
"""Paths below the folder of music, and how they are shown."""

ODD_FOLDER = b"it's {x} <y> \n$HOME; \xc3\xa9"

ARTISTS = [
    "=cmd()|' /C calc'!A0",
    "O'Neil|<i>x</i>",
    "a\x1b[31m\nb",
    "{x} ${y} %s",
    '"',
    "1",
    "-",
    "\\",
]

GENRES = ["=1+1", "<script>alert(1)</script>|x`*_", '\u00dcn\u00ef\u2028code, "q"']

CASES = ("stn-g", "wstn-2-softmax")


@pytest.fixture(scope="module")
def odd(tiny, tmp_path_factory):
    """A folder of oddly named music, as far as rules read names: to the first predictions."""
    place = tmp_path_factory.mktemp("odd")
    clips = sorted((tiny / "data" / "tiny" / "audio").rglob("*.mp3"))
    assert len(clips) >= len(FILES) + 1
    music = place / "my 'music' {nothing"
    paths = [name + b".mp3" for name in FILES] + [b"d\xe9j\xe0/vu.mp3"]
    paths[1::3] = [ODD_FOLDER + b"/" + path for path in paths[1::3]]
    for i, (path, clip) in enumerate(zip(paths, clips, strict=False)):
        shutil.copyfile(clip, place / "clip.mp3")
        tag(place / "clip.mp3", artist=ARTISTS[i % 8], album="A", genre=GENRES[i % 3], title="T")
        there = os.path.join(os.fsencode(music), path)
        os.makedirs(os.path.dirname(there), exist_ok=True)
        shutil.copyfile(place / "clip.mp3", there)
    tags = place / "tags, 'mine'\n$HOME.csv"
    with open(tags, "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("path", "artist"), ("line\nbreak.mp3", 'from, the "file"')])
    folder = place / "My Projects" / "agf's copy"
    folder.mkdir(parents=True)
    copy_project(folder)
    # A brace is refused in a folder's path; a link of another name leads to it.
    (place / "-my 'music'").symlink_to(music)
    overlay = {"corpus": "odd", "source": "folder", "audio_dir": ".", "tags_file": str(tags)}
    write_config(folder, TINY | overlay | {"data_dir": str(place / "-my 'music'")})
    predictions = [f"results/odd/cases/random/seed0/{case}/predictions.parquet" for case in CASES]
    output = snakemake(folder, "targets", "results/odd/tables/baselines.csv", *predictions)
    return SimpleNamespace(
        folder=folder, results=folder / "results" / "odd", paths=paths, output=output
    )


def test_every_file_is_a_track_or_rejected_with_its_reason(odd):
    kept = pd.read_parquet(odd.results / "corpus" / "tracks.parquet")
    rejected = pd.read_parquet(odd.results / "corpus" / "rejected.parquet")
    named = {path: NOT_UTF8.get(path) or path.decode() for path in odd.paths}
    assert set(kept.path) == set(named.values()) - set(NOT_UTF8.values())
    assert len(kept) == len(odd.paths) - len(NOT_UTF8)
    assert set(rejected.path) == set(NOT_UTF8.values())
    assert set(rejected.reason) == {"unreadable: its name is not valid UTF-8; rename it"}
    for feature in ("mel", "mfcc", "essentia"):
        shards = (odd.results / "features" / feature).glob("*-of-002.parquet")
        ids = pd.concat([pd.read_parquet(path, columns=["track_id"]) for path in shards]).track_id
        assert sorted(ids) == list(kept.track_id)


def test_names_are_data_and_never_run(odd):
    made = {path.name for path in odd.folder.parents[1].rglob("*")}
    assert not made & {"trace", "trace.mp3"}, "a shell has read a name"
    assert "Traceback" not in odd.output


def test_names_in_tags_are_kept_on_one_line(odd):
    kept = pd.read_parquet(odd.results / "corpus" / "tracks.parquet").set_index("path")
    assert set(kept.genre_top) == {" ".join(genre.split()) for genre in GENRES}
    assert kept.artist["line\nbreak.mp3"] == 'from, the "file"'
    assert set(kept.artist) <= {
        'from, the "file"',
        *(" ".join(artist.replace("\x1b", " ").split()) for artist in ARTISTS),
    }


@pytest.mark.parametrize("case", CASES)
def test_odd_genres_are_predicted_and_scored(odd, case):
    path = odd.results / "cases" / "random" / "seed0" / case / "predictions.parquet"
    predictions = pd.read_parquet(path)
    genres = {" ".join(genre.split()) for genre in GENRES}
    assert set(predictions.columns) == {"track_id", "genre_top", *genres}
    metrics = evaluate_predictions(predictions)
    assert set(metrics["f1"]) <= genres and metrics["n_tracks"] == len(predictions) > 0


def test_csv_files_hold_the_names_unchanged(odd, capsys):
    with open(odd.results / "targets/random/s.top_words.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["label"] for row in rows} == {" ".join(genre.split()) for genre in GENRES}
    assert main(["rejected", str(odd.results)]) == 0
    listed = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert {row["path"] for row in listed} == set(NOT_UTF8.values())


def test_the_audit_is_a_page_without_foreign_markup(odd):
    page = (odd.results / "corpus" / "audit.md").read_text()
    assert "alert(1)" in page and not re.search(r"(?<!\\)<", page)
    assert "\x1b" not in page
    for table in re.findall(r"(?:^\|.*\n)+", page, re.M):
        cells = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(cells) == 1, table


def test_a_project_folder_that_cannot_be_is_one_sentence_before_any_job(tmp_path):
    folder = tmp_path / "a {copy}"
    folder.mkdir()
    copy_project(folder)
    output = snakemake(folder, "--dry-run", check=False)
    assert f"The workflow cannot run in {folder}, because of '{{' in the path: rename" in output
    assert "Traceback" not in output


@pytest.mark.parametrize(
    ("folder", "why"),
    [
        ("/home/{me}/agf", "because of '{' in the path"),
        ("/home/me}/agf", "because of '}' in the path"),
        ("/home/a:b/agf", "because of ':' in the path"),
        (os.fsdecode(b"/home/caf\xe9/agf"), "because the path is not UTF-8"),
    ],
)
def test_what_a_project_folder_cannot_be_called(folder, why):
    with pytest.raises(UserError) as error:
        check_project_folder(folder)
    assert why in str(error.value) and str(error.value).isprintable()


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("{x}", "has '{' in it"),
        ("x}", "has '}' in it"),
        ("<results>", "has '<results>' in it"),
        (os.fsdecode(b"caf\xe9"), "is not UTF-8"),
        ("a\0b", "cannot be read: embedded null byte"),
        ("a" * 300, "cannot be read: File name too long"),
        ("a\nb", "does not exist"),
    ],
)
@pytest.mark.parametrize("key", ["data_dir", "audio_dir", "tags_file"])
def test_a_path_that_cannot_be_is_one_sentence(tmp_path, key, name, why):
    folder = {"corpus": "mine", "source": "folder", "data_dir": str(tmp_path), "audio_dir": "."}
    schema = read_schema(SCHEMA)
    config = schema_defaults(schema) | folder
    assert check_config(config, schema) is None
    with pytest.raises(UserError) as error:
        check_config(config | {key: name}, schema)
    assert str(error.value).startswith(f"config key {key}: ") and why in str(error.value)
    assert str(error.value).isprintable()


def test_a_folder_may_be_named_like_a_file(tmp_path):
    (tmp_path / "my.csv").mkdir()
    folder = {"corpus": "mine", "source": "folder", "audio_dir": "my.csv"}
    schema = read_schema(SCHEMA)
    config = schema_defaults(schema) | folder | {"data_dir": str(tmp_path)}
    assert check_config(config, schema) is None


@pytest.mark.parametrize("corpus", ["mine\n", "a/b", "..", "-x", "{x}", "\u00e9", "a" * 101, ""])
def test_a_corpus_is_named_in_plain_letters(corpus):
    schema = read_schema(SCHEMA)
    config = schema_defaults(schema) | {"source": "folder", "corpus": corpus}
    with pytest.raises(UserError, match="config key corpus is "):
        check_config(config, schema)
