"""Routes on the gallery: who is enrolled, and who among them is most alike."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import AfterValidator

from visavis.gallery.records import checked_name
from visavis.gallery.search_rules import predicted_fpir
from visavis.service.access import Caller
from visavis.service.answers import FaceAnswer, ListedSubject, Rule, Search, SearchHit, SubjectAnswer, SubjectList, evidence
from visavis.service.forms import PhotoForm, ReadForm
from visavis.service.limits import MAX_PHOTOS
from visavis.service.routes.fields import PROBLEM_ANSWERS, EnrolFields, SearchFields
from visavis.service.state import SharedState, requires
from visavis.verification import Verifier

__all__ = ["router"]

router = APIRouter(prefix="/v1", tags=["gallery"], responses=PROBLEM_ANSWERS)

ONE_PHOTO = PhotoForm(SearchFields, {"photo": 1})
PHOTOS = PhotoForm(EnrolFields, {"photos": MAX_PHOTOS})
Name = Annotated[str, Path(max_length=200, description="What the subject is called."), AfterValidator(checked_name)]
Writer = Annotated[Caller, Depends(requires("write"))]


@router.post("/search", dependencies=[Depends(requires("read"))], openapi_extra=ONE_PHOTO.openapi())
async def search(
    request: Request, form: Annotated[ReadForm[SearchFields], Depends(ONE_PHOTO.read)], service: SharedState
) -> Search:
    """Find the subjects who are most alike to the face in a photo."""
    gallery, engine, fields = service.open_gallery(), service.engine, form.fields
    references = await asyncio.to_thread(len, gallery)
    rule = fields.rule(engine.card, references)
    verifier = Verifier(engine.encoder, target_fmr=rule.target_fmr, prior=fields.prior)
    (face,) = await engine.prepare(form.photos, fields.acquisition)
    probe = await engine.embed([face])
    (hits,) = await asyncio.to_thread(gallery.search, probe, top=fields.top)
    told = Rule.of(rule)
    return Search(
        **service.origin(request),
        threshold=told,
        prior=fields.prior,
        face=FaceAnswer.of(face),
        hits=tuple(SearchHit(**evidence(verifier.decide(hit.score)), subject=hit.subject, reference=hit.reference) for hit in hits),
        references=references,
        false_positive_rate=None if told.fmr is None else predicted_fpir(told.fmr, references),
        false_positive_rate_upper=None if told.fmr_upper is None else predicted_fpir(told.fmr_upper, references),
    )


@router.get("/subjects", dependencies=[Depends(requires("read"))])
async def list_subjects(
    request: Request,
    service: SharedState,
    after: Annotated[str | None, Query(max_length=200, description="Only names behind this one.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="How many at most.")] = 100,
) -> SubjectList:
    """List who is enrolled, in the order of their names."""
    found = await asyncio.to_thread(service.open_gallery().subjects, after=after, limit=limit)
    listed = (ListedSubject(name=one.name, references=len(one.references), created=one.created) for one in found)
    return SubjectList(**service.origin(request), subjects=tuple(listed), after=found[-1].name if len(found) == limit else None)


@router.post("/subjects/{name:path}", status_code=201, openapi_extra=PHOTOS.openapi())
async def enrol(
    request: Request,
    name: Name,
    caller: Writer,
    form: Annotated[ReadForm[EnrolFields], Depends(PHOTOS.read)],
    service: SharedState,
) -> SubjectAnswer:
    """Enrol a subject by photos, all or none of them; somebody who is enrolled already gets more references. No photo is kept."""
    gallery = service.open_gallery()
    faces = await service.engine.prepare(form.photos, form.fields.acquisition)
    embeddings = await service.engine.embed(faces)
    enrolled = await asyncio.to_thread(gallery.enrol, name, embeddings, actor=caller.name)
    subject = await asyncio.to_thread(gallery.subject, name)
    return SubjectAnswer(**service.origin(request), **subject.to_json(), enrolled=enrolled, faces=tuple(map(FaceAnswer.of, faces)))


@router.get("/subjects/{name:path}", dependencies=[Depends(requires("read"))])
async def look_up(request: Request, name: Name, service: SharedState) -> SubjectAnswer:
    """Tell what is known of a subject."""
    subject = await asyncio.to_thread(service.open_gallery().subject, name)
    return SubjectAnswer(**service.origin(request), **subject.to_json())


@router.delete("/subjects/{name:path}", status_code=204, response_class=Response)
async def delete(name: Name, caller: Writer, service: SharedState) -> None:
    """Delete a subject with everything that is kept of them; after the answer nothing of it is left."""
    await asyncio.to_thread(service.open_gallery().delete, name, actor=caller.name)
