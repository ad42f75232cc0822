"""The model folder: a trained case with all that is needed to use it on new music."""

import json
import os
import shutil
from importlib.metadata import version
from pathlib import Path

from agf.corpus.tracks import read_part, read_tracks
from agf.errors import UserError
from agf.export.card import model_card
from agf.export.groups import describe_groups
from agf.export.onnx_file import OPSET, TOLERANCE, check_onnx, output_names, write_onnx
from agf.export.system import load_system
from agf.files import write_json, write_text
from agf.networks.model import load_weights
from agf.predict.model import FORMAT
from agf.provenance import file_digest
from agf.study import agf_of_cases, agf_variants, network_folder, split_of, splits
from agf.tasks import all_cases, case_by_name
from agf.transfer.mlp import load_mlp

SPECTROGRAM = ("sample_rate", "n_fft", "hop_length", "n_mels", "top_db")


def export_case(results, name, out, split=None, seed=None):
    """Write a trained case of a finished run as a model folder.

    Parameters
    ----------
    results : str or pathlib.Path
        ``results/{corpus}``.
    name : str
        The case, for example ``mtn-gsedm``. Of a case that repeats another one (``mtn-g``), that
        one is written (``stn-g``).
    out : str or pathlib.Path
        The folder to write: ``config.json``, ``model.onnx``, the weights of the networks and of the
        MLP as safetensors, the artist groups of its AGF tasks, ``groups.json``, and a model card,
        ``README.md``. A model folder that is there already is replaced. The same results give the
        same bytes.
    split : str, optional
        A folder of ``results/{corpus}/cases``: the split, with what differs from the run's own
        (:mod:`agf.study`); by default the run's own split.
    seed : int, optional
        One of the run's seeds; by default the first.

    Returns
    -------
    dict
        What is in ``config.json``.

    Raises
    ------
    UserError
        If the case or what it is made of is not there, if files are not those of the run's
        provenance, if `out` is something else than a model folder, or if ONNX and torch differ.
    """
    results, out = Path(results), Path(out).resolve()
    case = _find_case(name)
    provenance = _read_provenance(results)
    configuration = provenance["configuration"]
    split, seed = _choose(results, configuration, split, seed)
    case_folder = results / "cases" / split / f"seed{seed}" / case.name
    agf = agf_of_cases(configuration, split)
    sources = {"mlp.safetensors": case_folder / "mlp.safetensors"}
    for network in dict.fromkeys(case.networks):
        sources[f"{network}.safetensors"] = (
            results
            / "networks"
            / network_folder(agf, network)
            / f"seed{seed}"
            / network
            / "weights.safetensors"
        )
    targets = {
        task: results / "targets" / agf / f"{task}.parquet" for task in case.tasks if task != "g"
    }
    scores = [case_folder / "predictions.parquet", case_folder / "metrics.json"]
    needed = [*sources.values(), *targets.values(), *scores]
    _check_files(results, needed, provenance)
    _check_out(out)

    temporary = out.with_name(f".{out.name}.{os.getpid()}")
    temporary.mkdir(parents=True)
    try:
        for file, source in sources.items():
            shutil.copyfile(source, temporary / file)
        fit_on = agf_variants(configuration)[agf]["fit_on"]
        config = _describe(case, temporary, provenance, split, seed, fit_on)
        config["onnx"] |= _write_checked_onnx(temporary, config)
        tracks = read_tracks(results / "corpus" / "tracks.parquet")
        write_json(describe_groups(targets, tracks), temporary / config["groups"])
        config["sha256"] = {
            file: file_digest(temporary / file)
            for file in sorted([*sources, config["onnx"]["file"], config["groups"]])
        }
        metrics = json.loads((case_folder / "metrics.json").read_text(encoding="utf-8"))
        card = model_card(
            config,
            configuration,
            tracks,
            read_part(results / "splits" / f"{split_of(split)}.parquet", "train"),
            case_folder / "predictions.parquet",
            metrics,
        )
        write_text(card, temporary / "README.md")
        write_json(config, temporary / "config.json")
        if out.exists():
            shutil.rmtree(out)
        os.replace(temporary, out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return config


def _find_case(name):
    if name.endswith("-softmax"):
        raise UserError(
            f"{name} is a network's own softmax, without an MLP of its own: export "
            f"{name.removesuffix('-softmax')}."
        )
    try:
        case = case_by_name(name)
    except KeyError:
        examples = ", ".join(case.name for case in all_cases()[-7:])
        raise UserError(
            f"There is no case {name!r}: a case is stn- or mtn- and letters of gsedm in that "
            f"order, or wstn-2 to wstn-5, such as {examples}."
        ) from None
    return case_by_name(case.alias_of) if case.alias_of else case


def _read_provenance(results):
    path = results / "provenance.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: finish the run first.") from None
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error}); delete it and finish the run.") from error


