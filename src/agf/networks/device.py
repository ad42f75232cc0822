"""Where a job computes, how precisely, and whether it fits there.

A GPU has room for several jobs, each of which leaves most of it idle: `gpu_jobs_per_device` of them
share it. A job holds one of that many lock files while it runs, which the system gives back however
the job ends. Where CUDA's Multi-Process Service has been started, jobs use it by themselves.
"""

import copy
import ctypes
import fcntl
import logging
import os
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import torch

from agf.errors import UserError

logger = logging.getLogger(__name__)

PRECISIONS = ("auto", "tf32", "fp32", "bf16")

RESERVED_BYTES = 1 << 30
"""Estimate of what a process takes on a GPU besides tensors: context, kernels, workspaces."""

USABLE_SHARE = 0.95
"""Of a GPU's memory; the rest is left to fragmentation."""

POLL_SECONDS = 0.5

BF16_INSTRUCTIONS = ("avx512_bf16", "amx_bf16", "bf16")
"""Names in torch's list of what a CPU can do."""


@contextmanager
def lend_device(gpu_jobs_per_device):
    """Lend a job the device it computes on: a place on a GPU where there is one, else the CPU.

    Makes torch repeatable on it. Waits until a place is free.

    Parameters
    ----------
    gpu_jobs_per_device : int
        Jobs that may share a GPU. Where a cluster gives every job a GPU of its own, set it to 1, or
        a job takes itself for one of several.

    Yields
    ------
    torch.device
        It must never enter a hash of settings.
    """
    # One job is one thread: jobs run side by side, and a fixed number of threads fixes the order
    # of every sum, so that a network alone and beside others has the same bits.
    torch.set_num_threads(1)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    # cuBLAS is repeatable only with a workspace of fixed size.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    if not torch.cuda.is_available():
        _keep_freed_memory()
        yield torch.device("cpu")
        return
    # Of the GPUs that the job sees: all of them, those that CUDA_VISIBLE_DEVICES names, or the one
    # that a cluster gave it.
    names = [
        str(torch.cuda.get_device_properties(i).uuid) for i in range(torch.cuda.device_count())
    ]
    folder = Path(tempfile.gettempdir()) / f"agf-gpu-{os.getuid()}"
    with _lease(names, gpu_jobs_per_device, folder) as index:
        device = torch.device("cuda", index)
        torch.cuda.set_device(device)
        logger.info("Computing on %s, %s.", device, torch.cuda.get_device_name(device))
        yield device


def _keep_freed_memory():
    """Keep what the process has freed, where the C library is one that can be told to.

    Activations are freed and taken again in every step. To give them back to the system and have
    every page of them zeroed again takes a fifth to a half of a step on a CPU.
    """
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        trim_threshold, mmap_threshold = -1, -3
        library.mallopt(trim_threshold, 2**31 - 1)
        library.mallopt(mmap_threshold, 32 << 20)  # the largest that glibc takes


