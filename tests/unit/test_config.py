"""The configuration: its defaults, and one clear sentence for every mistake."""

import copy
from pathlib import Path

import pytest
import yaml

from agf.config import check_config, is_downloaded, read_schema, schema_defaults
from agf.errors import UserError

ROOT = Path(__file__).parents[2]
SCHEMA = read_schema(ROOT / "workflow" / "schemas" / "config.schema.yaml")
CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text())

FOLDER = {"corpus": "mine", "source": "folder", "data_dir": ".", "audio_dir": "."}
FMA = {"corpus": "mine", "source": "fma", "audio_dir": "."}


def merged(config, overlay):
    config = copy.deepcopy(config)
    for key, value in overlay.items():
        nested = isinstance(value, dict) and isinstance(config.get(key), dict)
        config[key] = merged(config[key], value) if nested else value
    return config


def leaves(schema, prefix=""):
    for key, part in schema["properties"].items():
        if "properties" in part:
            yield from leaves(part, f"{prefix}{key}.")
        else:
            yield prefix + key, part


def test_config_yaml_is_the_schemas_defaults():
    assert schema_defaults(SCHEMA) == CONFIG


def test_the_default_is_accepted():
    assert check_config(CONFIG, SCHEMA) is None


def test_every_key_is_documented():
    for key, part in leaves(SCHEMA):
        assert part.get("description"), key


@pytest.mark.parametrize("path", sorted((ROOT / "config").glob("*.yaml")), ids=lambda p: p.stem)
def test_overlays_are_accepted(path, tmp_path):
    (tmp_path / "fma_metadata").mkdir()
    for name in ("tracks.csv", "genres.csv"):
        (tmp_path / "fma_metadata" / name).touch()
    config = merged(CONFIG, yaml.safe_load(path.read_text()))
    config = merged(config, {"data_dir": str(tmp_path), "corpus": "some"})
    (tmp_path / config["audio_dir"]).mkdir(exist_ok=True)
    assert check_config(config, SCHEMA) is None


@pytest.mark.parametrize("subset", ["small", "medium", "large"])
def test_fma_is_downloaded_to_its_own_folder_only(subset):
    overlay = yaml.safe_load((ROOT / "config" / f"fma_{subset}.yaml").read_text())
    config = merged(CONFIG, overlay)
    assert check_config(config, SCHEMA) is None  # though nothing is there yet
    assert is_downloaded(config)
    assert not is_downloaded(config | {"data_dir": "elsewhere"})
    with pytest.raises(UserError, match="elsewhere does not exist"):
        check_config(config | {"data_dir": "elsewhere"}, SCHEMA)
    assert not is_downloaded(CONFIG)


@pytest.mark.parametrize(
    ("overlay", "sentence"),
    [
        ({"sead": 1}, "config key sead is unknown; did you mean seeds?"),
        ({"networks": {"epoch": 1}}, "config key networks.epoch is unknown; did you mean epochs?"),
        ({"agf": 3}, "config key agf is 3; it must be a section with keys of its own."),
        ({"seeds": ["x"]}, "config key seeds.0 is 'x'; it must be a whole number"),
        ({"transfer": {"epochs": "5"}}, "give nested keys in a --configfile"),
        ({"data_dir": "music"}, "config key data_dir is 'music', but source is demo"),
        ({"audio_dir": "fma_medium"}, "config key audio_dir is 'fma_medium', but source is demo"),
        ({"source": "folder"}, "config key corpus is 'demo', the name of the generated corpus"),
        ({"corpus": "mine"}, "config key source is 'demo', the generated corpus, but corpus is"),
        ({"max_duration": 2}, "config key max_duration is 2, less than min_seconds 3.0"),
        ({"max_duration": "x"}, "max_duration is 'x'; it must be a number of at least 1.1 or null"),
        ({"offset": "end"}, "offset is 'end'; it must be middle or a number of at least 0."),
        ({"tags_file": 3}, "config key tags_file is 3; it must be a text or null."),
        ({"tags_file": "t.csv"}, "config key tags_file is 't.csv', but source is demo"),
        (FOLDER | {"tags_file": "t.csv"}, "config key tags_file: t.csv does not exist."),
        (FOLDER | {"split": {"kind": "paper"}}, "split.kind is 'paper', which only FMA has"),
        ({"split": {"kind": "date"}}, "config key split.kind is 'date'; it must be one of random,"),
        ({"split": {"kind": []}}, "it must be one of random, artist, album, fma, paper or a list"),
        ({"seeds": []}, "config key seeds is []; the list must not be empty."),
        ({"seeds": [1, 1]}, "config key seeds is [1, 1]; no entry may come twice."),
        ({"study": {"subset": ["gs", "sg"]}}, "study.subset: 'sg' is no combination of tasks"),
        (
            {"agf": {"dictionary_size": {"m": [8, 16], "d": [8, 16, 32]}}},
            "config key agf.dictionary_size has lists of different lengths",
        ),
        (
            FMA | {"data_dir": "tests", "split": {"kind": "fma", "repeats": 2}},
            "config key split.repeats is 2, but there is one split fma only",
        ),
        ({"networks": {"learning_rate": 0}}, "networks.learning_rate is 0; it must be more than 0"),
        (
            {"agf": {"n_topics": 1}},
            "n_topics is 1; it must be a whole number of at least 2 or a list of such.",
        ),
        ({"corpus": "../up"}, "config key corpus is '../up'; only letters, digits"),
        (FOLDER | {"data_dir": "nowhere"}, "config key data_dir: nowhere does not exist."),
        (FMA | {"data_dir": "nowhere"}, "config key data_dir: nowhere does not exist."),
        (FMA | {"data_dir": "."}, "config key data_dir: fma_metadata/tracks.csv does not exist."),
        ({"min_seconds": 1.1, "networks": {"crop_frames": 99}}, "config key min_seconds is 1.1"),
        ({"spectrogram": {"hop_length": 4096}}, "config key spectrogram.hop_length is 4096"),
    ],
)
def test_a_mistake_is_one_clear_sentence(overlay, sentence):
    with pytest.raises(UserError) as error:
        check_config(merged(CONFIG, overlay), SCHEMA)
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_key_is_named():
    config = copy.deepcopy(CONFIG)
    del config["transfer"]["epochs"]
    with pytest.raises(UserError, match=r"config key transfer\.epochs is missing"):
        check_config(config, SCHEMA)
