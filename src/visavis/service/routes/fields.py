"""The fields of the forms, and what each route may answer besides what it promises."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from visavis.encoders import Encoder
from visavis.encoders.card import Card
from visavis.gallery.search_rules import rule_for_fpir
from visavis.metrics.operating_points import OperatingPoint
from visavis.service.answers import ProblemAnswer
from visavis.service.engine import Acquisition
from visavis.verification import Verifier

__all__ = ["PROBLEM_ANSWERS", "AcquisitionFields", "DecisionFields", "EnrolFields", "SearchFields", "problem_answers"]

Policy = Literal["largest", "centre", "error"]


def problem_answers(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Describe errors as OpenAPI does."""
    content = {"application/problem+json": {"schema": ProblemAnswer.model_json_schema()}}
    return {status: {"description": "An error", "content": content} for status in statuses}


PROBLEM_ANSWERS = problem_answers(400, 401, 403, 404, 411, 413, 415, 421, 422, 429, 503)


class AcquisitionFields(BaseModel):
    """How faces are looked for."""

    model_config = ConfigDict(extra="forbid")

    aligned: Annotated[bool, Field(description="The photos are cut to the face already: look for none.")] = False
    face: Annotated[Policy, Field(description="Which face, where there are several; error: refuse the photo.")] = "largest"

    @property
    def acquisition(self) -> Acquisition:
        """The same for the engine."""
        return Acquisition(self.aligned, self.face)


class DecisionFields(AcquisitionFields):
    """How faces are looked for and decided on."""

    target_fmr: Annotated[
        float | None, Field(gt=0, lt=1, description="Decide by the model's threshold for this false match rate.")
    ] = None
    prior: Annotated[float, Field(gt=0, lt=1, description="The part of pairs of one person, for probabilities.")] = 0.5

    def verifier(self, encoder: Encoder) -> Verifier:
        """Return what decides so.

        Raises:
            ModelError: If the model has no such threshold.
        """
        return Verifier(encoder, target_fmr=self.target_fmr, prior=self.prior)


class SearchFields(DecisionFields):
    """The same for a search."""

    target_fpir: Annotated[
        float | None,
        Field(
            gt=0,
            lt=1,
            description="Decide by the threshold that lets this part of strangers find somebody, in a gallery of this size.",
        ),
    ] = None
    top: Annotated[int, Field(ge=1, le=100, description="How many subjects at most.")] = 5

    @model_validator(mode="after")
    def _one_target(self) -> Self:
        if self.target_fmr is not None and self.target_fpir is not None:
            raise ValueError("give target_fmr or target_fpir, not both")
        return self

    def rule(self, card: Card, references: int) -> OperatingPoint:
        """Return the threshold for a gallery of so many references.

        Raises:
            ModelError: If the model has no such threshold.
        """
        if self.target_fpir is None:
            return card.rule(self.target_fmr)
        return rule_for_fpir(card, self.target_fpir, max(1, references)).rule


class EnrolFields(AcquisitionFields):
    """The same for an enrolment, which must not take somebody in the background."""

    face: Policy = "error"
