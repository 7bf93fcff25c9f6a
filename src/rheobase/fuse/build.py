"""Compile C source with the system's compiler, keep the result on disk, load it.

The cache is content addressed: the file name carries a hash of the source, the flags, the compiler and the processor.
A cached file ends in the SHA-256 of what stands before it (the loader of shared objects ignores trailing bytes), so a
truncated or damaged file is noticed and compiled again; it is written under a private name and renamed, so that two
processes compiling the same kernel, or one that is killed, leave no half file behind.
"""

from __future__ import annotations

import atexit
import ctypes
import functools
import hashlib
import os
import pathlib
import platform
import shutil
import subprocess
import tempfile
import threading
import warnings

FLAGS = [
    "-std=gnu11", "-O3", "-march=native", "-mprefer-vector-width=512", "-fno-math-errno", "-fno-trapping-math",
    "-ffp-contract=off", "-fopenmp", "-fPIC", "-shared",
]  # fmt: skip

_loaded: dict[str, ctypes.CDLL] = {}
_lock = threading.Lock()


class CompileError(RuntimeError):
    """The C compiler refused or died; the message holds its output and the file it was given."""


@functools.cache
def compiler() -> str | None:
    """Path of the C compiler: `$CC` if set, else the first of cc, gcc, clang on the PATH; None without one."""
    names = [os.environ["CC"]] if os.environ.get("CC") else ["cc", "gcc", "clang"]
    return next((path for name in names if (path := shutil.which(name))), None)


@functools.cache
def flags() -> tuple[str, ...]:
    """The compiler's flags here: AVX-512 widths are asked for on x86 only."""
    x86 = platform.machine() in ("x86_64", "AMD64")
    return tuple(flag for flag in FLAGS if x86 or not flag.startswith("-mprefer"))


@functools.cache
def machine() -> str:
    """What the machine code depends on besides the source: compiler version and processor."""
    version = subprocess.run([str(compiler()), "--version"], capture_output=True, text=True).stdout.splitlines()[:1]
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        cpu = [line for line in lines if line.startswith(("model name", "flags", "Features"))][:2]
    except OSError:
        cpu = [platform.processor()]
    return "\n".join([platform.machine(), *version, *cpu])


@functools.cache
def folder() -> pathlib.Path:
    """The cache folder: `$RHEOBASE_CACHE`, else `~/.cache/rheobase/kernels`; a temporary one if that is read-only."""
    default = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "rheobase" / "kernels"
    wanted = pathlib.Path(os.environ.get("RHEOBASE_CACHE") or default)
    try:
        wanted.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=wanted):
            return wanted
    except OSError as error:
        return _aside(wanted, error)


def _aside(wanted: pathlib.Path, error: OSError) -> pathlib.Path:
    """A temporary folder in place of one that cannot be written, gone with the process; says so."""
    other = _temporary()
    warnings.warn(
        f"rheobase: the kernel cache {wanted} cannot be written ({error.strerror}); kernels are kept in {other} "
        "for this process only. Set RHEOBASE_CACHE to a writable folder.",
        stacklevel=2,
    )
    return other


@functools.cache
def _temporary() -> pathlib.Path:
    folder = pathlib.Path(tempfile.mkdtemp(prefix="rheobase-kernels-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def digest(source: str) -> str:
    """Hash that names a kernel in the cache."""
    text = "\0".join([source, " ".join(flags()), machine()])
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def library(source: str, name: str) -> ctypes.CDLL:
    """The shared library of a C source, compiled at most once per machine.

    Errors: `CompileError` with the compiler's output; `RuntimeError` where the machine has no C compiler.
    """
    if compiler() is None:
        raise RuntimeError(
            "rheobase: no C compiler found; install gcc or clang (or set CC), or use rb.backend('eager')."
        )
    key = digest(source)
    with _lock:
        if key not in _loaded:
            path = folder() / f"{name}-{key}.so"
            if not _sound(path):
                path = _compiled(source, path)
            _loaded[key] = ctypes.CDLL(str(path))
        return _loaded[key]


def _sound(path: pathlib.Path) -> bool:
    try:
        data = path.read_bytes()
    except OSError:
        return False
    return len(data) > 32 and hashlib.sha256(data[:-32]).digest() == data[-32:]


def _compiled(source: str, path: pathlib.Path) -> pathlib.Path:
    """Where the compiled library is: `path`, or a temporary folder where its own cannot be written (any more)."""
    try:
        _compile(source, path)
    except OSError as error:
        path = _aside(path.parent, error) / path.name
        _compile(source, path)
    return path


def _compile(source: str, path: pathlib.Path) -> None:
    with tempfile.TemporaryDirectory(prefix=".compile-", dir=path.parent) as work:
        code, out = pathlib.Path(work) / f"{path.stem}.c", pathlib.Path(work) / path.name
        code.write_text(source)
        run = subprocess.run(
            [str(compiler()), *flags(), str(code), "-o", str(out), "-lm"], capture_output=True, text=True
        )
        if run.returncode != 0 or not out.exists():
            kept = pathlib.Path(tempfile.gettempdir()) / code.name
            kept.write_text(source)
            why = f"was killed by signal {-run.returncode}" if run.returncode < 0 else f"ended with {run.returncode}"
            raise CompileError(f"rheobase: {compiler()} {why} on {kept}:\n{run.stderr[-4000:]}")
        data = out.read_bytes()
        out.write_bytes(data + hashlib.sha256(data).digest())
        os.replace(out, path)
