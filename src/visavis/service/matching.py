"""Compare the faces of photos of a request: all of them are embedded together, and charged to the client."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from visavis.metrics import cosine_scores
from visavis.service.acquiring import PreparedFace
from visavis.service.state import ServiceState
from visavis.verification import Verdict, Verifier

__all__ = ["Match", "match_faces"]


@dataclass(frozen=True, eq=False)
class Match:
    """The pair of faces of two photos with the highest score.

    Attributes:
        faces: The face of the first photo, and that of the second.
        verdict: The decision on all pairs of faces.
    """

    faces: tuple[PreparedFace, PreparedFace]
    verdict: Verdict


async def match_faces(
    service: ServiceState,
    verifier: Verifier,
    anchor: Sequence[PreparedFace],
    photos: Sequence[Sequence[PreparedFace]],
    *,
    client: str,
) -> list[Match]:
    """Compare the faces of a photo with those of each of some others.

    Args:
        service: Embeds them.
        verifier: Decides.
        anchor: The faces of the first photo.
        photos: Those of each of the others.
        client: Who is charged for the faces beyond the first of each photo.

    Raises:
        RateError: If the client has no right to so much work now.
    """
    faces = [*anchor, *(face for photo in photos for face in photo)]
    service.admission.charge_faces(client, len(faces), 1 + len(photos))
    embeddings = await service.engine.embed(faces)
    scores = cosine_scores(embeddings[: len(anchor)], embeddings[len(anchor) :])
    ends = np.cumsum([0, *map(len, photos)])
    columns = [scores[:, start:end] for start, end in pairwise(ends)]
    places = [divmod(int(np.argmax(own)), own.shape[1]) for own in columns]
    pairs = [(anchor[one], photo[other]) for photo, (one, other) in zip(photos, places, strict=True)]
    verdicts = [verifier.decide(own, faces=(one.found, other.found)) for own, (one, other) in zip(columns, pairs, strict=True)]
    used = sorted({one for one, _ in places})
    check = await service.engine.check_presentation([*(anchor[one] for one in used), *(other for _, other in pairs)])
    if check is not None:
        verdicts = [
            verifier.vetted(verdict, check.of_faces(used.index(one), len(used) + number))
            for number, (verdict, (one, _)) in enumerate(zip(verdicts, places, strict=True))
        ]
    return [Match(pair, verdict) for pair, verdict in zip(pairs, verdicts, strict=True)]
