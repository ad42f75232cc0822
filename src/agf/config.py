"""Checking the configuration against its schema, one clear sentence per mistake."""

import math
import os
import re
import stat
from difflib import get_close_matches
from pathlib import Path

import jsonschema
import yaml

from agf.corpus.archive import ARCHIVES
from agf.errors import UserError
from agf.study import DRAWN, chosen_cases, listed, unknown_in_subset
from agf.tasks import ALL_TASKS

DOWNLOAD_FOLDER = "data/fma"
"""Where FMA is downloaded to, and nothing else is."""

MEANS_SOMETHING = re.compile("[{}]|<[a-z][a-z0-9_]*>")
"""Wildcards and path variables: what Snakemake replaces in the paths of a rule's files."""

MOST_PLANTED = 7
"""Cases that the figure of the planted groups can tell apart."""

DEMO_FOLDER = {"data_dir": "data/demo", "audio_dir": "audio"}
"""Where the demo corpus is generated, and nowhere else."""


def read_schema(path):
    """Read ``workflow/schemas/config.schema.yaml``."""
    return yaml.safe_load(Path(path).read_text(encoding="utf-8"))


def schema_defaults(schema):
    """Return the configuration that consists of the schema's defaults alone."""
    return {
        key: schema_defaults(part) if "properties" in part else part["default"]
        for key, part in schema["properties"].items()
    }


def check_config(config, schema):
    """Refuse a configuration that the workflow could not run.

    Parameters
    ----------
    config : dict
        The configuration, overlays merged.
    schema : dict
        JSON schema, as :func:`read_schema` returns it.

    Raises
    ------
    UserError
        Naming the first key that is unknown, missing or has an impossible value, or the path that
        does not exist or has a name that the workflow cannot take.
    """
    validator = jsonschema.Draft202012Validator(schema)
    for error in sorted(validator.iter_errors(config), key=lambda error: list(error.path)):
        raise UserError(_sentence(error))
    _check_finite(config)
    spectrogram = config["spectrogram"]
    if spectrogram["hop_length"] > spectrogram["n_fft"]:
        raise UserError(
            f"config key spectrogram.hop_length is {spectrogram['hop_length']}, more than "
            f"spectrogram.n_fft {spectrogram['n_fft']}: frames would skip samples."
        )
    if config["mfcc"]["n_mfcc"] > spectrogram["n_mels"]:
        raise UserError("config key mfcc.n_mfcc is more than spectrogram.n_mels.")
    crop = config["networks"]["crop_frames"] * spectrogram["hop_length"]
    if crop / spectrogram["sample_rate"] > config["min_seconds"]:
        raise UserError(
            f"config key min_seconds is {config['min_seconds']}, shorter than a crop of "
            f"{crop / spectrogram['sample_rate']:.2f} s (networks.crop_frames): raise it."
        )
    demo = config["demo"]
    if demo["min_seconds"] > demo["max_seconds"]:
        raise UserError("config key demo.min_seconds is more than demo.max_seconds.")
    if config["max_duration"] is not None and config["max_duration"] < config["min_seconds"]:
        raise UserError(
            f"config key max_duration is {config['max_duration']}, less than min_seconds "
            f"{config['min_seconds']}: every longer track would be too short."
        )
    _check_study(config)
    _check_planted(config)
    _check_names(config)
    _check_source(config)


def check_project_folder(folder):
    """Refuse a folder in which the workflow cannot run because of its name.

    Parameters
    ----------
    folder : str or pathlib.Path
        Where the Snakefile is.

    Raises
    ------
    UserError
        Where the path has a brace, which Snakemake reads as the beginning or end of a wildcard, the
        separator of the folders in ``PYTHONPATH``, or bytes that are not UTF-8.
    """
    path = os.fspath(folder)
    for character in ("{", "}", os.pathsep):
        if character in path:
            raise UserError(
                f"The workflow cannot run in {_shown(path)}, because of {character!r} in the path: "
                "rename the folder, or move the project."
            )
    if not _is_utf8(path):
        raise UserError(
            f"The workflow cannot run in {_shown(path)}, because the path is not UTF-8: rename the "
            "folder, or move the project."
        )


