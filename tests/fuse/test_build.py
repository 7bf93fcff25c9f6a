"""The kernel cache under accidents: each in a process of its own with a cache of its own."""

import os
import pathlib
import stat
import subprocess
import sys
import textwrap

import pytest

import rheobase

BUILD = pathlib.Path(rheobase.__file__).parent / "fuse" / "build.py"
# A small kernel, and build.py alone, without torch: so that a process takes little time.
RUN = f"""
import importlib.util
spec = importlib.util.spec_from_file_location("build", {str(BUILD)!r})
build = importlib.util.module_from_spec(spec)
spec.loader.exec_module(build)
SOURCE = "int answer(void) {{ return 42; }}"
def answer():
    return build.library(SOURCE, "answer").answer()
"""


def process(code: str, cache, **environment) -> subprocess.Popen:
    given = os.environ | {"RHEOBASE_CACHE": str(cache), "OMP_NUM_THREADS": "1"} | environment
    given = {k: v for k, v in given.items() if v is not None}
    command = [sys.executable, "-c", RUN + textwrap.dedent(code)]
    return subprocess.Popen(command, env=given, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run(code: str, cache, **environment) -> tuple[str, str]:
    """Standard output and error of a process that must end well."""
    started = process(code, cache, **environment)
    out, err = started.communicate(timeout=120)
    assert started.returncode == 0, err
    return out.strip(), err


def kernels(cache) -> list:
    return sorted(path for path in cache.iterdir() if path.suffix == ".so")


def script(path, text: str) -> str:
    """An executable shell script that calls the real compiler as `$REAL`."""
    path.write_text("#!/bin/sh\nREAL=cc\n" + textwrap.dedent(text))
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_compiles_once_and_loads_afterwards(tmp_path):
    log = tmp_path / "log"
    compiler = script(tmp_path / "cc", f'case "$*" in *answer*) echo x >> {log};; esac\nexec $REAL "$@"\n')
    for _ in range(2):
        assert run("print(answer(), answer())", tmp_path / "cache", CC=compiler)[0] == "42 42"
    assert log.read_text().split() == ["x"]
    assert [path.name[:7] for path in (tmp_path / "cache").iterdir()] == ["answer-"]


def test_two_processes_at_once(tmp_path):
    compiler = script(tmp_path / "cc", 'case "$*" in *answer*) sleep 1;; esac\nexec $REAL "$@"\n')
    started = [process("print(answer())", tmp_path / "cache", CC=compiler) for _ in range(2)]
    found = [one.communicate(timeout=120) for one in started]
    assert [out.strip() for out, _ in found] == ["42", "42"], found
    assert len(kernels(tmp_path / "cache")) == 1
    assert run("print(answer())", tmp_path / "cache")[0] == "42"


def test_two_threads_at_once(tmp_path):
    code = """
    from concurrent.futures import ThreadPoolExecutor
    with ThreadPoolExecutor(8) as pool:
        print(sum(pool.map(lambda _: answer(), range(8))))
    """
    assert run(code, tmp_path)[0] == str(8 * 42)
    assert len(kernels(tmp_path)) == 1


def test_killed_compiler(tmp_path):
    """It says what killed it, leaves no half file, and the next call compiles."""
    compiler = script(tmp_path / "cc", 'case "$*" in *answer*) kill -9 $$;; esac\nexec $REAL "$@"\n')
    code = """
    try:
        answer()
    except build.CompileError as error:
        print(error)
    """
    out, _ = run(code, tmp_path / "cache", CC=compiler)
    assert "killed by signal 9" in out and ".c" in out
    assert not list((tmp_path / "cache").iterdir())
    assert run("print(answer())", tmp_path / "cache")[0] == "42"


def test_refusing_compiler(tmp_path):
    """Its own words are handed on."""
    code = """
    try:
        build.library("int answer(void) { return nothing; }", "answer")
    except build.CompileError as error:
        print(error)
    """
    out, _ = run(code, tmp_path)
    assert "nothing" in out and "undeclared" in out


def test_killed_process_leaves_a_usable_cache(tmp_path):
    compiler = script(tmp_path / "cc", 'case "$*" in *answer*) kill -9 $PPID; sleep 1;; esac\nexec $REAL "$@"\n')
    killed = process("answer()", tmp_path / "cache", CC=compiler)
    killed.communicate(timeout=120)
    assert killed.returncode == -9
    assert run("print(answer())", tmp_path / "cache")[0] == "42"


@pytest.mark.parametrize("damage", ["truncated", "garbled", "empty", "foreign"])
def test_damaged_file_is_compiled_again(tmp_path, damage):
    run("answer()", tmp_path)
    (path,) = kernels(tmp_path)
    data = path.read_bytes()
    changed = {
        "truncated": data[: len(data) // 2],
        "garbled": data[:5000] + bytes([data[5000] ^ 1]) + data[5001:],
        "empty": b"",
        "foreign": b"not a library" * 1000,
    }
    path.write_bytes(changed[damage])
    assert run("print(answer())", tmp_path)[0] == "42"
    assert kernels(tmp_path)[0].read_bytes()[-32:] != changed[damage][-32:] or damage == "garbled"


def test_folder_that_cannot_be_written(tmp_path):
    """Below a plain file nothing can be made, for root neither: a temporary folder, and it says so."""
    (tmp_path / "file").write_text("")
    out, err = run("print(answer(), build.folder())", tmp_path / "file" / "cache")
    answer, folder = out.split()
    assert answer == "42" and "rheobase-kernels-" in folder
    assert "cannot be written" in err and folder in err and "RHEOBASE_CACHE" in err


@pytest.mark.parametrize("home", ["/dev/null", "/nonexistent/home"])
def test_home_that_cannot_be_written(tmp_path, home):
    given = {"RHEOBASE_CACHE": None, "XDG_CACHE_HOME": None, "HOME": home}
    if home != "/dev/null":
        given["XDG_CACHE_HOME"] = "/proc/nowhere"
    out, err = run("print(answer())", tmp_path, **given)
    assert out == "42" and "cannot be written" in err


# No home at all: neither $HOME nor an entry of the user in the system's table.
HOMELESS = """
import os, pwd
os.environ.pop("HOME", None)
pwd.getpwuid = lambda uid: {}[uid]
"""


def test_a_user_without_a_home(tmp_path):
    out, err = run(HOMELESS + "print(answer(), build.folder())", tmp_path)
    assert out == f"42 {tmp_path}" and not err
    out, err = run(HOMELESS + "print(answer())", tmp_path, RHEOBASE_CACHE=None, XDG_CACHE_HOME=None)
    assert out == "42" and "home" in err and "RHEOBASE_CACHE" in err


def test_a_cache_named_from_the_home(tmp_path):
    out, _ = run("print(answer(), build.folder())", "~/kernels", HOME=str(tmp_path))
    assert out == f"42 {tmp_path}/kernels"


def test_temporary_folder_leaves_with_the_process(tmp_path):
    out, _ = run("answer(); print(build.folder())", "/dev/null/cache")
    assert "rheobase-kernels-" in out and not os.path.exists(out)


FULL = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
"""


def test_full_disk(tmp_path):
    """No space for the library: an error that says so, no half file; with space again it compiles."""
    code = (
        FULL
        + """
try:
    answer()
except build.CompileError as error:
    print("refused:", error)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(answer())
"""
    )
    out, _ = run(code, tmp_path)
    assert out.startswith("refused:") and out.endswith("42")
    assert len(kernels(tmp_path)) == 1


def test_folder_that_fills_up_later(tmp_path):
    """The cache folder passes its test and fails at the compile: a temporary folder, and it says so."""
    code = """
    build.folder()
    def full(*_):
        raise OSError(28, "No space left on device")
    replace, build.os.replace = build.os.replace, lambda a, b: full() if "cache" in str(b) else replace(a, b)
    print(answer())
    """
    out, err = run(code, tmp_path / "cache")
    assert out == "42" and "No space left on device" in err


def test_folder_on_a_disk_mounted_noexec(tmp_path):
    """The loader refuses what lies there: kept there all the same, loaded from a temporary copy, and it says so."""
    code = """
    load = build.ctypes.CDLL
    def refusing(path):
        if "cache" in path:
            raise OSError(f"{path}: failed to map segment from shared object")
        return load(path)
    build.ctypes.CDLL = refusing
    print(answer())
    """
    for _ in range(2):
        out, err = run(code, tmp_path / "cache")
        assert out == "42" and "failed to map segment" in err and "RHEOBASE_CACHE" in err
    assert len(kernels(tmp_path / "cache")) == 1


def test_folder_deleted_while_in_use(tmp_path):
    code = "import shutil; build.folder(); shutil.rmtree(build.folder()); print(answer())"
    assert run(code, tmp_path / "cache") == ("42", "")
    assert len(kernels(tmp_path / "cache")) == 1


def test_relative_folder_stays_where_it_was(tmp_path):
    code = f"import os; os.chdir({str(tmp_path)!r}); build.folder(); os.chdir('/'); print(answer())"
    assert run(code, "cache") == ("42", "")
    assert len(kernels(tmp_path / "cache")) == 1


def test_temporary_folder_outlives_a_forked_child(tmp_path):
    code = """
    import os, sys
    build.folder()
    child = os.fork()
    if not child:
        sys.exit(0)
    os.waitpid(child, 0)
    print(answer())
    """
    assert run(code, "/dev/null/cache")[0] == "42"


def test_compiler_with_arguments(tmp_path):
    log = tmp_path / "log"
    compiler = script(tmp_path / "wrapper", f'case "$*" in *answer*) echo "$1 $2" >> {log};; esac\nshift\nexec "$@"\n')
    assert run("print(answer())", tmp_path / "cache", CC=f"'{compiler}' first cc")[0] == "42"
    assert log.read_text() == "first cc\n"


def test_compiler_that_is_none_is_named(tmp_path):
    code = """
    try:
        answer()
    except RuntimeError as error:
        print(error)
    """
    out, _ = run(code, tmp_path, CC="/nonexistent/compiler -O1")
    assert "no C compiler found ($CC is '/nonexistent/compiler -O1'); install gcc" in out


def test_missing_compiler_warns_once_and_runs_eager(tmp_path):
    code = """
    import torch
    import rheobase as rb
    for _ in range(3):
        rb.LIF()(torch.ones(2, 3))
        print(rb.last_backend())
    try:
        with rb.backend("cpu"):
            rb.LIF()(torch.ones(2, 3))
    except RuntimeError as error:
        print(error)
    """
    out, err = run(code, tmp_path, CC="/nonexistent/compiler")
    assert out.split("\n")[:3] == ["eager"] * 3
    assert err.count("no C compiler found") == 1 and "install gcc or clang" in err
    assert "no C compiler" in out.split("\n")[3]


def test_kernels_of_other_compilers_and_sources_are_others(tmp_path):
    code = "print(build.digest('a'), build.digest('b'))"
    one = run(code, tmp_path)[0].split()
    wrapper = script(tmp_path / "cc", '[ "$1" = --version ] && echo other && exit\nexec $REAL "$@"\n')
    other = run(code, tmp_path, CC=wrapper)[0].split()
    assert len({*one, *other}) == 4
