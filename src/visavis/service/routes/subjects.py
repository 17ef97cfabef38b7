"""Routes of the gallery: search, and list, enrol, look up and delete subjects."""

import asyncio
from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import AfterValidator

from visavis.gallery import Hit, SqliteGallery
from visavis.gallery.records import checked_name
from visavis.metrics.search import rate_of_any
from visavis.service.access import Caller
from visavis.service.acquiring import PreparedFace
from visavis.service.forms import ParsedForm, PhotoForm
from visavis.service.limits import MAX_PHOTOS
from visavis.service.problems import PresentationError, ScopeError
from visavis.service.routes.fields import PROBLEM_RESPONSES, EnrolFields, SearchFields, SubjectChange
from visavis.service.schemas import (
    Face,
    ListedSubject,
    OperatingPoint,
    Presentation,
    Search,
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
    """Search the gallery for the face in a photo. Only a key for all scores may choose the operating point."""
    gallery, engine, fields = service.require_gallery(), service.engine, form.fields
    if fields.chooses_point and request.state.disclosure.scores != "all":
        raise ScopeError(
            "Choosing the operating point of a search requires a key for all scores, created with: "
            "visavis keys create NAME --all-scores"
        )
    subjects = await asyncio.to_thread(lambda: gallery.subject_count)
    point, undecided = fields.operating_point(engine.card, subjects)
    verifier = Verifier(engine.encoder, target_fmr=point.target_fmr, prior=fields.prior)
    (face,) = await engine.prepare(form.photos, fields.acquisition, client=request.state.caller)
    check = await engine.check_presentation([face])
    probe = await engine.embed([face])
    hits = [] if check is not None and check.vetoed else (await asyncio.to_thread(gallery.search, probe, top=fields.top))[0]
    verdicts = [verifier.decide(hit.score) for hit in hits]
    if hits:
        await _count_failure(service, request.state.caller, hits[0], verdicts[0])
    threshold, disclosure = OperatingPoint.of(point), request.state.disclosure
    return Search(
        **service.origin(request),
        threshold=threshold,
        prior=fields.prior,
        face=Face.of(face),
        hits=tuple(
            SearchHit(**decision_fields(verdict, verifier, disclosure), subject=hit.subject, reference=hit.reference)
            for hit, verdict in zip(hits, verdicts, strict=True)
            if disclosure.shows(verdict)
        ),
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
    """Enrol a subject from photos, all or none of them; an enrolled subject gets more references.

    Photos are not stored. A photo that the subject is enrolled with already is not enrolled again.
    Photos of low quality are refused.
    """
    gallery = service.require_gallery()
    faces = await service.engine.prepare(form.photos, form.fields.acquisition, client=caller.name)
    _check_quality(service, faces)
    await _check_presentation(service, faces)
    embeddings = await service.engine.embed(faces)
    digests = [face.digest for face in faces]
    enrolled = await asyncio.to_thread(gallery.enrol, name, embeddings, digests=digests, actor=caller.name)
    subject = await asyncio.to_thread(gallery.subject, name)
    return Subject(**service.origin(request), **subject.to_json(), enrolled=enrolled, faces=tuple(map(Face.of, faces)))


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


def _check_quality(service: ServiceState, faces: Sequence[PreparedFace]) -> None:
    """Check that the photos of an enrolment are good enough.

    Raises:
        QualityError: If one is not.
    """
    for number, face in enumerate(faces, 1):
        if service.quality is not None and face.quality is not None:
            service.quality.check(face.quality, name=f"photos {number}" if len(faces) > 1 else "photos")


async def _check_presentation(service: ServiceState, faces: Sequence[PreparedFace]) -> None:
    """Check that no photo of an enrolment is a presentation attack.

    Raises:
        PresentationError: If one is.
    """
    check = await service.engine.check_presentation(faces)
    if check is not None and check.vetoed:
        raise PresentationError("A presentation attack was detected. Enrol photos of the person, taken by a camera.")


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