@contextmanager
def _lease(names, places, folder):
    """Hold a lock on one of `places` places of one of the named devices; yield its index.

    Devices with the fewest jobs come first, as long as all jobs ask in this way.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    waiting = False
    while True:
        for place in range(places):
            for index, name in enumerate(names):
                with ExitStack() as stack:
                    file = stack.enter_context(open(folder / f"{name}.{place}.lock", "w"))
                    try:
                        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    except BlockingIOError:
                        continue
                    yield index
                    return
        if not waiting:
            waiting = True
            logger.info("Waiting for a place on one of %d GPUs, %d each.", len(names), places)
        time.sleep(POLL_SECONDS)


def resolve_precision(precision, device):
    """Return the precision that ``auto`` stands for: ``tf32``, ``fp32`` or ``bf16``.

    Parameters
    ----------
    precision : str
        ``auto``: TF32 on a GPU; on a CPU bf16 where its instructions know it, which halves the time
        of a step, else fp32. Anything else is returned as it is.
    device : torch.device
        Where to compute.

    Raises
    ------
    UserError
        For any other precision than those of :data:`PRECISIONS`.
    """
    if precision not in PRECISIONS:
        raise UserError(
            f"networks.precision is {precision!r}; set it to one of {', '.join(PRECISIONS)}."
        )
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "tf32"
    capabilities = torch.cpu.get_capabilities()
    return "bf16" if any(capabilities.get(name) for name in BF16_INSTRUCTIONS) else "fp32"


def set_precision(precision, device):
    """Choose how products of float32 are computed from here on.

    Parameters
    ----------
    precision : str
        Of :func:`resolve_precision`. On a CPU, which has no TF32, ``tf32`` is ``fp32``.
    device : torch.device
        Where to compute.
    """
    if device.type == "cuda":
        exact = "ieee" if precision == "fp32" else "tf32"
        torch.backends.cuda.matmul.fp32_precision = exact
        torch.backends.cudnn.conv.fp32_precision = exact


def autocast(precision, device):
    """Return the context in which a forward pass runs: products in bfloat16 where asked for.

    Parameters
    ----------
    precision : str
        Of :func:`resolve_precision`; with ``bf16`` the weights stay float32.
    device : torch.device
        Where the pass runs.

    Returns
    -------
    torch.autocast
    """
    # A cache of casted weights would be filled while a CUDA graph is captured and be empty after.
    return torch.autocast(
        device.type, torch.bfloat16, enabled=precision == "bf16", cache_enabled=False
    )


def bytes_for_data(device, needed, gpu_jobs_per_device, what):
    """Return how much of a job's share of a GPU's memory is left for its data.

    Parameters
    ----------
    device : torch.device
        Of :func:`lend_device`.
    needed : int
        Bytes of the job's model and of what it computes, see :func:`training_bytes`.
    gpu_jobs_per_device : int
        Jobs that share the GPU.
    what : str
        Names the job, for the error.

    Returns
    -------
    float
        Bytes; on the CPU infinite, where data are read from a memory map.

    Raises
    ------
    UserError
        If the job does not fit.
    """
    if device.type != "cuda":
        return float("inf")
    free, total = torch.cuda.mem_get_info(device)
    return _share(free, total, needed + RESERVED_BYTES, gpu_jobs_per_device, f"{what} on {device}")


def _share(free, total, needed, gpu_jobs_per_device, what):
    share = min(total * USABLE_SHARE / gpu_jobs_per_device, free)
    if needed > share:
        fitting = int(total * USABLE_SHARE // needed)
        advice = (
            f"set gpu_jobs_per_device to {fitting} or less, and see that nothing else is using it"
            if fitting
            else "use a larger GPU, or the CPU (CUDA_VISIBLE_DEVICES=)"
        )
        raise UserError(
            f"{what} needs {needed / 1e9:.1f} GB, and its share of the memory is "
            f"{share / 1e9:.1f} GB ({total / 1e9:.1f} GB, {free / 1e9:.1f} GB free, "
            f"{gpu_jobs_per_device} jobs); {advice}."
        )
    return share - needed


def training_bytes(model, forward, inputs):
    """Return the bytes that training takes besides its data: weights, Adam, kept activations.

    Parameters
    ----------
    model : torch.nn.Module
        The model, on any device; it is not run there.
    forward : callable
        Takes a copy of the model and the inputs, returns the output.
    inputs : torch.Tensor
        A batch on torch's device ``meta``, which has shapes and no memory.

    Returns
    -------
    int
        Bytes. Weights, gradients and Adam's two moments, and one and a half times what the backward
        pass needs of the forward pass, in float32.
    """
    on_meta = copy.deepcopy(model).to("meta")
    kept = 0

    def note(tensor):
        nonlocal kept
        kept += tensor.numel() * tensor.element_size()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        forward(on_meta, inputs)
    weights = sum(p.numel() * p.element_size() for p in model.parameters())
    return int(4 * weights + 1.5 * kept)