def is_downloaded(config):
    """Return whether the workflow downloads the corpus itself: FMA's clips, to their own folder."""
    return (
        config["source"] == "fma"
        and os.path.normpath(config["data_dir"]) == DOWNLOAD_FOLDER
        and config["audio_dir"] in ARCHIVES
    )


def _check_subset(config, key):
    unknown = unknown_in_subset(config)
    if unknown is not None:
        raise UserError(
            f"config key {key}: {unknown!r} is no combination of tasks, in the order "
            f"{''.join(ALL_TASKS)}, "
            "and no case like stn-gs, mtn-gsedm or wstn-3."
        )


def _check_planted(config):
    as_study = config | {"study": {"subset": config["planted"]["subset"]}}
    _check_subset(as_study, "planted.subset")
    cases = [case.name for case in chosen_cases(as_study)]
    if "stn-g" not in cases or not 2 <= len(cases) <= MOST_PLANTED:
        raise UserError(
            f"config key planted.subset stands for {', '.join(cases)}: give g, which the others "
            f"are compared with, and others, {MOST_PLANTED} cases in all at most."
        )


def _check_study(config):
    _check_subset(config, "study.subset")
    sizes = config["agf"]["dictionary_size"]
    lengths = {len(size) for size in sizes.values() if isinstance(size, list) and len(size) > 1}
    if len(lengths) > 1:
        raise UserError(
            "config key agf.dictionary_size has lists of different lengths: the sizes of m, d and "
            "e at the same place go together."
        )
    kinds = listed(config["split"]["kind"])
    if config["split"]["repeats"] > 1 and not set(kinds) & set(DRAWN):
        raise UserError(
            f"config key split.repeats is {config['split']['repeats']}, but there is one split "
            f"{kinds[0]} only: set it to 1, or split.kind to random, artist or album."
        )


def _check_names(config):
    for key in ("data_dir", "audio_dir", "tags_file"):
        path = config[key] or ""
        found = MEANS_SOMETHING.search(path)
        if found:
            raise UserError(
                f"config key {key}: {_shown(path)} has {found[0]!r} in it, which means something "
                "else to Snakemake: rename it, or give a symbolic link to it of another name."
            )
        if not _is_utf8(path):
            raise UserError(
                f"config key {key}: {_shown(path)} is not UTF-8: rename it, or give a symbolic "
                "link to it of another name."
            )


def _check_source(config):
    source, corpus = config["source"], config["corpus"]
    if corpus == "demo" and source != "demo":
        raise UserError(
            f"config key corpus is 'demo', the name of the generated corpus, but source is "
            f"{source}: give corpus another name, for example --config corpus=mine."
        )
    if source == "demo":
        _check_demo_folder(config)
        if corpus != "demo":
            raise UserError(
                f"config key source is 'demo', the generated corpus, but corpus is {corpus!r}: set "
                "source to folder (a tree of tagged music files) or fma (FMA's layout), or take "
                "config/folder.yaml or config/small.yaml."
            )
    elif not is_downloaded(config):
        _check_data(config)
    if config["tags_file"] is not None:
        if source != "folder":
            raise UserError(
                f"config key tags_file is {config['tags_file']!r}, but source is {source}: only a "
                "folder of tagged files has one."
            )
        _require("tags_file", config["tags_file"], "file")
    for kind in listed(config["split"]["kind"]):
        if source == "folder" and kind in ("fma", "paper"):
            raise UserError(
                f"config key split.kind is {kind!r}, which only FMA has: take artist, album or "
                "random."
            )


def _check_demo_folder(config):
    # Snakemake empties the folders that a job writes before it starts: the generated corpus must
    # never be sent to where somebody keeps music.
    for key, place in DEMO_FOLDER.items():
        if config[key] != place:
            raise UserError(
                f"config key {key} is {config[key]!r}, but source is demo, the corpus that is "
                f"generated in {DEMO_FOLDER['data_dir']}: for music of your own set source to "
                "folder or fma and corpus to another name, or take config/folder.yaml."
            )


