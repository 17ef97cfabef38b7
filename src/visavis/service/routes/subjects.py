"""Routes of the gallery: search, and list, enrol, look up and delete subjects."""

import asyncio
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import AfterValidator

from visavis.errors import ImageError
from visavis.gallery import Hit, SqliteGallery
from visavis.gallery.records import checked_name
from visavis.gallery.search_rules import name_faces
from visavis.metrics.search import rate_of_any
from visavis.service.access import Caller
from visavis.service.engine import combined
from visavis.service.enrolment import ChosenFace, choose_faces
from visavis.service.face_schemas import Face, RefusedPhoto
from visavis.service.forms import ParsedForm, PhotoForm
from visavis.service.limits import MAX_PHOTOS
from visavis.service.problems import ScopeError
from visavis.service.routes.fields import PROBLEM_RESPONSES, EnrolFields, SearchFields, SubjectChange
from visavis.service.schemas import (
    ListedSubject,
    OperatingPoint,
    Presentation,
    Search,
    SearchedFace,
    SearchHit,
    Subject,
    SubjectList,
    decision_fields,
)
from visavis.service.state import ServiceState, SharedState, requires
from visavis.verification import Verdict, Verifier

__all__ = ["router"]

router = APIRouter(prefix="/v1", tags=["gallery"], responses=PROBLEM_RESPONSES)

ONE_PHOTO = PhotoForm(SearchFields, {"photo": 1})
PHOTOS = PhotoForm(EnrolFields, {"photos": MAX_PHOTOS})
Name = Annotated[str, Path(max_length=200, description="Name of the subject."), AfterValidator(checked_name)]
_NEAR = 0.1  # below the lowest threshold of the model
Writer = Annotated[Caller, Depends(requires("write"))]


@router.post("/search", dependencies=[Depends(requires("decide"))], openapi_extra=ONE_PHOTO.openapi())
async def search(
    request: Request, form: Annotated[ParsedForm[SearchFields], Depends(ONE_PHOTO.parse)], service: SharedState
) -> Search:
    """Search the gallery for the face in a photo, or with face=all for each of its faces.

    Only a key for all scores may choose the operating point.
    """
    gallery, engine, fields = service.require_gallery(), service.engine, form.fields
    if fields.chooses_point and request.state.disclosure.scores != "all":
        raise ScopeError(
            "Choosing the operating point of a search requires a key for all scores, created with: "
            "visavis keys create NAME --all-scores"
        )
    subjects = await asyncio.to_thread(lambda: gallery.subject_count)
    point, undecided = fields.operating_point(engine.card, subjects)
    verifier = Verifier(engine.encoder, target_fmr=point.target_fmr, prior=fields.prior)
    client, disclosure, threshold = request.state.caller, request.state.disclosure, OperatingPoint.of(point)
    (faces,) = await engine.prepare(form.photos, fields.acquisition, client=client)
    service.admission.charge_faces(client, len(faces), 1)
    check = await engine.check_presentation(faces)
    vetoed = check is not None and check.vetoed
    probes = await engine.embed(faces)
    found = [[] for _ in faces] if vetoed else await asyncio.to_thread(gallery.search, probes, top=fields.top)
    decided = [[(hit, verifier.decide(hit.score)) for hit in hits] for hits in found]
    for candidates in decided:
        if candidates:
            await _count_failure(service, client, *candidates[0])
    names = {} if undecided else name_faces(found, point.score)
    searched = tuple(
        SearchedFace(
            face=Face.of(face),
            subject=names[place].subject if place in names else None,
            hits=tuple(
                SearchHit(**decision_fields(verdict, verifier, disclosure), subject=hit.subject, reference=hit.reference)
                for hit, verdict in candidates
                if disclosure.shows(verdict)
            ),
        )
        for place, (face, candidates) in enumerate(zip(faces, decided, strict=True))
    )
    return Search(
        **service.origin(request),
        threshold=threshold,
        prior=fields.prior,
        face=searched[0].face,
        hits=searched[0].hits,
        faces=searched,
        undecided=undecided or None,
        presentation=Presentation.of(check, disclosure),
        subjects=subjects,
        false_positive_rate=None if threshold.fmr is None else rate_of_any(threshold.fmr, subjects),
        false_positive_rate_upper=None if threshold.fmr_upper is None else rate_of_any(threshold.fmr_upper, subjects),
    )


