"""Routes that compare photos without storing anything."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request

from visavis.errors import ImageError
from visavis.service.face_schemas import Face, RefusedPhoto
from visavis.service.forms import ParsedForm, PhotoForm
from visavis.service.limits import MAX_PHOTOS
from visavis.service.matching import Match, match_faces
from visavis.service.problems import ScopeError
from visavis.service.routes.fields import PROBLEM_RESPONSES, DecisionFields
from visavis.service.schemas import (
    ComparedPhoto,
    Comparison,
    Explanation,
    ModelDescription,
    OperatingPoint,
    Presentation,
    Verification,
    decision_fields,
    model_fields,
)
from visavis.service.state import ServiceState, SharedState, requires
from visavis.wording import counted

__all__ = ["router"]

router = APIRouter(prefix="/v1", tags=["compare"], responses=PROBLEM_RESPONSES)
DECIDE = [Depends(requires("decide"))]

_EXPLANATION_COST = 20  # comparisons that take about as long

TWO_PHOTOS = PhotoForm(DecisionFields, {"first": 1, "second": 1})
ONE_AND_MANY = PhotoForm(DecisionFields, {"anchor": 1, "photos": MAX_PHOTOS - 1})
EXPLAINED = PhotoForm(DecisionFields, {"first": 1, "second": 1}, cost=_EXPLANATION_COST)
TwoPhotos = Annotated[ParsedForm[DecisionFields], Depends(TWO_PHOTOS.parse)]
Explained = Annotated[ParsedForm[DecisionFields], Depends(EXPLAINED.parse)]
OneAndMany = Annotated[ParsedForm[DecisionFields], Depends(ONE_AND_MANY.parse)]


@router.get("/model", dependencies=[Depends(requires("decide", "embed"))])
async def describe(request: Request, service: SharedState) -> ModelDescription:
    """Describe the model, its operating points and score histograms, and the limits of the service."""
    limits = service.limits
    return ModelDescription(
        **service.origin(request),
        **model_fields(service.engine.card),
        finds_faces=service.engine.finds_faces,
        takes_aligned=service.engine.takes_aligned,
        gallery=service.gallery is not None,
        photos=min(limits.photos, MAX_PHOTOS),
        photo_bytes=limits.photo_bytes,
        photo_pixels=limits.photo_pixels,
        request_bytes=limits.request_bytes,
    )


@router.post("/verify", dependencies=DECIDE, openapi_extra=TWO_PHOTOS.openapi())
async def verify(request: Request, form: TwoPhotos, service: SharedState) -> Verification:
    """Decide whether two photos show the same person; with face=all, whether any face of one is that of a person in the other."""
    return Verification(**service.origin(request), **_verification_fields(request, form, await _decide(request, form)))


@router.post("/explain", dependencies=DECIDE, openapi_extra=EXPLAINED.openapi())
async def explain(request: Request, form: Explained, service: SharedState) -> Explanation:
    """Decide whether two photos show the same person, and return occlusion maps of both faces."""
    if request.state.disclosure.scores != "all":
        raise ScopeError("An explanation requires a key for all scores, created with: visavis keys create NAME --all-scores")
    match = await _decide(request, form)
    first, second = await service.engine.explain(*match.faces)
    maps = first.round(5).tolist(), second.round(5).tolist()
    return Explanation(**service.origin(request), **_verification_fields(request, form, match), maps=maps)


@router.post("/compare", dependencies=DECIDE, openapi_extra=ONE_AND_MANY.openapi())
async def compare(request: Request, form: OneAndMany, service: SharedState) -> Comparison:
    """Compare one photo with many, highest score first where the key may see scores.

    Photos that cannot be compared are listed with the reason.
    """
    verifier, client, disclosure = form.fields.verifier(service.engine.encoder), request.state.caller, request.state.disclosure
    (anchor,) = await service.engine.prepare({"anchor": form.photos["anchor"]}, form.fields.acquisition, client=client)
    prepared = await service.engine.prepare_each(form.photos["photos"], form.fields.acquisition, name="photos", client=client)
    photos = {index: faces for index, faces in enumerate(prepared) if not isinstance(faces, ImageError)}
    failures = {index: str(error) for index, error in enumerate(prepared) if isinstance(error, ImageError)}
    if not photos:
        raise ImageError(f"None of {counted(len(prepared), 'photo')} can be compared: {failures[0]}")
    matches = dict(zip(photos, await match_faces(service, verifier, anchor, list(photos.values()), client=client), strict=True))
    ranked = sorted(matches.items(), key=lambda one: disclosure.rank(one[1].verdict))
    results = [
        ComparedPhoto(
            **decision_fields(match.verdict, verifier, disclosure),
            photo=index,
            face=Face.of(match.faces[1]),
            comparisons=match.verdict.comparisons,
            presentation=Presentation.of(match.verdict.presentation, disclosure),
        )
        for index, match in ranked
    ]
    service.metrics.count([match.verdict for match in matches.values()])
    return Comparison(
        **service.origin(request),
        threshold=OperatingPoint.of(service.engine.card.rule(form.fields.target_fmr)),
        prior=form.fields.prior,
        anchor=Face.of(ranked[0][1].faces[0]),
        results=tuple(results),
        failures=tuple(RefusedPhoto(photo=index, reason=reason) for index, reason in failures.items()),
    )


async def _decide(request: Request, form: ParsedForm[DecisionFields]) -> Match:
    service: ServiceState = request.app.state.service
    client = request.state.caller
    first, second = await service.engine.prepare(form.photos, form.fields.acquisition, client=client)
    (match,) = await match_faces(service, form.fields.verifier(service.engine.encoder), first, [second], client=client)
    service.metrics.count([match.verdict])
    return match


def _verification_fields(request: Request, form: ParsedForm[DecisionFields], match: Match) -> dict[str, Any]:
    service: ServiceState = request.app.state.service
    verdict = match.verdict
    return {
        **decision_fields(verdict, form.fields.verifier(service.engine.encoder), request.state.disclosure),
        "threshold": OperatingPoint.of(service.engine.card.rule(form.fields.target_fmr)),
        "prior": form.fields.prior,
        "comparisons": verdict.comparisons,
        "false_match_rate": verdict.false_match_rate,
        "false_match_rate_upper": verdict.false_match_rate_upper,
        "faces": tuple(map(Face.of, match.faces)),
        "warnings": verdict.warnings,
        "presentation": Presentation.of(verdict.presentation, request.state.disclosure),
    }
