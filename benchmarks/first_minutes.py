"""A new user's first minutes: how long each step takes, and what is said after a mistake.

    python benchmarks/first_minutes.py

Clones this repository into an empty folder and goes the way of the README and of docs/quick-start.md there, in an environment of
its own: install, demo, two photos, one's own folder (20 people of LFW, 6 whole photos of each). Then a mistake at each step.
What lacks a backend is done in a second environment that has the core alone, the full disk is a file system of 1 MB, and the lost
network a namespace without one, so these want Linux and `unshare`. Writes `results/first_minutes.json`, whose tables stand in
docs/quick-start.md. About ten minutes on 2 cores, most of them for what is installed.
"""

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

import numpy as np
from PIL import Image
from record import LFW, write_result

from visavis.data import open_photos

ROOT = Path(__file__).parents[1]
PEOPLE, PHOTOS = 20, 6
_ALONE = "unshare --map-root-user --mount sh -c 'mount -t tmpfs -o size=1m none full && \"$@\"' -- "
_UNREACHABLE = "unshare --map-root-user --net "

STEPS = {
    "installed, with all extras": "make setup",
    "demo: trained and measured on generated faces": "make demo",
    "two photos of one's own": "visavis verify {same} --draw why.png",
    "one against many": "visavis compare {many} --out compared.png",
    "own folder: faces found": "visavis prepare photos/ --out faces/",
    "own folder: looked through": "visavis inspect faces/ --out look.html",
    "own folder: trained": "visavis train faces/ --out runs/mine",
    "own folder: measured on people never seen": "visavis evaluate runs/mine faces/",
    "an answer by one's own model": "visavis verify {same} --model runs/mine",
}
MISTAKES = {
    "a path that is not there": "visavis verify nobody.jpg {one}",
    "a folder that is not there": "visavis train nowhere/ --out runs/a",
    "photos side by side": "visavis train photos/{person} --out runs/b",
    "one person only": "visavis train alone/ --out runs/c",
    "a tiny photo": "visavis verify tiny.png {one} --aligned",
    "a black photo": "visavis verify black.png {one} --aligned",
    "a file that is no photo": "visavis verify README.md {one}",
    "no face in the photo": "visavis verify grass.png {one}",
    "a run that is not there": "visavis evaluate runs/yours faces/",
    "a folder that holds a run": "visavis train faces/ --out runs/mine",
    "no backend installed": "core/bin/visavis train faces/ --out runs/d",
    "no room on the disk": _ALONE + "visavis train faces/ --out full/run",
    "no network for Olivetti": _UNREACHABLE + "visavis train olivetti --out runs/e",
}


def lay_out(folder: Path) -> dict[str, str]:
    """Write a user's photos into the folder, good ones and bad ones; return their names."""
    people = defaultdict(list)
    with open_photos(LFW) as files:
        for name, person in files.photos:
            people[person].append(name)
        chosen = [person for person in sorted(people) if len(people[person]) >= 2 * PHOTOS][:PEOPLE]
        for person in chosen:
            for name in people[person][:PHOTOS]:
                path = folder / "photos" / person / Path(name).name
                path.parent.mkdir(parents=True, exist_ok=True)
                content = files.fetch(name)
                path.write_bytes(content if isinstance(content, bytes) else content.read_bytes())
    photos = [sorted((folder / "photos" / person).iterdir()) for person in chosen[:2]]
    first, second = [[str(path.relative_to(folder)) for path in paths] for paths in photos]
    shutil.copytree(folder / "photos" / chosen[0], folder / "alone" / chosen[0])
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
        "person": chosen[0],
    }


def run(command: str, folder: Path) -> dict[str, object]:
    """What a command does in the folder: seconds, exit code, and the errors and warnings that it tells."""
    environment = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH")}
    environment |= {"PATH": f"{folder / '.venv' / 'bin'}:{os.environ['PATH']}", "COLUMNS": "200"}
    start = time.perf_counter()
    done = subprocess.run(shlex.split(command), cwd=folder, env=environment, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    said = [line for line in re.split(r"[\r\n]+", f"{done.stdout}\n{done.stderr}") if line.startswith(("error: ", "warning: "))]
    shown = command.replace(_ALONE, "").replace(_UNREACHABLE, "").replace("core/bin/", "")
    return {"command": shown, "seconds": round(seconds, 1), "exit_code": done.returncode, "said": said}


def main() -> None:
    """Go all the way."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "visavis"
        subprocess.run(["git", "clone", "--quiet", ROOT, folder], check=True)
        names = lay_out(folder)
        steps, mistakes = {}, {}
        for what, command in STEPS.items():
            steps[what] = run(command.format(**names), folder)
            print(what, steps[what], flush=True)
            if steps[what]["exit_code"] > 1:  # verify answers with 0 or 1
                sys.exit(f"{what}: failed")
        subprocess.run([sys.executable, "-m", "venv", folder / "core"], check=True)
        for what in (["--require-hashes", "--requirement", "requirements/core.txt"], ["--no-deps", "."]):
            subprocess.run([folder / "core" / "bin" / "pip", "install", "--quiet", *what], cwd=folder, check=True)
        (folder / "full").mkdir()
        for what, command in MISTAKES.items():
            mistakes[what] = run(command.format(**names), folder)
            print(what, mistakes[what], flush=True)
    write_result("first_minutes", {"steps": steps, "mistakes": mistakes}, command="python benchmarks/first_minutes.py")


if __name__ == "__main__":
    main()
