"""Routes that return what is found in photos: faces, and their embeddings."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request

from visavis.errors import ImageError
from visavis.service.acquiring import Acquisition
from visavis.service.face_schemas import DetectedFace, Detection, EmbeddedFace, EmbeddedPhoto, Embeddings, Face, RefusedPhoto
from visavis.service.forms import ParsedForm, PhotoForm
from visavis.service.limits import MAX_PHOTOS
from visavis.service.routes.fields import PROBLEM_RESPONSES, AcquisitionFields, DetectionFields
from visavis.service.state import SharedState, requires

__all__ = ["router"]

router = APIRouter(prefix="/v1", tags=["faces"], responses=PROBLEM_RESPONSES)

ONE_PHOTO = PhotoForm(DetectionFields, {"photo": 1})
PHOTOS = PhotoForm(AcquisitionFields, {"photos": MAX_PHOTOS})


@router.post("/detect", dependencies=[Depends(requires("decide", "embed"))], openapi_extra=ONE_PHOTO.openapi())
async def detect(
    request: Request, form: Annotated[ParsedForm[DetectionFields], Depends(ONE_PHOTO.parse)], service: SharedState
) -> Detection:
    """Detect all faces of a photo: boxes, landmarks and quality measures."""
    (faces,) = await service.engine.prepare(form.photos, Acquisition(policy="all"), client=request.state.caller)
    return Detection(**service.origin(request), faces=tuple(map(DetectedFace.of, faces)))


@router.post("/embed", dependencies=[Depends(requires("embed"))], openapi_extra=PHOTOS.openapi())
async def embed(
    request: Request, form: Annotated[ParsedForm[AcquisitionFields], Depends(PHOTOS.parse)], service: SharedState
) -> Embeddings:
    """Return the embeddings of the faces of photos. They are biometric data: a key needs a scope of its own, `embed`.

    Photos without an embedding are listed with the reason.
    """
    client = request.state.caller
    prepared = await service.engine.prepare_each(form.photos["photos"], form.fields.acquisition, name="photos", client=client)
    photos = {index: faces for index, faces in enumerate(prepared) if not isinstance(faces, ImageError)}
    failures = {index: error for index, error in enumerate(prepared) if isinstance(error, ImageError)}
    if not photos:
        raise failures[0]
    everything = [face for faces in photos.values() for face in faces]
    service.admission.charge_faces(client, len(everything), len(photos))
    vectors = iter((await service.engine.embed(everything)).tolist())
    return Embeddings(
        **service.origin(request),
        photos=tuple(
            EmbeddedPhoto(photo=index, faces=tuple(EmbeddedFace(face=Face.of(face), embedding=next(vectors)) for face in faces))
            for index, faces in photos.items()
        ),
        failures=tuple(RefusedPhoto(photo=index, reason=str(error)) for index, error in failures.items()),
    )
