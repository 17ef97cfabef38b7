"""Routes that compare photos, and keep nothing of them."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request

from visavis.errors import ImageError
from visavis.service.answers import (
    ComparedPhoto,
    Comparison,
    Explanation,
    FaceAnswer,
    Model,
    Pair,
    RefusedPhoto,
    Rule,
    evidence,
    model_facts,
)
from visavis.service.engine import PreparedFace
from visavis.service.forms import PhotoForm, ReadForm
from visavis.service.limits import MAX_PHOTOS
from visavis.service.routes.fields import PROBLEM_ANSWERS, DecisionFields
from visavis.service.state import ServiceState, SharedState, requires
from visavis.verification import Verdict

__all__ = ["router"]

router = APIRouter(prefix="/v1", tags=["compare"], dependencies=[Depends(requires("read"))], responses=PROBLEM_ANSWERS)

TWO_PHOTOS = PhotoForm(DecisionFields, {"first": 1, "second": 1})
ONE_AND_MANY = PhotoForm(DecisionFields, {"anchor": 1, "photos": MAX_PHOTOS - 1})
TwoPhotos = Annotated[ReadForm[DecisionFields], Depends(TWO_PHOTOS.read)]
OneAndMany = Annotated[ReadForm[DecisionFields], Depends(ONE_AND_MANY.read)]


@router.get("/model")
async def describe(request: Request, service: SharedState) -> Model:
    """Tell what the service runs, by which rules it decides, and how the scores of the people lie that these were chosen on."""
    return Model(
        **service.origin(request),
        **model_facts(service.engine.card),
        finds_faces=service.engine.finds_faces,
        gallery=service.gallery is not None,
        photos=min(service.limits.photos, MAX_PHOTOS),
        photo_bytes=service.limits.photo_bytes,
        photo_pixels=service.limits.photo_pixels,
        request_bytes=service.limits.request_bytes,
    )


@router.post("/verify", openapi_extra=TWO_PHOTOS.openapi())
async def verify(request: Request, form: TwoPhotos, service: SharedState) -> Pair:
    """Tell whether two photos show the same person."""
    faces, verdict = await _decide(service, form)
    return Pair(**service.origin(request), **_pair(service, form, faces, verdict))


@router.post("/explain", openapi_extra=TWO_PHOTOS.openapi())
async def explain(request: Request, form: TwoPhotos, service: SharedState) -> Explanation:
    """Tell the same, and what on the two faces the score rests on."""
    faces, verdict = await _decide(service, form)
    first, second = await service.engine.explain(*faces)
    maps = first.round(5).tolist(), second.round(5).tolist()
    return Explanation(**service.origin(request), **_pair(service, form, faces, verdict), maps=maps)


@router.post("/compare", openapi_extra=ONE_AND_MANY.openapi())
async def compare(request: Request, form: OneAndMany, service: SharedState) -> Comparison:
    """Compare one photo with many, the most alike first. Photos that cannot be compared are told with the reason."""
    verifier = form.fields.verifier(service.engine.encoder)
    (anchor,) = await service.engine.prepare({"anchor": form.photos["anchor"]}, form.fields.acquisition)
    found = await service.engine.prepare_each(form.photos["photos"], form.fields.acquisition, name="photos")
    faces = {place: face for place, face in enumerate(found) if isinstance(face, PreparedFace)}
    failures = {place: str(error) for place, error in enumerate(found) if isinstance(error, ImageError)}
    if not faces:
        raise ImageError(f"None of the {len(found)} photos can be compared: {failures[0]}")
    embeddings = await service.engine.embed([anchor, *faces.values()])
    verdicts = [verifier.decide(float(score)) for score in embeddings[1:] @ embeddings[0]]
    results = [
        ComparedPhoto(**evidence(verdict), photo=place, face=FaceAnswer.of(face))
        for (place, face), verdict in zip(faces.items(), verdicts, strict=True)
    ]
    service.metrics.count(verdicts)
    return Comparison(
        **service.origin(request),
        threshold=Rule.of(service.engine.card.rule(form.fields.target_fmr)),
        prior=form.fields.prior,
        anchor=FaceAnswer.of(anchor),
        results=tuple(sorted(results, key=lambda result: -result.score)),
        failures=tuple(RefusedPhoto(photo=place, reason=reason) for place, reason in failures.items()),
    )


async def _decide(service: ServiceState, form: ReadForm[DecisionFields]) -> tuple[list[PreparedFace], Verdict]:
    """Compare the two photos of a form."""
    verifier = form.fields.verifier(service.engine.encoder)
    faces = await service.engine.prepare(form.photos, form.fields.acquisition)
    one, other = await service.engine.embed(faces)
    verdict = verifier.decide(float(one @ other), faces=(faces[0].found, faces[1].found))
    service.metrics.count([verdict])
    return faces, verdict


def _pair(service: ServiceState, form: ReadForm[DecisionFields], faces: list[PreparedFace], verdict: Verdict) -> dict[str, Any]:
    return {
        **evidence(verdict),
        "threshold": Rule.of(service.engine.card.rule(form.fields.target_fmr)),
        "prior": form.fields.prior,
        "faces": tuple(map(FaceAnswer.of, faces)),
        "warnings": verdict.warnings,
    }
