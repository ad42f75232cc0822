"""What a change reruns: one folder of `rerun/` per case."""

import os
import shutil
from copy import deepcopy
from pathlib import Path

import pytest
import soundfile
import yaml
from conftest import TINY, planned, snakemake, write_config

CASES = sorted((Path(__file__).parent / "rerun").glob("*/case.yaml"))


def merged(config, overlay):
    config = deepcopy(config)
    for key, value in overlay.items():
        config[key] = merged(config.get(key, {}), value) if isinstance(value, dict) else value
    return config


def change(folder, case):
    write_config(folder, merged(TINY, case.get("config", {})))
    for edit in case.get("edit", []):
        with open(folder / edit["file"], "a") as file:
            file.write(edit["append"])
    clip = sorted((folder / "data" / "tiny" / "audio").rglob("*.mp3"))[5]
    if case.get("touch_clip"):
        clip.touch()
    if case.get("replace_clip"):
        samples, rate = soundfile.read(clip)
        soundfile.write(clip, samples[::-1], rate, format="MP3")


def copy(source, target):
    """Copy a file with its date; what is large and never written in place is linked."""
    large = Path(source).suffix == ".safetensors"
    (os.link if large else shutil.copy2)(source, target)


@pytest.mark.workflow
@pytest.mark.parametrize("path", CASES, ids=lambda path: path.parent.name)
def test_rerun(path, tiny, tmp_path):
    case = yaml.safe_load(path.read_text())
    folder = tmp_path / "copy"
    shutil.copytree(tiny, folder, copy_function=copy)
    change(folder, case)
    target = [case["target"]] if "target" in case else []
    if not case.get("run"):
        assert planned(snakemake(folder, "--dry-run", *target)) == case["expect"]
        return
    before = {path: path.stat().st_mtime_ns for path in (folder / "results").rglob("*.log")}
    snakemake(folder, *target)
    logs = [p for p in (folder / "results").rglob("*.log") if p.stat().st_mtime_ns != before.get(p)]
    rules = [log.relative_to(folder / "results/tiny/logs").parts[0] for log in logs]
    rules = [rule.removesuffix(".log") for rule in rules]
    assert {rule: rules.count(rule) for rule in rules} == case["expect"]
    for rule, words in case.get("logs", {}).items():
        (log,) = [log for log in logs if rule in log.parts]
        assert words in log.read_text()
