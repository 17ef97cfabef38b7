"""Known encoders, each described in a TOML file: the bundled one, those of extras and downloads, and the user's own."""

import importlib.util
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import platformdirs

from visavis.encoders.card import Card
from visavis.encoders.description import Description, read_toml
from visavis.encoders.fetching import RemoteFile, fetch_file, take_file
from visavis.encoders.loading import PRETRAINED_FILE, load_encoder
from visavis.errors import ModelError, check_option

__all__ = ["KnownEncoder", "Licences", "config_folder", "find_encoder", "known_encoders", "shipped_encoder"]

Origin = Literal["bundled", "package", "download"]
Task = Literal["faces", "other"]

_KNOWN = Path(__file__).parent / "known"
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_KEYS = frozenset(
    {"summary", "task", "source", "code_licence", "weights_licence", "data_licence", "url", "sha256", "bytes", "origin"}
)


@dataclass(frozen=True)
class Licences:
    """Terms of the parts of an encoder.

    Attributes:
        code: Of the code that made it.
        weights: Of the weights.
        data: Of the photos that the weights were trained on.
    """

    code: str = ""
    weights: str = ""
    data: str = ""


@dataclass(frozen=True)
class KnownEncoder:
    """An encoder that can be loaded by its name.

    Attributes:
        name: What `load_encoder` and `--model` take.
        file: The TOML file that describes it.
        summary: What it is, in one line.
        origin: `"bundled"`, `"package"` (an extra brings it) or `"download"`.
        task: `"faces"`, or `"other"`.
        source: Its home page.
        licences: Its terms.
        remote: The file to download; None where there is none.
        description: How a face becomes its input; None where the model's own card says it.
    """

    name: str
    file: Path
    summary: str = ""
    origin: Origin = "download"
    task: Task = "faces"
    source: str = ""
    licences: Licences = Licences()
    remote: RemoteFile | None = None
    description: Description | None = None

    @property
    def path(self) -> Path:
        """The downloaded file, whether it is there or not."""
        return platformdirs.user_cache_path("visavis") / "encoders" / f"{self.name}.onnx"

    @property
    def available(self) -> bool:
        """Whether it can be loaded now."""
        if self.origin == "package":
            return importlib.util.find_spec("face_recognition_models") is not None
        return PRETRAINED_FILE.is_file() if self.origin == "bundled" else self.path.is_file()

    @cached_property
    def measured(self) -> dict[str, Any]:
        """What `benchmarks/known.py` measured: `card`, `figures` by population, and `weights`; empty where nothing was."""
        path = self.file.with_suffix(".json")
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        return values

    @cached_property
    def card(self) -> Card:
        """The card: of the loaded model, with the operating points that we measured.

        Raises:
            MissingDependencyError: If it is in an extra that is not installed.
            ModelError: If this installation lacks it.
        """
        if self.description is None:
            return load_encoder(self.name).card
        return self.with_measured(self.description.card(str(self.file)))

    def with_measured(self, card: Card) -> Card:
        """Return a card with the operating points, calibration and histogram that we measured, if we did."""
        if "card" not in self.measured:
            return card
        found = Card.from_json(self.measured["card"], source=str(self.file.with_suffix(".json")))
        return replace(found, crop=card.crop, flip=card.flip, licence=card.licence)

    def get(self, *, file: Path | None = None, progress: bool = False) -> Path:
        """Download the encoder, or take a file that was fetched in another way.

        Args:
            file: That file; None: download it.
            progress: Whether to show a bar on standard error.

        Returns:
            The path of the encoder in the user's cache.

        Raises:
            ModelError: If it is not one to download.
            DownloadError: If it cannot be fetched, or if it is another file.
        """
        if self.remote is None:
            raise ModelError(f"{self.name} is not downloaded: {_HOW[self.origin]}")
        return (
            take_file(file, self.remote, self.path) if file is not None else fetch_file(self.remote, self.path, progress=progress)
        )

    def remove(self) -> bool:
        """Delete the downloaded file, and return whether there was one.

        Raises:
            ModelError: If it is not one to download.
        """
        if self.remote is None:
            raise ModelError(f"{self.name} is not downloaded: {_HOW[self.origin]}")
        leftovers = list(self.path.parent.glob(f"{self.path.name}.*.part"))
        for path in leftovers:
            path.unlink()
        present = self.path.is_file()
        self.path.unlink(missing_ok=True)
        return present or bool(leftovers)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        crop = None if self.description is None else self.description.crop
        if crop is None and self.available:
            crop = self.card.crop
        return {
            "name": self.name,
            "summary": self.summary,
            "task": self.task,
            "origin": self.origin,
            "available": self.available,
            "input": None if crop is None else crop.describe(),
            "source": self.source,
            "licences": vars(self.licences),
            "sha256": None if self.remote is None else self.remote.sha256,
            "bytes": None if self.remote is None else self.remote.size,
            "path": str(self.path) if self.origin == "download" else None,
            "described_in": str(self.file),
            "measured_with": self.measured.get("weights", ""),
            "figures": self.measured.get("figures", {}),
        }


