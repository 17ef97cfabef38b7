"""A service in this process, with an encoder that sees only the mean levels of four quarters."""

import contextlib
import io
import queue
import threading
from dataclasses import dataclass, field, replace

import numpy as np
from PIL import Image

from visavis.encoders.card import Card
from visavis.faces import CANONICAL_LANDMARKS, Crop, Face, FaceFinder
from visavis.metrics.calibration import Calibration
from visavis.metrics.histograms import ScoreHistogram
from visavis.metrics.operating_points import OperatingPoint
from visavis.service.access import Access
from visavis.service.admission import Admission
from visavis.service.engine import Detectors, Engine
from visavis.service.limits import ServiceLimits
from visavis.service.metrics import Metrics
from visavis.service.server import ServiceSettings, make_server
from visavis.service.state import ServiceState

TILE = 112
LOOPBACK = frozenset({"127.0.0.1", "localhost"})
RULES = (
    OperatingPoint(0.95, "test people", 10, 1000, 20, 200, 50, target_fmr=0.01, fmr_upper=0.02),
    OperatingPoint(0.99, "test people", 1, 1000, 60, 200, 50, target_fmr=0.001, fmr_upper=0.005),
)
HISTOGRAM = ScoreHistogram(-1.0, 1.0, (0, 0, 1, 9), (2, 5, 3, 0), "test people")


@dataclass(frozen=True)
class Quarters:
    """An encoder of grey photos, 32 x 32."""

    digest: str = "ab" * 32
    card: Card = field(
        default_factory=lambda: Card(
            Crop((32, 32), "gray"),
            threshold=RULES[0],
            operating_points=RULES[1:],
            calibration=Calibration(5.0, 10.0),
            histogram=HISTOGRAM,
        )
    )

    @classmethod
    def of_faces(cls):
        """Return one that takes aligned faces, so that the service detects them."""
        card = Quarters().card
        return cls(card=replace(card, crop=Crop.arcface(32, colour="gray")))

    def embed(self, faces):
        quarters = np.asarray(faces, dtype=np.float32).reshape(len(faces), 2, 16, 2, 16).mean(axis=(2, 4)).reshape(len(faces), 4)
        return (quarters + 1) / np.linalg.norm(quarters + 1, axis=1, keepdims=True)


def picture(*levels, side=32, kind="PNG"):
    """A photo whose four quarters have these grey levels."""
    quarters = np.array(levels or (200, 20, 20, 20), dtype=np.uint8).reshape(2, 2)
    image = Image.fromarray(np.kron(quarters, np.ones((side // 2, side // 2), dtype=np.uint8)))
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


class Tiles:
    """Detects a face in each tile of a photo by `group`, the first one the largest."""

    def detect(self, photo):
        boxes = [np.array([TILE * tile, 0.0, TILE - tile, TILE - tile]) for tile in range(photo.shape[1] // TILE)]
        return [Face(box, CANONICAL_LANDMARKS + [TILE * tile, 0], 0.9) for tile, box in enumerate(boxes)]


def group(*people):
    """A photo of some people, a tile each, given by the grey levels of its quarters."""
    tiles = [np.kron(np.reshape(levels, (2, 2)), np.ones((TILE // 2, TILE // 2))) for levels in people]
    content = io.BytesIO()
    Image.fromarray(np.concatenate(tiles, axis=1).astype(np.uint8)).save(content, "PNG")
    return content.getvalue()


def file(data, *, name="a.png", kind="image/png"):
    """A file of a form, as `requests` takes it."""
    return name, data, kind


def pair(first=None, second=None):
    """The files of a form with two photos; the first may be given as bytes."""
    return {"first": file(first or picture()), "second": file(second or picture())}


def service_of(*, encoder=None, keys=None, gallery=None, limits=None, finder=None, pad=None, **options):
    """Create the state of a service."""
    limits = limits or ServiceLimits(rate=None)
    metrics = Metrics()
    admission = Admission(limits)
    engine = Engine(
        encoder or Quarters(),
        limits=limits,
        detectors=Detectors(finder or FaceFinder(), pad),
        observe=metrics.batches.observe,
        on_overload=admission.penalise,
        **options,
    )
    return ServiceState(engine, Access(LOOPBACK, keys), limits, metrics, admission, gallery)


@contextlib.contextmanager
def running(service):
    """Serve while the context is open; yields the address."""
    addresses = queue.Queue()
    settings = ServiceSettings(port=0, limits=service.limits)
    server = make_server(service, settings, started=addresses.put)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield addresses.get(timeout=300).rstrip("/")
    finally:
        server.should_exit = True
        thread.join()
