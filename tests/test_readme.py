"""The code of README.md and docs/ runs, and prints what the README says it prints."""

import contextlib
import io
import re
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def test_the_example_is_short():
    assert len(blocks(README, "python")[0].strip().splitlines()) <= 15


@pytest.mark.parametrize("number", range(len(blocks(README, "python"))))
def test_python_of_the_readme_prints_its_output(number, capsys):
    code = blocks(README, "python")[number]
    expected = re.search(re.escape(code) + r"```\n+```text\n(.*?)```", README, re.DOTALL)
    exec(compile(code, "README.md", "exec"), {"__name__": "readme"})
    assert expected is None or capsys.readouterr().out == expected[1]


@pytest.mark.parametrize("document", sorted((ROOT / "docs").glob("*.md")), ids=lambda path: path.name)
def test_python_of_the_docs_runs(document):
    """Indented or fenced blocks of Python, in order, in one namespace per document."""
    space: dict = {"__name__": "docs"}
    ran = 0
    for code in _python(document.read_text()):
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(code, str(document), "exec"), space)
        ran += 1
    assert ran or not re.search(r"^    (import|from) ", document.read_text(), re.MULTILINE)


def _python(text: str) -> list[str]:
    fenced = blocks(text, "python")
    indented = re.findall(r"(?:^(?: {4}.*)?\n)+", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    found = [*fenced, *(textwrap.dedent(block).strip() for block in indented)]
    return [code for code in found if re.match(r"(import|from|#.*\n+(import|from)) ", code) or "\nimport" in code]


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)]+)\)", README):
        if "://" not in target:
            assert (ROOT / target.split("#")[0]).exists(), target


def test_commands_of_the_readme_exist():
    makefile = (ROOT / "Makefile").read_text()
    for command in re.findall(r"^make (\w+)", README, re.MULTILINE):
        assert f"\n{command}:" in makefile
    assert "make test" in (ROOT / ".ci/run").read_text()