def _choose(results, configuration, split, seed):
    """Return split and seed: those wanted, or the run's own."""
    folder = results / "cases"
    split = splits(configuration)[0] if split is None else split
    _check_there(split, folder, "split")
    seed = configuration["seeds"][0] if seed is None else seed
    _check_there(f"seed{seed}", folder / split, "seed")
    return split, seed


def _check_there(name, folder, what):
    there = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    if name not in there:
        raise UserError(
            f"{folder} has no {what} {name}, only {', '.join(there) or 'nothing'}: give another "
            f"--{what} or finish the run."
        )


def _check_files(results, paths, provenance):
    """Refuse files that are missing or are not those whose provenance the folder will carry."""
    for path in paths:
        if not path.is_file():
            raise UserError(f"{path} does not exist: run the workflow to its end first.")
        expected = provenance["files"].get(path.relative_to(results).as_posix())
        if expected not in (None, file_digest(path)):
            raise UserError(
                f"{path} is not what {results / 'provenance.json'} records: finish the run first."
            )


def _check_out(out):
    config = out / "config.json"
    if out.is_dir() and not any(out.iterdir()):
        return
    if out.exists() and not (config.is_file() and FORMAT in config.read_text("utf-8", "replace")):
        raise UserError(f"{out} exists and is no model folder: give another --out.")


def _describe(case, folder, provenance, split, seed, fit_on):
    """Return what ``config.json`` says, but for the ONNX file's check and the digests."""
    configuration = provenance["configuration"]
    _, mlp = load_mlp(folder / "mlp.safetensors")
    networks = []
    for name in dict.fromkeys(case.networks):
        file = f"{name}.safetensors"
        _, trained = load_weights(folder / file)
        networks.append(
            {"name": name, "tasks": trained["tasks"], "file": file, "scaler": trained["scaler"]}
        )
    return {
        "format": FORMAT,
        "case": case.name,
        "tasks": case.tasks,
        "genres": mlp["genres"],
        "spectrogram": {key: configuration["spectrogram"][key] for key in SPECTROGRAM},
        "window": {
            "frames": trained["settings"]["crop_frames"],
            "hop_frames": configuration["transfer"]["hop_frames"],
        },
        "excerpt": {key: configuration[key] for key in ("max_duration", "offset")},
        "networks": networks,
        "mlp": "mlp.safetensors",
        "groups": "groups.json",
        "onnx": {
            "file": "model.onnx",
            "opset": OPSET,
            "input": "mel_db",
            "tolerance": TOLERANCE,
        },
        "trained_on": {
            "corpus": configuration["corpus"],
            "split": split,
            "seed": seed,
            "fit_rows": mlp["settings"]["fit_rows"],
            "fit_on": None if case.tasks == "g" else fit_on,
        },
        "provenance": provenance["hash"],
        "versions": {
            "trained": provenance["versions"],
            "exported": {name: version(name) for name in ("agf", "onnx", "onnxruntime", "torch")},
        },
    }


def _write_checked_onnx(folder, config):
    system = load_system(folder, config)
    path = folder / config["onnx"]["file"]
    n_frames = config["window"]["frames"]
    write_onnx(system, config["spectrogram"]["n_mels"], n_frames, path)
    difference = check_onnx(system, n_frames, path)
    return {"outputs": output_names(system), "max_difference": difference}
