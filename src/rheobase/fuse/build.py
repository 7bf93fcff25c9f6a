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
import shlex
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
if hasattr(os, "register_at_fork"):  # in the child: another thread may have held it
    os.register_at_fork(after_in_child=lambda: globals().update(_lock=threading.Lock()))


class CompileError(RuntimeError):
    """The C compiler refused or died; the message holds its output and the file it was given."""


@functools.cache
def command() -> tuple[str, ...]:
    """The C compiler: `$CC` if set, arguments and all, else the first of cc, gcc, clang on the PATH; () without one."""
    named = [shlex.split(os.environ["CC"])] if os.environ.get("CC") else [["cc"], ["gcc"], ["clang"]]
    return next(((path, *rest) for name, *rest in named if (path := shutil.which(name))), ())


@functools.cache
def compiler() -> str | None:
    """The C compiler as one text; None without one."""
    return shlex.join(command()) or None


def missing() -> str:
    """What to say where there is no compiler."""
    named = f" ($CC is {os.environ['CC']!r})" if os.environ.get("CC") else ""
    return f"no C compiler found{named}; install gcc or clang, or set CC"


@functools.cache
def flags() -> tuple[str, ...]:
    """The compiler's flags here: AVX-512 widths are asked for on x86 only."""
    x86 = platform.machine() in ("x86_64", "AMD64")
    return tuple(flag for flag in FLAGS if x86 or not flag.startswith("-mprefer"))


@functools.cache
def machine() -> str:
    """What the machine code depends on besides the source: compiler version and processor."""
    version = subprocess.run([*command(), "--version"], capture_output=True, text=True).stdout.splitlines()[:1]
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        cpu = [line for line in lines if line.startswith(("model name", "flags", "Features"))][:2]
    except OSError:
        cpu = [platform.processor()]
    return "\n".join([platform.machine(), *version, *cpu])


@functools.cache
def folder() -> pathlib.Path:
    """The cache folder: `$RHEOBASE_CACHE`, else `~/.cache/rheobase/kernels`; a temporary one if that is read-only."""
    default = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "rheobase" / "kernels"
    wanted = pathlib.Path(os.environ.get("RHEOBASE_CACHE") or default)
    try:
        wanted = wanted.expanduser().absolute()
        wanted.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=wanted):
            return wanted
    except (OSError, RuntimeError) as error:  # RuntimeError: this user has no home
        return _aside(wanted, error)


def _aside(wanted: pathlib.Path, error: Exception) -> pathlib.Path:
    """A temporary folder in place of one that cannot be used, gone with the process; says so."""
    other, why = _temporary(), getattr(error, "strerror", None) or error
    warnings.warn(
        f"rheobase: the kernel cache {wanted} cannot be written or run from ({why}); kernels are "
        f"kept in {other} for this process only. Set RHEOBASE_CACHE to a writable folder.",
        stacklevel=2,
    )
    return other


@functools.cache
def _temporary() -> pathlib.Path:
    folder = pathlib.Path(tempfile.mkdtemp(prefix="rheobase-kernels-"))
    atexit.register(_remove, folder, os.getpid())
    return folder


def _remove(folder: pathlib.Path, owner: int) -> None:
    if os.getpid() == owner:  # a forked child that ends leaves its parent's kernels alone
        shutil.rmtree(folder, ignore_errors=True)


def digest(source: str) -> str:
    """Hash that names a kernel in the cache."""
    text = "\0".join([source, " ".join((*flags(), *command()[1:])), machine()])
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def library(source: str, name: str) -> ctypes.CDLL:
    """The shared library of a C source, compiled at most once per machine.

    Errors: `CompileError` with the compiler's output; `RuntimeError` where the machine has no C compiler.
    """
    if compiler() is None:
        raise RuntimeError(f"rheobase: {missing()}; or use rb.backend('eager').")
    key = digest(source)
    with _lock:
        if key not in _loaded:
            path = folder() / f"{name}-{key}.so"
            if not _sound(path):
                path = _stored(_compile(source, path.stem), path)
            _loaded[key] = _opened(path)
        return _loaded[key]


def _sound(path: pathlib.Path) -> bool:
    try:
        data = path.read_bytes()
    except OSError:
        return False
    return len(data) > 32 and hashlib.sha256(data[:-32]).digest() == data[-32:]


def _opened(path: pathlib.Path) -> ctypes.CDLL:
    """The library in a file of the cache, or in a copy of it where the cache lies on a disk mounted noexec."""
    try:
        return ctypes.CDLL(str(path))
    except OSError as error:
        return ctypes.CDLL(str(_stored(path.read_bytes(), _aside(path.parent, error) / path.name)))


def _stored(data: bytes, path: pathlib.Path) -> pathlib.Path:
    """Where the library is kept: `path`, or a temporary folder where its own cannot be written (any more)."""
    try:
        _write(data, path)
    except OSError as error:
        path = _aside(path.parent, error) / path.name
        _write(data, path)
    return path


def _write(data: bytes, path: pathlib.Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".new-", dir=path.parent) as work:
        new = pathlib.Path(work) / path.name
        new.write_bytes(data)
        os.replace(new, path)


def _compile(source: str, name: str) -> bytes:
    """The shared library of a source, with its hash behind it."""
    with tempfile.TemporaryDirectory(prefix="rheobase-compile-") as work:
        code, out = pathlib.Path(work) / f"{name}.c", pathlib.Path(work) / f"{name}.so"
        code.write_text(source, encoding="utf-8")
        run = subprocess.run([*command(), *flags(), str(code), "-o", str(out), "-lm"], capture_output=True, text=True)
        if run.returncode != 0 or not out.exists():
            kept = pathlib.Path(tempfile.gettempdir()) / code.name
            kept.write_text(source, encoding="utf-8")
            why = f"was killed by signal {-run.returncode}" if run.returncode < 0 else f"ended with {run.returncode}"
            raise CompileError(
                f"rheobase: {compiler()} {why} on {kept}; rb.backend('eager') works without it:\n{run.stderr[-4000:]}"
            )
        data = out.read_bytes()
    return data + hashlib.sha256(data).digest()
