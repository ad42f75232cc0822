"""The image of the Containerfile, built and run without a registry and without a network."""

import shutil
import subprocess
from pathlib import Path

import pytest
from debian import CannotRunHere, install
from tiny_run import ROOT

from agf.cli import main

pytestmark = pytest.mark.workflow

PROGRAMS = PACKAGES = ("debootstrap", "podman", "buildah", "runc")

LIMITS = ("--ulimit", "nofile=20000:20000", "--ulimit", "nproc=1000:1000")
"""A container asks for more than some machines allow."""


@pytest.fixture(scope="module")
def podman(exported, tmp_path_factory):
    """Return the command that runs the image, built with a case that has two networks."""
    try:
        install(PROGRAMS, PACKAGES)
    except CannotRunHere as error:
        pytest.skip(f"no image is built: {error}")
    context, work = tmp_path_factory.mktemp("context"), tmp_path_factory.mktemp("image")
    for name in ("Containerfile", ".containerignore", "requirements.lock"):
        shutil.copy(ROOT / name, context)
    for name in ("src", "envs"):
        shutil.copytree(ROOT / name, context / name)
    shutil.copytree(exported("stn-gs"), context / "model")
    script = Path(__file__).with_name("build_without_registry.sh")
    built = subprocess.run([script, context, work], capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    storage = ["--root", work / "images", "--runroot", work / "run", "--storage-driver", "vfs"]
    yield [
        *("podman", *storage, "--runtime", "runc", "--cgroup-manager", "cgroupfs"),
        *("run", "--rm", "--network", "none", "--read-only", "--tmpfs", "/tmp", *LIMITS),
    ]
    subprocess.run(["podman", *storage, "rmi", "--all", "--force"], check=True, capture_output=True)


@pytest.fixture
def clips(small_run, tmp_path):
    """Every clip of the small run, and one that is none."""
    folder = tmp_path / "clips"
    shutil.copytree(small_run / "audio", folder)
    (folder / "000099.mp3").write_text("no music")
    return folder


def test_clips_in_and_the_same_table_out(podman, clips, exported, capsys):
    command = [*podman, "--volume", f"{clips}:/clips:ro", "agf-predict"]
    run = subprocess.run(command, capture_output=True, text=True)
    assert main(["predict", str(clips), "--model", str(exported("stn-gs")), "--id", "name"]) == 3
    assert (run.returncode, run.stdout) == (3, capsys.readouterr().out)
    assert len(run.stdout.splitlines()) == 13
    assert "/clips/000099.mp3: " in run.stderr
    assert "12 of 13 files predicted, 1 skipped" in run.stderr


def test_options_and_pictures(podman, clips, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    out.chmod(0o777)
    volumes = ["--volume", f"{clips}:/clips:ro", "--volume", f"{out}:/out"]
    options = ["--format", "json", "--out", "/out/genres.json", "--curve", "/out"]
    run = subprocess.run([*podman, *volumes, "agf-predict", *options], capture_output=True)
    assert run.returncode == 3
    assert (out / "genres.json").is_file() and len(list(out.glob("*.png"))) == 12


def test_nothing_but_the_loopback_and_not_root(podman):
    script = "import os; print(os.getuid(), sorted(os.listdir('/sys/class/net')))"
    python = ["--entrypoint", "/opt/agf/venv/bin/python"]
    run = subprocess.run(
        [*podman, *python, "agf-predict", "-c", script], capture_output=True, text=True
    )
    assert run.stdout == "1000 ['lo']\n"
