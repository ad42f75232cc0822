"""The house rules a machine can check: imports run one way, versions agree, rules are whole."""

import ast
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
TARGETS = {"corpus", "features", "targets", "networks", "transfer", "tables", "planted"}
STAGES = ["corpus", "features", "targets", "networks", "transfer", "evaluation"]
MODULES = sorted((ROOT / "src" / "agf").rglob("*.py"))
SCRIPTS = sorted((ROOT / "workflow" / "scripts").glob("*.py"))
RULES = sorted((ROOT / "workflow" / "rules").glob("*.smk"))
RULES_TEXT = "\n".join(path.read_text() for path in RULES)


def read_lock():
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    return dict(line.split("==") for line in lines if not line.startswith("#"))


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT / "src" / "agf")))
def test_imports_run_downwards(path):
    stage = path.parent.name
    allowed = STAGES[: STAGES.index(stage) + 1] if stage in STAGES else STAGES
    for name in imported(path):
        assert not name.startswith("snakemake"), f"{path.name} imports {name}"
        parts = name.split(".")
        if parts[0] == "agf" and len(parts) > 1 and parts[1] in STAGES:
            assert parts[1] in allowed, f"{stage} imports {name}"


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_scripts_hold_no_logic(path):
    tree = ast.parse(path.read_text())
    lines = [line for line in path.read_text().splitlines() if line.strip()]
    assert len(lines) <= 30
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.While)]


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.stem)
def test_rules_are_documented_and_complete(path):
    text = path.read_text()
    assert text.startswith('"""')
    rules = re.split(r"^ *(?:rule|checkpoint) ", text, flags=re.M)[1:]
    for rule in rules:
        name = rule.partition(":")[0]
        wanted = ["message:"]
        if name not in TARGETS:
            wanted += ["log:", "benchmark:", "threads:", "resources:", "conda:", "script:"]
        for directive in wanted:
            assert re.search(rf"^ +{directive}", rule, re.M), f"{name} has no {directive}"


def test_reading_the_workflow_imports_nothing_slow():
    """Every job reads it anew: what is imported there, a grid imports a hundred times."""
    imports = re.findall(
        r"^from agf.* import [^(]*?$|^from agf.* import \([^)]*\)$", RULES_TEXT, re.M
    )
    assert len(imports) > 20
    script = "\n".join([*imports, "import sys", "print(*sys.modules)"])
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = set(run.stdout.split())
    assert "agf.study" in loaded
    assert not loaded & {"librosa", "pandas", "scipy", "sklearn", "soundfile", "torch"}


@pytest.mark.parametrize("stage", ["targets", "networks", "transfer", "tables"])
def test_rules_below_the_digests_ask_for_them(stage):
    # Else Snakemake does not look at them again when the digests come out as they were.
    text = (ROOT / "workflow" / "rules" / f"{stage}.smk").read_text()
    rules = re.split(r"^ *(?:rule|checkpoint) ", text, flags=re.M)[1:]
    rules = [rule for rule in rules if not rule.startswith("digest_contents")]
    names = [rule.partition(":")[0] for rule in rules]
    assert set(names) > {stage}
    for name, rule in zip(names, rules, strict=True):
        if name not in TARGETS | {"split_tracks"}:
            assert re.search(r'^ +contents=after\("digests", ', rule, re.M), name


def test_installed_versions_are_the_locked_ones():
    for name, wanted in read_lock().items():
        assert version(name).partition("+")[0] == wanted, name


@pytest.mark.parametrize("path", sorted((ROOT / "envs").glob("*.yaml")), ids=lambda p: p.stem)
def test_conda_environments_agree_with_the_lock(path):
    lock = read_lock()
    dependencies = yaml.safe_load(path.read_text())["dependencies"]
    (packages,) = [part["pip"] for part in dependencies if isinstance(part, dict)]
    assert packages
    for package in packages:
        name, wanted = package.split("==")
        assert lock[name] == wanted, name
