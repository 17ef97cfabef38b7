"""The layers of docs/design.md: a package imports only those above it, and only the modules marked there import Keras."""

import ast
import re
from itertools import pairwise
from pathlib import Path

import pytest

import visavis

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "visavis"
ROW = re.compile(r"^\| `(?P<name>[a-z_]+)` \| (?P<keras>[^|]*) \|", re.MULTILINE)
KERAS = {"keras", "tensorflow", "jax"}


def layers():
    """The packages of the table in docs/design.md from top to bottom, each with the text of its column on Keras."""
    return {row["name"]: row["keras"].strip() for row in ROW.finditer((ROOT / "docs" / "design.md").read_text())}


def _modules():
    """Every module below the package itself: its dotted name and its file."""
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        if parts not in (("__init__",), ("__main__",)):
            yield ".".join(parts), path


MODULES = list(_modules())


def imports_of(source):
    """The dotted names that a module imports anywhere: at its top, in functions, and for type checkers."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports are not used"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def upward(name, source, order):
    """The imports of a module that its place in the order of packages does not allow."""
    allowed = order[: order.index(name.split(".")[0]) + 1]
    for imported in imports_of(source):
        parts = imported.split(".")
        if parts[0] == "visavis" and parts[1] not in (*allowed, "__version__"):
            yield imported


def may_import_keras(name):
    package, _, module = name.partition(".")
    column = layers()[package]
    return column == "yes" or f"`{module}`" in column


def test_every_package_is_in_the_table():
    assert set(layers()) == {name.split(".")[0] for name, _ in MODULES}


@pytest.mark.parametrize(("name", "path"), MODULES, ids=[name for name, _ in MODULES])
def test_a_module_imports_only_packages_above_its_own(name, path):
    assert list(upward(name, path.read_text(), list(layers()))) == []


@pytest.mark.parametrize(
    "source",
    [
        "import visavis.cli",
        "from visavis.cli import main",
        "from visavis import cli",
        "def f():\n    from visavis.cli.options import say",
        "if TYPE_CHECKING:\n    from visavis.service.state import ServiceState",
    ],
)
def test_an_upward_import_is_found_wherever_it_stands(source):
    assert list(upward("service.routes.health", source, ["errors", "service", "cli"])) == [
        imported for imported in imports_of(source) if "cli" in imported
    ]
    assert list(upward("metrics.curves", source, ["metrics", "service", "cli"])) != []


def test_no_module_imports_itself_in_a_circle():
    """Between the modules of a package too: what is imported at the top of each forms no cycle."""
    known = dict(MODULES)
    edges = {name: set() for name in known}
    for name, path in known.items():
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ImportFrom) and node.module.startswith("visavis."):
                target = node.module.removeprefix("visavis.")
                for candidate in [target, *(f"{target}.{alias.name}" for alias in node.names)]:
                    if candidate in known and candidate != name:
                        edges[name].add(candidate)
    finished = set()
    trail = []

    def visit(name):
        if name in trail:
            raise AssertionError(" -> ".join(first for first, _ in pairwise([*trail[trail.index(name) :], name, ""])))
        if name not in finished:
            trail.append(name)
            for target in sorted(edges[name]):
                visit(target)
            trail.pop()
            finished.add(name)

    for name in known:
        visit(name)


@pytest.mark.parametrize(("name", "path"), MODULES, ids=[name for name, _ in MODULES])
def test_only_marked_modules_import_keras(name, path):
    loads = any(
        imported.split(".")[0] in KERAS or imported.startswith("visavis.backend") for imported in imports_of(path.read_text())
    )
    assert not loads or may_import_keras(name)


@pytest.mark.parametrize(("name", "path"), MODULES, ids=[name for name, _ in MODULES])
def test_keras_is_imported_in_one_place(name, path):
    """Where the backend's start-up messages are discarded."""
    direct = {imported.split(".")[0] for imported in imports_of(path.read_text())}
    assert "keras" not in direct or name == "backend"


def test_modules_stay_readable():
    for path in SOURCE.rglob("*.py"):
        assert len(path.read_text().splitlines()) <= 400, path


def test_public_names_are_those_that_can_be_loaded():
    for name in visavis.__all__:
        assert getattr(visavis, name).__name__ == name
    with pytest.raises(AttributeError, match="verify_everything"):
        visavis.verify_everything  # noqa: B018
