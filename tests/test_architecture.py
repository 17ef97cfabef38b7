"""The layers of docs/design.md: a module uses those above it, and only the ones marked K load Keras."""

import ast
import re
from pathlib import Path

import pytest

import visavis

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "visavis"
ROW = re.compile(r"^\| `(?P<name>[a-z_]+)`(?P<keras> K)? \|", re.MULTILINE)


def layers():
    """Module names from top to bottom with whether they load Keras, as the table in docs/design.md has them."""
    return [(row["name"], bool(row["keras"])) for row in ROW.finditer((ROOT / "docs" / "design.md").read_text())]


def imports_of(path, *, at_load):
    """Names of modules that a file imports; those inside of functions and of TYPE_CHECKING blocks only if `at_load` is false."""
    tree = ast.parse(path.read_text())
    nodes = tree.body if at_load else list(ast.walk(tree))
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def files_of(name):
    package = SOURCE / name
    return sorted(package.glob("*.py")) if package.is_dir() else [SOURCE / f"{name}.py"]


def test_every_module_is_in_the_table():
    names = {path.stem for path in SOURCE.glob("*.py")} | {
        path.name for path in SOURCE.iterdir() if (path / "__init__.py").is_file()
    }
    assert {name for name, _ in layers()} == names - {"__init__", "__main__"}


@pytest.mark.parametrize("name", [name for name, _ in layers()])
def test_modules_use_only_what_is_above_them(name):
    order = [layer for layer, _ in layers()]
    allowed = {*order[: order.index(name)], name}
    for path in files_of(name):
        for module in imports_of(path, at_load=True):
            if module.startswith("visavis."):
                assert module.split(".")[1] in allowed, f"{path.name} imports {module}"


@pytest.mark.parametrize(("name", "loads_keras"), layers())
def test_only_marked_modules_import_keras(name, loads_keras):
    found = any(
        module.split(".")[0] in ("keras", "tensorflow", "jax")
        for path in files_of(name)
        for module in imports_of(path, at_load=False)
    )
    assert found == loads_keras


def test_modules_stay_readable():
    for path in SOURCE.rglob("*.py"):
        assert len(path.read_text().splitlines()) <= 400, path


def test_public_names_are_those_that_can_be_loaded():
    for name in visavis.__all__:
        assert getattr(visavis, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'verify_everything'"):
        visavis.verify_everything  # noqa: B018


def test_type_checkers_see_every_public_name():
    seen = ast.walk(ast.parse(Path(visavis.__file__).read_text()))
    imported = [alias.name for node in seen if isinstance(node, ast.ImportFrom) for alias in node.names]
    assert sorted(set(visavis.__all__) - set(imported)) == []
