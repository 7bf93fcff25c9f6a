"""What `rheobase doctor` prints: compiler, cache, threads, GPU, and one kernel of each kind, tried."""

from __future__ import annotations

import importlib.util
import os
import platform
import time
from collections.abc import Callable
from typing import NamedTuple

import torch

import rheobase as rb
from rheobase.fuse import build


class Finding(NamedTuple):
    """One line of the report: what was looked at, what was found, and what to do if it is not fine."""

    what: str
    found: str
    fine: bool = True
    advice: str = ""


def examine() -> list[Finding]:
    """Everything that decides whether and how fast neurons run here."""
    return [*_software(), *_compiler(), *_threads(), *_gpu(), _try_cpu(), _try_triton()]


def _software() -> list[Finding]:
    versions = f"rheobase {rb.__version__}, torch {torch.__version__}, Python {platform.python_version()}"
    return [Finding("versions", versions), Finding("machine", f"{platform.machine()}, {os.cpu_count()} cores")]


def _compiler() -> list[Finding]:
    compiler = build.compiler()
    if compiler is None:
        return [Finding("C compiler", "none", False, f"{build.missing()}; until then neurons run eager, much slower")]
    kernels = list(build.folder().glob("*.so"))
    size = sum(path.stat().st_size for path in kernels) / 2**20
    version = build.machine().splitlines()[1]
    cache = f"{build.folder()}: {len(kernels)} kernels, {size:.1f} MiB"
    return [Finding("C compiler", f"{compiler} ({version})"), Finding("kernel cache", cache)]


def _threads() -> list[Finding]:
    policy = os.environ.get("OMP_WAIT_POLICY", "not set")
    advice = "" if policy.upper() == "PASSIVE" else "export OMP_WAIT_POLICY=PASSIVE where other jobs share the cores"
    return [Finding("threads", f"{torch.get_num_threads()}; OMP_WAIT_POLICY {policy}", not advice, advice)]


def _gpu() -> list[Finding]:
    if not torch.cuda.is_available():
        return [Finding("GPU", "none that torch can use")]
    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return [Finding("GPU", ", ".join(names))]


def _try_cpu() -> Finding:
    if build.compiler() is None:
        return Finding("CPU kernel", "not tried", False, "see C compiler")
    return _attempt("CPU kernel", "cpu", "cpu")


def _try_triton() -> Finding:
    if importlib.util.find_spec("triton") is None:
        return Finding("GPU kernel", "triton is not installed", not torch.cuda.is_available(), "pip install triton")
    if not torch.cuda.is_available():
        return Finding("GPU kernel", "triton is installed; no GPU to run on")
    return _attempt("GPU kernel", "triton", "cuda")


def _attempt(what: str, backend: str, device: str) -> Finding:
    """Run LIF forward and backward against the eager loop."""

    def run(name: str) -> list[torch.Tensor]:
        x = torch.linspace(-1, 3, 8 * 50, device=device).view(8, 50).requires_grad_()
        with rb.backend(name):
            s = rb.LIF()(x)
            s.square().sum().backward()
        return [s.detach(), x.grad]  # type: ignore[list-item]

    started = time.perf_counter()
    try:
        same = all(torch.equal(a, b) for a, b in zip(run(backend), run("eager"), strict=True))
    except Exception as error:
        return Finding(what, f"failed: {error}", False, "see the message; rb.backend('eager') works without kernels")
    took = f"{(time.perf_counter() - started) * 1e3:.0f} ms"
    return Finding(
        what, f"LIF equals eager ({took})" if same else "LIF differs from eager", same, "" if same else "report this"
    )


def text(findings: list[Finding], write: Callable[[str], None] = print) -> bool:
    """Write the findings line by line; True where all is fine."""
    for finding in findings:
        mark = "ok  " if finding.fine else "LOOK"
        write(f"{mark} {finding.what:13s} {finding.found}" + (f"\n     -> {finding.advice}" if finding.advice else ""))
    return all(finding.fine for finding in findings)