def _check_data(config):
    data_dir = Path(config["data_dir"])
    _require("data_dir", data_dir, "folder")
    if config["source"] == "fma":
        for name in ("tracks.csv", "genres.csv"):
            _require("data_dir", data_dir / "fma_metadata" / name, "file")
    _require("audio_dir", data_dir / config["audio_dir"], "folder")


def _require(key, path, kind):
    """Refuse a path that does not lead to a file or to a folder, as `kind` says."""
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"config key {key}: {_shown(path)} does not exist.") from None
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise UserError(f"config key {key}: {_shown(path)} cannot be read: {why}.") from None
    if not (stat.S_ISDIR(mode) if kind == "folder" else stat.S_ISREG(mode)):
        raise UserError(f"config key {key}: {_shown(path)} is not a {kind}.")


def _check_finite(section, path=""):
    """Refuse .nan and .inf, which are numbers to YAML and to a schema."""
    for key, value in section.items():
        if isinstance(value, dict):
            _check_finite(value, f"{path}{key}.")
        for number in listed(value):
            if isinstance(number, float) and not math.isfinite(number):
                raise UserError(f"config key {path}{key} is {number}; it must be a finite number.")


def _is_utf8(text):
    """Return whether a text is free of the surrogates that stand for bytes that are not UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _shown(name):
    """Return a path or key as it is read in a message of one line."""
    return str(name) if str(name).isprintable() else repr(str(name))


def _sentence(error):
    key = ".".join(str(part) for part in error.path)
    if error.validator == "additionalProperties":
        known = error.schema["properties"]
        unknown = sorted(str(name) for name in error.instance if name not in known)
        name = f"{key}.{unknown[0]}" if key else unknown[0]
        near = get_close_matches(unknown[0], known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known here: {', '.join(sorted(known))}."
        return f"config key {_shown(name)} is unknown; {hint}"
    if error.validator == "required":
        missing = sorted(set(error.validator_value) - set(error.instance))
        name = f"{key}.{missing[0]}" if key else missing[0]
        return f"config key {name} is missing."
    wanted = {
        "type": lambda value: f"it must be {_article(value)}",
        "enum": lambda value: f"it must be one of {', '.join(map(str, value))}",
        "const": lambda value: f"it must be {value}",
        "minimum": lambda value: f"it must be at least {value}",
        "maximum": lambda value: f"it must be at most {value}",
        "exclusiveMinimum": lambda value: f"it must be more than {value}",
        "minLength": lambda value: "it must not be empty",
        "maxLength": lambda value: f"it must have at most {value} characters",
        "pattern": lambda value: "only letters, digits, '_', '.' and '-' are allowed",
        "anyOf": lambda value: "it must be " + " or ".join(map(_alternative, value)),
        "minItems": lambda value: "the list must not be empty",
        "uniqueItems": lambda value: "no entry may come twice",
    }
    hint = wanted[error.validator](error.validator_value)
    if error.validator_value in ("integer", "number") and isinstance(error.instance, str):
        # YAML takes 1e-3 for a text, and Snakemake's --config takes every nested value for one.
        hint += " (write 0.001 for 1e-3, and give nested keys in a --configfile)"
    return f"config key {key} is {error.instance!r}; {hint}."


def _alternative(schema):
    if "const" in schema:
        return str(schema["const"])
    if schema.get("type") == "array":
        return "a list of such"
    if "enum" in schema:
        return f"one of {', '.join(map(str, schema['enum']))}"
    least = f" of at least {schema['minimum']}" if "minimum" in schema else ""
    return _article(schema["type"]) + least


def _article(kind):
    if isinstance(kind, list):
        return " or ".join(map(_article, kind))
    names = {
        "integer": "a whole number",
        "number": "a number",
        "string": "a text",
        "boolean": "true or false",
        "object": "a section with keys of its own",
        "null": "null",
        "array": "a list",
    }
    return names[kind]
