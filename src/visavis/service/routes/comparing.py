"""Routes that compare photos without storing anything."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request

from visavis.errors import ImageError
from visavis.service.acquiring import PreparedFace
from visavis.service.forms import ParsedForm, PhotoForm
from visavis.service.limits import MAX_PHOTOS
from visavis.service.problems import ScopeError
from visavis.service.routes.fields import PROBLEM_RESPONSES, DecisionFields
from visavis.service.schemas import (
    ComparedPhoto,
    Comparison,
    Explanation,
    Face,
    ModelDescription,
    OperatingPoint,
    Presentation,
    RefusedPhoto,
    Verification,
    decision_fields,
    model_fields,
)
from visavis.service.state import ServiceState, SharedState, requires
from visavis.verification import Verdict
from visavis.wording import counted

__all__ = ["router"]

router = APIRouter(prefix="/v1", tags=["compare"], dependencies=[Depends(requires("decide"))], responses=PROBLEM_RESPONSES)

_EXPLANATION_COST = 20  # comparisons that take about as long

TWO_PHOTOS = PhotoForm(DecisionFields, {"first": 1, "second": 1})
ONE_AND_MANY = PhotoForm(DecisionFields, {"anchor": 1, "photos": MAX_PHOTOS - 1})
EXPLAINED = PhotoForm(DecisionFields, {"first": 1, "second": 1}, cost=_EXPLANATION_COST)
TwoPhotos = Annotated[ParsedForm[DecisionFields], Depends(TWO_PHOTOS.parse)]
Explained = Annotated[ParsedForm[DecisionFields], Depends(EXPLAINED.parse)]
OneAndMany = Annotated[ParsedForm[DecisionFields], Depends(ONE_AND_MANY.parse)]


@router.get("/model")
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


@router.post("/verify", openapi_extra=TWO_PHOTOS.openapi())
async def verify(request: Request, form: TwoPhotos, service: SharedState) -> Verification:
    """Decide whether two photos show the same person."""
    faces, verdict = await _decide(service, form, client=request.state.caller)
    return Verification(**service.origin(request), **_verification_fields(request, form, faces, verdict))


@router.post("/explain", openapi_extra=EXPLAINED.openapi())
async def explain(request: Request, form: Explained, service: SharedState) -> Explanation:
    """Decide whether two photos show the same person, and return occlusion maps of both faces."""
    if request.state.disclosure.scores != "all":
        raise ScopeError("An explanation requires a key for all scores, created with: visavis keys create NAME --all-scores")
    faces, verdict = await _decide(service, form, client=request.state.caller)
    first, second = await service.engine.explain(*faces)
    maps = first.round(5).tolist(), second.round(5).tolist()
    return Explanation(**service.origin(request), **_verification_fields(request, form, faces, verdict), maps=maps)


@router.post("/compare", openapi_extra=ONE_AND_MANY.openapi())
async def compare(request: Request, form: OneAndMany, service: SharedState) -> Comparison:
    """Compare one photo with many, highest score first where the key may see scores.

    Photos that cannot be compared are listed with the reason.
    """
    verifier, client = form.fields.verifier(service.engine.encoder), request.state.caller
    (anchor,) = await service.engine.prepare({"anchor": form.photos["anchor"]}, form.fields.acquisition, client=client)
    prepared = await service.engine.prepare_each(form.photos["photos"], form.fields.acquisition, name="photos", client=client)
    faces = {index: face for index, face in enumerate(prepared) if isinstance(face, PreparedFace)}
    failures = {index: str(error) for index, error in enumerate(prepared) if isinstance(error, ImageError)}
    if not faces:
        raise ImageError(f"None of {counted(len(prepared), 'photo')} can be compared: {failures[0]}")
    embeddings = await service.engine.embed([anchor, *faces.values()])
    check = await service.engine.check_presentation([anchor, *faces.values()])
    verdicts = [
        verifier.vetted(verifier.decide(float(score)), None if check is None else check.of_faces(0, number))
        for number, score in enumerate(embeddings[1:] @ embeddings[0], 1)
    ]
    disclosure = request.state.disclosure
    ranked = sorted(zip(faces.items(), verdicts, strict=True), key=lambda one: disclosure.rank(one[1]))
    results = [
        ComparedPhoto(
            **decision_fields(verdict, verifier, disclosure),
            photo=index,
            face=Face.of(face),
            presentation=Presentation.of(verdict.presentation, disclosure),
        )
        for (index, face), verdict in ranked
    ]
    service.metrics.count(verdicts)
    return Comparison(
        **service.origin(request),
        threshold=OperatingPoint.of(service.engine.card.rule(form.fields.target_fmr)),
        prior=form.fields.prior,
        anchor=Face.of(anchor),
        results=tuple(results),
        failures=tuple(RefusedPhoto(photo=index, reason=reason) for index, reason in failures.items()),
    )


async def _decide(service: ServiceState, form: ParsedForm[DecisionFields], *, client: str) -> tuple[list[PreparedFace], Verdict]:
    verifier = form.fields.verifier(service.engine.encoder)
    faces = await service.engine.prepare(form.photos, form.fields.acquisition, client=client)
    first, second = await service.engine.embed(faces)
    verdict = verifier.decide(float(first @ second), faces=(faces[0].found, faces[1].found))
    verdict = verifier.vetted(verdict, await service.engine.check_presentation(faces))
    service.metrics.count([verdict])
    return faces, verdict


def _verification_fields(
    request: Request, form: ParsedForm[DecisionFields], faces: list[PreparedFace], verdict: Verdict
) -> dict[str, Any]:
    service: ServiceState = request.app.state.service
    return {
        **decision_fields(verdict, form.fields.verifier(service.engine.encoder), request.state.disclosure),
        "threshold": OperatingPoint.of(service.engine.card.rule(form.fields.target_fmr)),
        "prior": form.fields.prior,
        "faces": tuple(map(Face.of, faces)),
        "warnings": verdict.warnings,
        "presentation": Presentation.of(verdict.presentation, request.state.disclosure),
    }
