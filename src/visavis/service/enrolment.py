"""Choose what is enrolled of the photos of a form: one face of each photo that can be used, with its embedding."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from visavis.errors import ImageError, SeveralFacesError
from visavis.gallery.enrolling import agreeing_faces
from visavis.service.acquiring import PreparedFace
from visavis.service.engine import Faces
from visavis.service.problems import PresentationError
from visavis.service.state import ServiceState
from visavis.verification import Verifier

__all__ = ["ChosenFace", "choose_faces"]


@dataclass(frozen=True, eq=False)
class ChosenFace:
    """A face that is enrolled.

    Attributes:
        face: The face.
        embedding: Its embedding, `(d,)`.
    """

    face: PreparedFace
    embedding: npt.NDArray[np.float32]


async def choose_faces(
    service: ServiceState, subject: str, prepared: Sequence[Faces | ImageError], *, client: str
) -> list[ChosenFace | ImageError]:
    """Return the face of each photo that is enrolled, or why the photo cannot be used.

    Args:
        service: Embeds and checks the faces, and has the gallery.
        subject: Who is enrolled.
        prepared: The faces of each photo, or why it has none.
        client: Who is charged for the faces beyond the first of each photo.

    Raises:
        RateError: If the client has no right to embed so many faces now.
    """
    photos = {index: faces for index, faces in enumerate(prepared) if not isinstance(faces, ImageError)}
    if not photos:
        return [refusal for refusal in prepared if isinstance(refusal, ImageError)]
    everything = [face for faces in photos.values() for face in faces]
    service.admission.charge_faces(client, len(everything), len(photos))
    embeddings = await service.engine.embed(everything)
    ends = np.cumsum([0, *map(len, photos.values())])
    groups = [embeddings[start:end] for start, end in pairwise(ends)]
    numbers = await asyncio.to_thread(agreeing_faces, service.require_gallery(), Verifier(service.engine.encoder), subject, groups)
    taken = [faces[number] for faces, number in zip(photos.values(), numbers, strict=True) if number is not None]
    check = await service.engine.check_presentation(taken)
    attacks = (
        set() if check is None else {id(face) for face, score in zip(taken, check.scores, strict=True) if score < check.threshold}
    )
    chosen: dict[int, ChosenFace | ImageError] = {}
    for (index, faces), group, number in zip(photos.items(), groups, numbers, strict=True):
        name = f"photos {index + 1}" if len(prepared) > 1 else "photos"
        if number is None:
            reason = f"{name}: no face agrees with another photo of the subject; send a crop of it"
            chosen[index] = SeveralFacesError(reason)
        else:
            face = faces[number]
            chosen[index] = _refusal(service, face, name, attack=id(face) in attacks) or ChosenFace(face, group[number])
    return [faces if isinstance(faces, ImageError) else chosen[index] for index, faces in enumerate(prepared)]


def _refusal(service: ServiceState, face: PreparedFace, name: str, *, attack: bool) -> ImageError | None:
    """Return why a face is not enrolled: its quality, or that it is a presentation attack; None: it is."""
    if service.quality is not None and face.quality is not None:
        try:
            service.quality.check(face.quality, name=name)
        except ImageError as error:
            return error
    if attack:
        return PresentationError(f"{name}: a presentation attack was detected. Enrol photos of the person, taken by a camera.")
    return None
