"""A new user's first minutes: the time of each step, and the message after each mistake.

    python benchmarks/first_minutes.py [--mistakes]

Clones this repository into an empty folder and follows the README and docs/quick-start.md there, in a new environment: install,
demo, two photos, and a folder of photos (20 people of LFW, 6 whole photos each). Then it makes a mistake at each step. The missing
backend is tried in a second environment with the core alone, the full disk is a file system of 1 MB, and the missing network is a
namespace without one, so these need Linux and `unshare`. Writes `results/first_minutes.json`. About ten minutes on 2 cores, most
of them for the installation. With `--mistakes`, only the messages are recorded again, in this environment; the times are kept.
"""

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from record import LFW, RESULTS, write_result

from visavis.data import open_photos

ROOT = Path(__file__).parents[1]
PEOPLE, PHOTOS = 20, 6
_ALONE = "unshare --map-root-user --mount sh -c 'mount -t tmpfs -o size=1m none full && \"$@\"' -- "
_UNREACHABLE = "unshare --map-root-user --net "

STEPS = {
    "install with all extras": "make setup",
    "demo: train and evaluate on generated faces": "make demo",
    "compare two photos": "visavis verify {same} --draw why.png",
    "compare one photo with many": "visavis compare {many} --out compared.png",
    "own folder: detect faces": "visavis prepare photos/ --out faces/",
    "own folder: inspect": "visavis inspect faces/ --out inspect.html",
    "own folder: train": "visavis train faces/ --out runs/mine",
    "own folder: evaluate on held-out people": "visavis evaluate runs/mine faces/",
    "own model: compare two photos": "visavis verify {same} --model runs/mine",
}
SHORT_STEPS = {  # what the mistakes need
    "detect faces": "visavis prepare photos/ --out faces/",
    "train": "visavis train faces/ --out runs/mine --init scratch --steps 20",
}
MISTAKES = {
    "a missing photo": "visavis verify nobody.jpg {one}",
    "a missing folder": "visavis train nowhere/ --out runs/a",
    "photos without sub-folders": "visavis train photos/{person} --out runs/b",
    "a single person": "visavis train alone/ --out runs/c",
    "a tiny photo": "visavis verify tiny.png {one} --aligned",
    "a black photo": "visavis verify black.png {one} --aligned",
    "a file that is not a photo": "visavis verify README.md {one}",
    "a photo without a face": "visavis verify grass.png {one}",
    "a missing run": "visavis evaluate runs/yours faces/",
    "a folder with a run": "visavis train faces/ --out runs/mine",
    "no backend of Keras": "core/bin/visavis train faces/ --out runs/d",
    "a full disk": _ALONE + "visavis train faces/ --out full/run",
    "no network for Olivetti": _UNREACHABLE + "visavis train olivetti --out runs/e",
}


def lay_out(folder: Path) -> dict[str, str]:
    """Write a user's photos to the folder, valid and invalid ones; return their names."""
    people = defaultdict(list)
    with open_photos(LFW) as files:
        for name, person in files.photos:
            people[person].append(name)
        chosen = [person for person in sorted(people) if len(people[person]) >= 2 * PHOTOS][:PEOPLE]
        for number, person in enumerate(chosen, start=1):
            for rank, name in enumerate(people[person][:PHOTOS], start=1):
                path = folder / "photos" / f"person-{number}" / f"{rank}.jpg"
                path.parent.mkdir(parents=True, exist_ok=True)
                content = files.fetch(name)
                path.write_bytes(content if isinstance(content, bytes) else content.read_bytes())
    photos = [sorted((folder / "photos" / f"person-{number}").iterdir()) for number in (1, 2)]
    first, second = [[str(path.relative_to(folder)) for path in paths] for paths in photos]
    shutil.copytree(folder / "photos" / "person-1", folder / "alone" / "person-1")
    with Image.open(folder / first[1]) as photo:
        photo.resize((12, 12)).save(folder / "tiny.png")
    Image.new("RGB", (112, 112), "black").save(folder / "black.png")
    green = np.random.default_rng(0).integers(0, 120, (200, 300, 3), dtype=np.uint8)
    green[:, :, 1] += 100
    Image.fromarray(green).save(folder / "grass.png")
    return {
        "same": " ".join(first[:2]),
        "many": " ".join([first[0], *first[1:4], *second[:3]]),
        "one": first[0],
        "person": "person-1",
    }


def run(command: str, folder: Path) -> dict[str, Any]:
    """Run a command in the folder; return seconds, exit code, errors and warnings."""
    environment = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH")}
    environment |= {"PATH": f"{folder / '.venv' / 'bin'}:{os.environ['PATH']}", "COLUMNS": "200"}
    start = time.perf_counter()
    done = subprocess.run(shlex.split(command), cwd=folder, env=environment, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    said = [line for line in re.split(r"[\r\n]+", f"{done.stdout}\n{done.stderr}") if line.startswith(("error: ", "warning: "))]
    shown = command.replace(_ALONE, "").replace(_UNREACHABLE, "").replace("core/bin/", "")
    return {"command": shown, "seconds": round(seconds, 1), "exit_code": done.returncode, "said": said}


def follow(steps: dict[str, str], folder: Path) -> dict[str, Any]:
    """Run all steps; a failed one ends the benchmark."""
    results = {}
    for what, command in steps.items():
        results[what] = run(command, folder)
        print(what, results[what], flush=True)
        if results[what]["exit_code"] > command.startswith("visavis verify"):  # which exits with 1 for different people
            sys.exit(f"{what}: failed")
    return results


def main() -> None:
    """Follow all steps, then make all mistakes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mistakes", action="store_true", help="record only the messages again")
    only_mistakes = parser.parse_args().mistakes
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "visavis"
        subprocess.run(["git", "clone", "--quiet", ROOT, folder], check=True)
        names, mistakes = lay_out(folder), {}
        if only_mistakes:
            (folder / ".venv").symlink_to(Path(sys.executable).parents[1])
            follow(SHORT_STEPS, folder)
            steps = json.loads((RESULTS / "first_minutes.json").read_text())["steps"]
        else:
            steps = follow({what: command.format(**names) for what, command in STEPS.items()}, folder)
        subprocess.run([sys.executable, "-m", "venv", folder / "core"], check=True)
        for arguments in (["--require-hashes", "--requirement", "requirements/core.txt"], ["--no-deps", "."]):
            subprocess.run([folder / "core" / "bin" / "pip", "install", "--quiet", *arguments], cwd=folder, check=True)
        (folder / "full").mkdir()
        for what, command in MISTAKES.items():
            mistakes[what] = run(command.format(**names), folder)
            print(what, mistakes[what], flush=True)
    write_result("first_minutes", {"steps": steps, "mistakes": mistakes})


if __name__ == "__main__":
    main()
