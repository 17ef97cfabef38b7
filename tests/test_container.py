"""The container: no root, nothing to write but the volume, reachable from this machine alone, and a command that exists."""

import json
import re
from pathlib import Path

import pytest

from visavis.cli import group
from visavis.service.limits import ServiceLimits

ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
LINES = [line.split(maxsplit=1) for line in DOCKERFILE.splitlines() if line and not line.startswith("#")]


def last(instruction):
    return [rest for name, rest in LINES if name == instruction][-1]


def test_it_runs_as_a_user_without_rights_and_is_looked_after():
    assert last("USER") not in ("0", "root")
    assert "/readyz" in last("HEALTHCHECK")
    assert last("VOLUME") == "/data"
    assert not [name for name, _ in LINES if name == "ADD"]
    images = {rest.split()[0] for name, rest in LINES if name == "FROM"}
    assert len(images) == 1 and re.fullmatch(r"python:3\.\d+-slim@sha256:[0-9a-f]{64}", images.pop())


def test_the_digest_of_the_base_image_is_kept_up_to_date():
    yaml = pytest.importorskip("yaml")
    updates = yaml.safe_load((ROOT / ".github" / "dependabot.yml").read_text())["updates"]
    assert {"docker", "github-actions"} <= {update["package-ecosystem"] for update in updates}


def test_what_it_copies_and_installs_is_there():
    for name, rest in LINES:
        if name == "COPY" and not rest.startswith("--from"):
            assert all((ROOT / source).exists() for source in rest.split()[:-1])
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert ignored[0] == "*" and {"!src", "!pyproject.toml", "!requirements"} <= set(ignored)
    assert all("--require-hashes" in rest or "--no-deps" in rest for name, rest in LINES if "pip install" in rest)


def test_it_serves_behind_keys_on_its_volume():
    assert json.loads(last("ENTRYPOINT")) == ["visavis"]
    command, *arguments = json.loads(last("CMD"))
    settings = group.commands[command].make_context(command, arguments).params
    assert settings["host"] == "0.0.0.0"
    assert {settings["keys"].parent, Path(settings["gallery"]).parent} == {Path("/data")}


def test_compose_takes_away_what_is_not_needed():
    yaml = pytest.importorskip("yaml")
    service = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["visavis"]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"] and service["security_opt"] == ["no-new-privileges:true"]
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert service["tmpfs"] == ["/tmp"] and service["volumes"] == ["data:/data"]
    assert int(service["stop_grace_period"].rstrip("s")) > ServiceLimits().seconds
    assert not {"privileged", "network_mode", "pid"} & set(service)


def test_compose_does_not_start_without_the_gallery_key():
    assert re.search(r"VISAVIS_GALLERY_KEY: \$\{VISAVIS_GALLERY_KEY:\?.+\}", (ROOT / "compose.yaml").read_text())
