"""Whatever is written into a configuration, it is taken, or refused with the key named."""

import json
import os
from copy import deepcopy
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from agf.config import check_config, read_schema
from agf.errors import UserError

ROOT = Path(__file__).parents[2]
SCHEMA = read_schema(ROOT / "workflow" / "schemas" / "config.schema.yaml")
DEFAULT = yaml.safe_load((ROOT / "config.yaml").read_text())

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["demo", "fma", "folder", "all", "1e-3", "", "/", "..", "a\0b"])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)

ANY_SPEED = settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
"""How busy the machine is says nothing of the code."""


def paths_of(config, path=()):
    """Return the paths of all keys, sections before what they hold."""
    paths = []
    for key, value in config.items():
        paths.append((*path, key))
        if isinstance(value, dict):
            paths += paths_of(value, (*path, key))
    return paths


PATHS = st.sampled_from(paths_of(DEFAULT))


def section(config, path):
    for key in path[:-1]:
        config = config[key]
    return config


def is_finite(config):
    try:
        json.dumps(config, allow_nan=False)
    except ValueError:
        return False
    return True


def taken(config):
    """Return whether a configuration is taken; what refuses it is one sentence and a UserError."""
    try:
        check_config(config, SCHEMA)
    except UserError as error:
        text = str(error)
        assert "\n" not in text.strip()
        assert "config key" in text
        return text
    # No job could compute with what is not a number.
    assert is_finite(config)
    return None


@settings(ANY_SPEED, max_examples=400)
@example(("mfcc",), {"\n": None})
@given(PATHS, VALUES)
def test_another_value_is_taken_or_refused_by_its_key(path, value):
    config = deepcopy(DEFAULT)
    section(config, path)[path[-1]] = value
    text = taken(config)
    # Keys that have to agree are named together, so the one that was changed is among them.
    assert text is None or path[-1] in text or path[0] in text


@settings(ANY_SPEED, max_examples=100)
@given(PATHS)
def test_a_missing_key_is_named(path):
    config = deepcopy(DEFAULT)
    del section(config, path)[path[-1]]
    assert f"config key {'.'.join(path)} is missing" in taken(config)


@settings(ANY_SPEED, max_examples=200)
@given(PATHS, st.text() | st.integers() | st.none(), VALUES)
def test_an_unknown_key_is_named(path, name, value):
    config = deepcopy(DEFAULT)
    place = section(config, path)
    if name in place:
        return
    place[name] = value
    key = ".".join((*path[:-1], str(name)))
    shown = key if key.isprintable() else repr(key)
    assert f"config key {shown} is unknown" in taken(config)


@settings(ANY_SPEED, max_examples=300)
@given(st.lists(st.tuples(PATHS, VALUES), min_size=2, max_size=4))
def test_several_changes_never_raise_anything_else(changes):
    config = deepcopy(DEFAULT)
    for path, value in changes:
        place = config
        for key in path[:-1]:
            place = place.get(key) if isinstance(place, dict) else None
        if isinstance(place, dict):
            place[path[-1]] = value
    taken(config)


@settings(ANY_SPEED, max_examples=200)
@given(st.sampled_from(["data_dir", "audio_dir", "tags_file"]), st.text())
def test_whatever_is_given_as_a_path_is_looked_for_and_not_more(key, text):
    config = deepcopy(DEFAULT)
    config |= {"corpus": "mine", "source": "folder", "data_dir": os.curdir, "audio_dir": os.curdir}
    config[key] = text
    refused = taken(config)
    assert refused is None or key in refused


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_is_not_a_number_is_refused(value):
    for path in (("networks", "learning_rate"), ("offset",), ("spectrogram", "top_db")):
        config = deepcopy(DEFAULT)
        section(config, path)[path[-1]] = value
        assert path[-1] in taken(config)
