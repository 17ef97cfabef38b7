"""The pinned requirements are complete, hashed, and agree with pyproject.toml."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PIN = re.compile(r"^(?P<name>[\w.-]+)(?:\[[\w,]+\])?==(?P<version>\S+)(?P<rest>.*(?:\n    .*)*)", re.MULTILINE)
EXTRAS = {"core": [], "serve": ["serve"], "dev": ["all", "dev"], "bench": ["bench"], "lowest": ["all", "dev"]}


def declared(extras):
    """List the requirements of the package with some extras, those of nested extras included."""
    requirements, waiting = [Requirement(text) for text in PROJECT["dependencies"]], list(extras)
    while waiting:
        for text in PROJECT["optional-dependencies"][waiting.pop()]:
            requirement = Requirement(text)
            waiting.extend(requirement.extras if requirement.name == "visavis" else ())
            requirements.append(requirement)
    return [requirement for requirement in requirements if requirement.name != "visavis"]


def pins(name):
    """Return the pinned versions of a file by package; a package may have one for each Python version or platform."""
    versions = {}
    for match in PIN.finditer((ROOT / "requirements" / f"{name}.txt").read_text()):
        assert "--hash=sha256:" in match["rest"], f"{name}.txt: {match['name']} has no hash"
        versions.setdefault(canonicalize_name(match["name"]), set()).add(Version(match["version"]))
    return versions


@pytest.mark.parametrize("name", EXTRAS)
def test_every_requirement_is_pinned_within_its_bounds(name):
    pinned = pins(name)
    for requirement in declared(EXTRAS[name]):
        if name == "lowest" and requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        versions = pinned[canonicalize_name(requirement.name)]
        assert all(version in requirement.specifier for version in versions), f"{name}.txt: {requirement}, pinned {versions}"


def test_lowest_pins_the_declared_minimum():
    pinned = pins("lowest")
    for requirement in declared(EXTRAS["lowest"]):
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            minimum = max(Version(spec.version) for spec in requirement.specifier if spec.operator in (">=", "=="))
            assert pinned[canonicalize_name(requirement.name)] == {minimum}, f"{requirement}: make lock"


@pytest.mark.parametrize("name", ["core", "serve", "bench"])
def test_shared_packages_have_one_version(name):
    everything = pins("dev")
    assert all(versions <= everything[package] for package, versions in pins(name).items() if package in everything)


def test_the_workflow_runs_tests_that_exist_on_every_version_that_is_declared():
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text()
    targets = re.findall(r"run: make ([\w-]+)", workflow)
    assert set(targets) == {"browser", "lint", "test", "test-lowest", "test-slow"}
    makefile = (ROOT / "Makefile").read_text()
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)
    assert PROJECT["requires-python"] == ">=3.11" and 'python: ["3.11", "3.12", "3.13"]' in workflow


def test_the_sbom_lists_every_pinned_package_with_its_hashes(tmp_path):
    """`make sbom` is run by its own command line, without a network."""
    tool = Path(sys.executable).with_name("cyclonedx-py")
    if not tool.is_file():
        pytest.skip("needs cyclonedx-bom")
    (command,) = re.findall(r"^\t\$\(BIN\)/cyclonedx-py (.+) --output-file \S+$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    out = tmp_path / "visavis.cdx.json"
    subprocess.run([tool, *command.split(), "--output-file", out], cwd=ROOT, check=True, capture_output=True, timeout=300)
    bom = json.loads(out.read_text())
    assert (bom["bomFormat"], bom["metadata"]["component"]["name"]) == ("CycloneDX", "visavis")
    assert bom["metadata"]["component"]["licenses"] == [{"acknowledgement": "declared", "expression": PROJECT["license"]}]
    listed = {}
    for component in bom["components"]:
        hashes = {one["content"] for reference in component["externalReferences"] for one in reference.get("hashes", ())}
        assert hashes, component["name"]
        listed.setdefault(canonicalize_name(component["name"]), set()).add(Version(component["version"]))
    assert listed == pins("serve")