_HOW = {
    "bundled": "it comes with visavis",
    "package": "an extra of visavis brings it",
    "download": "its description has no url",
}


def config_folder() -> Path:
    """Return the folder of the user's own descriptions, `NAME.toml` each."""
    return platformdirs.user_config_path("visavis") / "encoders"


def known_encoders() -> dict[str, KnownEncoder]:
    """Return the known encoders by name, the user's own last.

    Raises:
        ModelError: If a description cannot be used; the message names its file.
    """
    files = [*sorted(_KNOWN.glob("*.toml"), key=lambda path: path.stem != "pretrained"), *sorted(config_folder().glob("*.toml"))]
    known: dict[str, KnownEncoder] = {}
    for file in files:
        encoder = read_known(file)
        if encoder.name in known:
            raise ModelError(f"{file}: there is an encoder of the name {encoder.name!r} already ({known[encoder.name].file})")
        known[encoder.name] = encoder
    return known


def find_encoder(name: str) -> KnownEncoder:
    """Return a known encoder.

    Raises:
        ModelError: If there is none of this name.
    """
    known = known_encoders()
    if name not in known:
        raise ModelError(f"unknown encoder {name!r}; known are {', '.join(known)}")
    return known[name]


def shipped_encoder(name: str) -> KnownEncoder:
    """Return a known encoder of the package; the user's own descriptions are not read."""
    return read_known(_KNOWN / f"{name}.toml")


def read_known(file: Path) -> KnownEncoder:
    """Read the description of a known encoder.

    Raises:
        ModelError: If it cannot be used; the message names the file.
    """
    values = read_toml(file)
    try:
        if not _NAME.fullmatch(file.stem):
            raise ValueError(f"the file name must be lower-case letters, digits, '.', '_' and '-', got {file.stem!r}")
        return _known(file, values)
    except ValueError as error:
        raise ModelError(f"{file}: {error}") from error


def _known(file: Path, values: Mapping[str, Any]) -> KnownEncoder:
    origin: Any = values.get("origin", "download") if file.parent == _KNOWN else "download"
    check_option("origin", origin, Origin)
    texts = {key: values.get(key, "") for key in ("summary", "source", "code_licence", "weights_licence", "data_licence")}
    for key, text in texts.items():
        if not isinstance(text, str):
            raise ValueError(f"{key} must be a text, got {text!r}")
    task: Any = values.get("task", "faces")
    check_option("task", task, Task)
    rest = {key: value for key, value in values.items() if key not in _KEYS}
    remote = None
    if origin == "download":
        missing = [key for key in ("url", "sha256", "bytes") if key not in values]
        if missing:
            raise ValueError(f"{missing[0]} is missing")
        remote = RemoteFile(values["url"], values["sha256"], values["bytes"])
        rest.setdefault("licence", texts["weights_licence"])
    licences = Licences(texts["code_licence"], texts["weights_licence"], texts["data_licence"])
    description = Description.from_toml(rest) if rest else None
    return KnownEncoder(file.stem, file, texts["summary"], origin, task, texts["source"], licences, remote, description)
