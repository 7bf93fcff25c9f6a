"""Plants a mistake in generated kernels, for tests of the tests."""

import contextlib
from collections.abc import Iterator
from types import ModuleType

import pytest


@contextlib.contextmanager
def planted(monkeypatch: pytest.MonkeyPatch, right: str, wrong: str, *modules: ModuleType) -> Iterator[None]:
    """Inside, what the modules' forward_source and backward_source write holds `wrong` in place of `right`.

    Fails at the end where no source held `right`: the mistake was planted nowhere.
    """
    touched = []
    for module in modules:
        for name in ("forward_source", "backward_source"):
            if hasattr(module, name):
                written = getattr(module, name)

                def changed(program, variant, written=written):
                    source = written(program, variant)
                    touched.append(right in source)
                    return source.replace(right, wrong)

                monkeypatch.setattr(module, name, changed)
    yield
    assert any(touched), f"no kernel holds {right!r} any more: plant the mistake elsewhere"