@router.get("/subjects", dependencies=[Depends(requires("list"))])
async def list_subjects(
    request: Request,
    service: SharedState,
    after: Annotated[str | None, Query(max_length=200, description="List names after this one.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="Maximum number of subjects.")] = 100,
) -> SubjectList:
    """List the enrolled subjects in order of name."""
    found = await asyncio.to_thread(service.require_gallery().subjects, after=after, limit=limit)
    subjects = tuple(ListedSubject(name=one.name, references=len(one.references), created=one.created) for one in found)
    return SubjectList(**service.origin(request), subjects=subjects, after=found[-1].name if len(found) == limit else None)


@router.post("/subjects/{name:path}", status_code=201, openapi_extra=PHOTOS.openapi())
async def enrol(
    request: Request,
    name: Name,
    caller: Writer,
    form: Annotated[ParsedForm[EnrolFields], Depends(PHOTOS.parse)],
    service: SharedState,
) -> Subject:
    """Enrol a subject from photos; an enrolled subject gets more references.

    Photos are not stored. Photos that cannot be used are listed with the reason, and so are those of low quality; if none can be
    used, the request fails. A photo that the subject is enrolled with already is not enrolled again. With face=all, that face of a
    photo of several people is enrolled that agrees with the other photos of the subject; without one, the photo cannot be used.
    """
    gallery, photos = service.require_gallery(), form.photos["photos"]
    prepared = await service.engine.prepare_each(photos, form.fields.acquisition, name="photos", client=caller.name)
    chosen = await choose_faces(service, name, prepared, client=caller.name)
    refusals = {index: photo for index, photo in enumerate(chosen) if isinstance(photo, ImageError)}
    faces = [photo for photo in chosen if isinstance(photo, ChosenFace)]
    if not faces:
        raise combined(list(refusals.values()))
    embeddings, digests = np.stack([one.embedding for one in faces]), [one.face.digest for one in faces]
    enrolled = await asyncio.to_thread(gallery.enrol, name, embeddings, digests=digests, actor=caller.name)
    subject = await asyncio.to_thread(gallery.subject, name)
    return Subject(
        **service.origin(request),
        **subject.to_json(),
        enrolled=enrolled,
        faces=tuple(Face.of(one.face) for one in faces),
        failures=tuple(RefusedPhoto(photo=index, reason=str(refusal)) for index, refusal in refusals.items()),
    )


@router.get("/subjects/{name:path}", dependencies=[Depends(requires("list"))])
async def look_up(request: Request, name: Name, service: SharedState) -> Subject:
    """Return a subject and the ids of its references."""
    subject = await asyncio.to_thread(service.require_gallery().subject, name)
    return Subject(**service.origin(request), **subject.to_json())


@router.delete("/subjects/{name:path}", status_code=204, response_class=Response)
async def delete(
    name: Name,
    caller: Writer,
    service: SharedState,
    reference: Annotated[str | None, Query(max_length=40, description="Delete this reference only.")] = None,
) -> None:
    """Delete a subject and all of its references, or one of several references."""
    gallery = service.require_gallery()
    if reference is None:
        await asyncio.to_thread(gallery.delete, name, actor=caller.name)
    else:
        await asyncio.to_thread(gallery.remove, name, reference, actor=caller.name)


@router.patch("/subjects/{name:path}")
async def change(request: Request, name: Name, change: SubjectChange, caller: Writer, service: SharedState) -> Subject:
    """Rename a subject, or merge it into another one."""
    gallery = service.require_gallery()
    if change.into is not None:
        await asyncio.to_thread(gallery.merge, name, change.into, actor=caller.name)
    if change.name is not None:
        await asyncio.to_thread(gallery.rename, name, change.name, actor=caller.name)
    subject = await asyncio.to_thread(gallery.subject, change.into or change.name or name)
    return Subject(**service.origin(request), **subject.to_json())


async def _count_failure(service: ServiceState, client: str, hit: Hit, verdict: Verdict) -> None:
    """Count a search in which the best candidate was nearly accepted, and write a lockout to the audit log.

    Raises:
        LockoutError: If the client is locked out of this subject.
    """
    service.failures.check(client, hit.subject)
    lowest = min(rule.score for rule in service.engine.card.rules)
    if verdict.same or hit.score < lowest - _NEAR or not service.failures.fail(client, hit.subject):
        return
    if isinstance(service.gallery, SqliteGallery):
        await asyncio.to_thread(service.gallery.note, "lockout", hit.subject, actor=client)
