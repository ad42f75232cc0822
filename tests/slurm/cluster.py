"""A real Slurm on this machine alone: one node, two stand-in GPUs, no systemd, no accounting.

It listens on the loopback interface only, keeps everything but its two configuration files in a
folder of its own, and is ended by the numbers of its processes. The configuration has to lie in
/etc/slurm, since the executor plugin takes every variable SLURM_* out of the environment.
"""

import contextlib
import fcntl
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import psutil
from debian import CannotRunHere, install

ETC = Path("/etc/slurm")

MARK = "# Of the tests of agf, which remove it again; folder "

PROGRAMS, PACKAGES = ("slurmctld", "slurmd", "munged"), ("slurm-wlm", "munge")

GPUS = 2

MEMORY_LEFT = 0.25
"""Share of the machine's memory that Slurm does not give away."""


@contextlib.contextmanager
def one_node_cluster():
    """Run a cluster while the block runs.

    Yields
    ------
    pathlib.Path
        Its folder, with the logs of its processes in ``log``.

    Raises
    ------
    CannotRunHere
        Where the machine is not Debian, the user not root, Slurm cannot be installed, a file of
        devices cannot be made, or Slurm is configured already by somebody else.
    """
    if os.getuid() != 0:
        raise CannotRunHere("only root can start Slurm")
    # Two of them would overwrite each other's configuration.
    with open(Path(tempfile.gettempdir()) / "agf-slurm.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _end_what_a_killed_test_left()
        install(PROGRAMS, PACKAGES)
        # munge wants a folder that all users may enter; pytest's are closed.
        folder = Path(tempfile.mkdtemp(prefix="agf-slurm-"))
        folder.chmod(0o755)
        try:
            _start(folder)
            yield folder
        finally:
            _stop(folder)
            shutil.rmtree(folder, ignore_errors=True)


def jobs_of(cluster, folder):
    """Return what is known of every Slurm job submitted in a folder, in the order of submission.

    Parameters
    ----------
    cluster : pathlib.Path
        Of :func:`one_node_cluster`.
    folder : pathlib.Path
        Where they were submitted.

    Returns
    -------
    list of dict of str to str
        Fields of ``scontrol show job``: ``JobId``, ``Comment``, ``StartTime``, ... With ``gpus``,
        the set of what stood in ``CUDA_VISIBLE_DEVICES`` in each of the job's steps.
    """
    seen = [line.partition(" ") for line in (cluster / "steps").read_text().splitlines()]
    jobs = []
    for block in _run("scontrol", "show", "job").split("\n\n"):
        fields = dict(re.findall(r"(\w[\w/]*)=(\S*)", block))
        if fields.get("WorkDir") == str(folder):
            fields["gpus"] = {gpus for job, _, gpus in seen if job == fields["JobId"] and gpus}
            jobs.append(fields)
    return sorted(jobs, key=lambda job: int(job["JobId"]))


def listening_addresses(folder):
    """Return the addresses on which the cluster's processes accept connections."""
    return {
        connection.laddr.ip
        for process in _processes(folder)
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }


def _end_what_a_killed_test_left():
    conf = ETC / "slurm.conf"
    if not conf.exists():
        return
    first = conf.read_text().partition("\n")[0]
    if not first.startswith(MARK):
        raise CannotRunHere(f"{conf} is somebody else's")
    _stop(Path(first.removeprefix(MARK)))


def _start(folder):
    for name in ("state", "spool", "log", "munge", "dev"):
        (folder / name).mkdir()
    for i in range(GPUS):
        try:
            # The numbers of /dev/null: there, and of no use.
            os.mknod(folder / "dev" / f"nvidia{i}", 0o20666, os.makedev(1, 3))
        except OSError as error:
            raise CannotRunHere(f"a stand-in for a GPU cannot be made: {error}") from None
    # Slurm forgets which GPU a job had when the job ends.
    prolog = folder / "prolog.sh"
    prolog.write_text(f'#!/bin/sh\necho "$SLURM_JOB_ID $CUDA_VISIBLE_DEVICES" >> {folder}/steps\n')
    prolog.chmod(0o755)
    (folder / "steps").touch()
    node = socket.gethostname().partition(".")[0]
    ETC.mkdir(exist_ok=True)
    (ETC / "slurm.conf").write_text(_configuration(folder, node))
    (ETC / "gres.conf").write_text(
        f"{MARK}{folder}\nNodeName={node} Name=gpu File={folder}/dev/nvidia[0-{GPUS - 1}]\n"
    )
    munge = folder / "munge"
    (munge / "key").write_bytes(os.urandom(128))
    (munge / "key").chmod(0o600)
    _run(
        *("munged", f"--key-file={munge}/key", f"--pid-file={folder}/munged.pid"),
        *(f"--log-file={munge}/log", f"--seed-file={munge}/seed", f"--socket={munge}/socket"),
    )
    _run("slurmctld", "-c")
    _run("slurmd", "-N", node)
    for _ in range(150):
        # Asked too early, sinfo fails.
        done = subprocess.run(["sinfo", "-h", "-o", "%T"], capture_output=True, text=True)
        if done.stdout.split() and set(done.stdout.split()) == {"idle"}:
            return
        time.sleep(0.2)
    logs = "\n".join(path.read_text()[-1500:] for path in sorted((folder / "log").iterdir()))
    raise AssertionError(f"The cluster did not come up:\n{logs}")


def _configuration(folder, node):
    memory = int(psutil.virtual_memory().total * (1 - MEMORY_LEFT) / 1e6)
    return f"""\
{MARK}{folder}
ClusterName=agf
SlurmctldHost={node}(127.0.0.1)
SlurmctldPort={_free_port()}
SlurmdPort={_free_port()}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
# Without control groups, what a job may have of memory is measured and not enforced ...
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
# ... unless a job beyond it is to be killed.
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
MpiDefault=none
ReturnToService=2
KillWait=3
# Seconds for which a finished job is remembered.
MinJobAge=43200
SchedulerParameters=batch_sched_delay=0,sched_interval=1
TaskProlog={folder}/prolog.sh
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd.log
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
NodeName={node} NodeAddr=127.0.0.1 CPUs={os.cpu_count()} RealMemory={memory} Gres=gpu:{GPUS}
PartitionName=cpu Nodes={node} Default=YES State=UP
PartitionName=gpu Nodes={node} State=UP
"""


def _free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def _stop(folder):
    if any(process.name() == "slurmctld" for process in _processes(folder)):
        # Jobs outlive the processes that started them.
        subprocess.run(["scancel", "--me"], capture_output=True)
        for _ in range(100):
            if not subprocess.run(["squeue", "-h"], capture_output=True).stdout:
                break
            time.sleep(0.2)
    for process in _processes(folder):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    for process in _processes(folder):
        with contextlib.suppress(psutil.NoSuchProcess, psutil.TimeoutExpired):
            process.wait(timeout=20)
    for name in ("slurm.conf", "gres.conf"):
        path = ETC / name
        if path.exists() and path.read_text().startswith(MARK):
            path.unlink()


def _processes(folder):
    """Return the cluster's processes that run, by the files in which they wrote their number."""
    processes = []
    for name in ("slurmd", "slurmctld", "munged"):
        path = folder / f"{name}.pid"
        with contextlib.suppress(OSError, ValueError, psutil.NoSuchProcess):
            process = psutil.Process(int(path.read_text()))
            # The number may be another process's by now.
            if process.name() == name:
                processes.append(process)
    return processes


def _run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"
    return done.stdout
