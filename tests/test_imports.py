"""Imports point one way: surrogate <- fuse <- neurons <- layers <- models <- training <- cli."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import rheobase
from rheobase import cli

PACKAGE = Path(rheobase.__file__).parent

# What each part may import, besides the leaves; only the command line knows everything.
ALLOWED = {
    "names": set(),
    "atomic": set(),
    "surrogate": set(),
    "fuse": {"surrogate"},
    "neurons": {"surrogate", "fuse"},
    "exact": {"fuse", "surrogate"},
    "layers": {"surrogate", "fuse", "neurons"},
    "models": {"surrogate", "fuse", "neurons", "layers", "exact"},
    "data": set(),
    "training": {"surrogate", "fuse", "neurons", "exact", "layers", "models", "data"},
    "recipes": {"models", "data", "training", "surrogate"},
    "analysis": {"surrogate", "fuse", "neurons", "layers", "models", "exact"},
    "plots": {"analysis"},
    "export": {"fuse", "neurons", "layers", "models"},
}
LEAVES = {"names", "atomic"}
TOP = {"__init__"}  # the public names
CLI = {"__main__", "cli", "commands", "checks", "show", "doctor", "bench", "report"}  # and what only it uses
SHARED = {"__init__", "flags", "terminal"}  # files of commands/ that are no command


def parts() -> set[str]:
    """The files and packages of rheobase."""
    return {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or list(path.glob("*.py"))}


def imported(path: Path) -> set[str]:
    """The parts of rheobase that a file imports, also inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            raise AssertionError(f"{path}: relative import; write the full name, so that directions can be read")
        else:
            continue
        found |= {name.split(".")[1] for name in names if name.startswith("rheobase.")}
    return {name for name in found if name in parts()}


def files(part: str) -> list[Path]:
    single = PACKAGE / f"{part}.py"
    return [single] if single.exists() else sorted((PACKAGE / part).rglob("*.py"))


def wrong(part: str, allowed: set[str]) -> list[str]:
    return [
        f"{path.relative_to(PACKAGE)} imports {name}"
        for path in files(part)
        for name in sorted(imported(path) - allowed - LEAVES - {part})
    ]


@pytest.mark.parametrize("part", sorted(ALLOWED))
def test_imports_point_one_way(part):
    assert wrong(part, ALLOWED[part]) == []


def test_every_part_has_a_place():
    assert parts() - TOP - CLI <= set(ALLOWED), "say in ALLOWED what a new part may import"


def test_every_file_of_commands_is_a_command_with_one_line_of_help():
    ours = {path.stem for path in (PACKAGE / "commands").glob("*.py")} - SHARED
    assert {command.__module__.split(".")[-1] for command in cli.COMMANDS.values()} == ours
    assert all(command.__doc__ for command in cli.COMMANDS.values())


def test_only_plots_uses_matplotlib():
    users = [path for path in PACKAGE.rglob("*.py") if "matplotlib" in path.read_text()]
    assert {path.relative_to(PACKAGE).parts[0] for path in users} <= {"plots"}


def test_what_is_named_in_the_docs_is_there_and_is_imported_late():
    program = "import rheobase as rb, sys; assert 'rheobase.training' not in sys.modules; "
    program += "rb.training.record_spikes, rb.recipes.names, rb.analysis.activity, rb.plots, rb.export"
    subprocess.run([sys.executable, "-c", program], check=True)
    with pytest.raises(AttributeError, match="'rheobase' has no attribute 'trainin'"):
        rheobase.trainin  # noqa: B018
    with pytest.raises(AttributeError, match=r"'rheobase\.analysis' has no attribute 'energi'"):
        rheobase.analysis.energi  # noqa: B018


def test_a_wrong_arrow_is_noticed(tmp_path, monkeypatch):
    (tmp_path / "fuse.py").write_text("def late():\n    from rheobase.neurons import LIF\n    return LIF\n")
    (tmp_path / "neurons.py").write_text("")
    monkeypatch.setattr("tests.test_imports.PACKAGE", tmp_path)
    assert wrong("fuse", ALLOWED["fuse"]) == ["fuse.py imports neurons"]
