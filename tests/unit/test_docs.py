"""The documentation: it builds without a warning, links lead somewhere, and no key is missing."""

import importlib.util
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml

from agf.config import read_schema

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
NEEDED = ("sphinx", "furo", "myst_parser", "numpydoc")


def load_generator():
    path = ROOT / "docs" / "configuration_page.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def keys_of(section, path=""):
    for name, value in section.items():
        if isinstance(value, dict):
            yield from keys_of(value, f"{path}{name}.")
        else:
            yield f"{path}{name}", value


def rows_of(page):
    return [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| `")]


class Loaded(HTMLParser):
    """What a browser fetches by itself when it shows a page."""

    def __init__(self, page):
        super().__init__()
        self.addresses = []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        kinds = (found.get("rel") or "").split()
        if tag != "a" and not (tag == "link" and {"index", "search", "next", "prev"} & set(kinds)):
            self.addresses += [found[name] for name in ("src", "href", "srcset") if found.get(name)]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built site; `make docs` calls Sphinx in the same way."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-d", str(out / "trees")]
    done = subprocess.run(
        [*command, str(ROOT / "docs"), str(out / "html")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return out / "html"


def test_the_site_builds_without_warnings_and_has_every_page(site):
    for page in PAGES[1:]:
        assert (site / f"{page.stem}.html").is_file(), page.name


def test_every_module_is_in_the_reference(site):
    folder = ROOT / "src"
    for path in sorted((folder / "agf").rglob("*.py")):
        if path.stem == "__main__":
            continue
        name = ".".join(path.relative_to(folder).with_suffix("").parts).removesuffix(".__init__")
        assert (site / "generated" / f"{name}.html").is_file(), name
    # One function, by its signature and the first sentence of its docstring.
    page = (site / "generated" / "agf.features.mel.html").read_text()
    assert 'id="agf.features.mel.mel_spectrogram_db"' in page
    assert "Return the mel spectrogram of a signal in dB." in page


def test_pages_fetch_nothing_from_another_host(site):
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 20
    for page in pages:
        addresses = Loaded(page.read_text()).addresses
        assert any("furo" in address for address in addresses), page
        assert not [a for a in addresses if re.match(r"([a-z]+:)?//", a)], page
    for sheet in site.rglob("*.css"):
        assert not re.search(r"(url\(|@import)\s*[\"']?([a-z]+:)?//", sheet.read_text()), sheet


def test_every_key_of_the_configuration_is_in_the_site(site):
    page = (site / "configuration.html").read_text()
    for key, _ in keys_of(yaml.safe_load((ROOT / "config.yaml").read_text())):
        assert f'<span class="pre">{key}</span>' in page, key


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_relative_links_lead_to_files(path):
    text = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.M | re.S)
    links = re.findall(r"\]\(([^)\s]+)\)", text)
    for link in links:
        target = link.partition("#")[0]
        if target and not re.match(r"[a-z]+:", target):
            assert (path.parent / target).exists(), link


def test_the_configuration_page_has_every_key_once_with_its_default():
    schema = read_schema(ROOT / "workflow" / "schemas" / "config.schema.yaml")
    rows = rows_of(load_generator().configuration_page(schema))
    found = {row[0].strip("`"): row[2].strip("`") for row in rows if row[1] != "section"}
    assert len(found) == len([row for row in rows if row[1] != "section"])
    wanted = dict(keys_of(yaml.safe_load((ROOT / "config.yaml").read_text())))
    assert {key: yaml.safe_load(default) for key, default in found.items()} == wanted
    assert all(len(row) == 4 and row[3] for row in rows)


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ({"type": "integer", "minimum": 1, "maximum": 9}, "whole number, at least 1, at most 9"),
        ({"type": ["string", "null"], "minLength": 1}, "text or `null`"),
        ({"enum": ["a", "b"]}, "one of `a`, `b`"),
        ({"anyOf": [{"const": "middle"}, {"type": "number"}]}, "`middle`, or number"),
        (
            {"anyOf": [{"enum": ["a"]}, {"type": "array", "items": {"enum": ["a"]}}]},
            "one of `a`, or a list of these",
        ),
        ({"type": "number", "exclusiveMinimum": 0}, "number, more than 0"),
        ({"type": "array", "items": {"type": "integer"}}, "list of: whole number"),
    ],
)
def test_types_are_told_in_words(part, words):
    assert load_generator().describe_type(part) == words


def test_descriptions_cannot_break_the_table():
    part = {"type": "boolean", "default": True, "description": "a|b and *c* <d> [e]"}
    page = load_generator().configuration_page({"properties": {"key": part}})
    line = r"| `key` | `true` or `false` | `true` | a\|b and \*c\* \<d> \[e\] |"
    assert line in page.splitlines()
