"""Programs that some tests need, from Debian's packages."""

import os
import shutil
import subprocess
from pathlib import Path


class CannotRunHere(Exception):
    """What a test needs cannot be had on this machine; the message says why."""


def install(programs, packages):
    """Install Debian's packages, unless the programs are there.

    Raises
    ------
    CannotRunHere
        Where the user is not root, the machine not Debian, or apt-get fails.
    """
    missing = [name for name in programs if not shutil.which(name)]
    if not missing:
        return
    if os.getuid() != 0:
        raise CannotRunHere(f"{missing[0]} is not installed, and only root can install it")
    if not Path("/etc/debian_version").exists() or not shutil.which("apt-get"):
        raise CannotRunHere(
            f"{missing[0]} is not installed, and this is not Debian, where apt-get has it"
        )
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in (
        ["apt-get", "update", "-qq"],
        ["apt-get", "install", "-yqq", "--no-install-recommends", *packages],
    ):
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        if done.returncode:
            lines = (done.stderr or done.stdout).strip().splitlines() or ["no message"]
            raise CannotRunHere(f"{' '.join(command[:2])} failed: {lines[-1]}")
