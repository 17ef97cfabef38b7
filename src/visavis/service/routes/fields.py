"""Form fields of the routes, and the error responses they have in common."""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from visavis.encoders import Encoder
from visavis.encoders.card import Card
from visavis.gallery.records import checked_name
from visavis.gallery.search_rules import choose_rule
from visavis.metrics.operating_points import OperatingPoint
from visavis.service.acquiring import Acquisition
from visavis.service.problems import ProblemDetails
from visavis.verification import Verifier

__all__ = [
    "PROBLEM_RESPONSES",
    "AcquisitionFields",
    "DecisionFields",
    "DetectionFields",
    "EnrolFields",
    "SearchFields",
    "problem_responses",
]

Policy = Literal["largest", "centre", "all", "error"]


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI description of error responses."""
    content = {"application/problem+json": {"schema": ProblemDetails.model_json_schema()}}
    return {status: {"description": "An error", "content": content} for status in statuses}


PROBLEM_RESPONSES = problem_responses(400, 401, 403, 404, 411, 413, 415, 421, 422, 429, 503)


def _checked(name: str | None) -> str | None:
    return None if name is None else checked_name(name)


OptionalName = Annotated[str | None, Field(max_length=200), AfterValidator(_checked)]


class AcquisitionFields(BaseModel):
    """How the face of a photo is acquired."""

    model_config = ConfigDict(extra="forbid")

    aligned: Annotated[bool, Field(description="The photos are aligned crops of faces: detect none.")] = False
    face: Annotated[Policy, Field(description="Which face to use of several; all: each of them; error: refuse the photo.")] = (
        "largest"
    )

    @property
    def acquisition(self) -> Acquisition:
        """The same for the engine."""
        return Acquisition(self.aligned, self.face)


class DecisionFields(AcquisitionFields):
    """How faces are acquired and decided on."""

    target_fmr: Annotated[
        float | None, Field(gt=0, lt=1, description="Use the model's threshold for this false match rate; default: the model's.")
    ] = None
    prior: Annotated[float, Field(gt=0, lt=1, description="Prior probability of the same person.")] = 0.5

    def verifier(self, encoder: Encoder) -> Verifier:
        """Return a verifier with these settings.

        Raises:
            ModelError: If the model has no threshold for the false match rate.
        """
        return Verifier(encoder, target_fmr=self.target_fmr, prior=self.prior)


class SearchFields(DecisionFields):
    """How a search is decided on."""

    target_fpir: Annotated[
        float | None,
        Field(gt=0, lt=1, description="Use the threshold with this expected FPIR at the gallery's size; default: 0.01."),
    ] = None
    top: Annotated[int, Field(ge=1, le=100, description="Maximum number of candidates.")] = 5

    @property
    def chooses_point(self) -> bool:
        """Whether the client chooses the operating point; decisions at several points are almost a score."""
        return self.target_fmr is not None or self.target_fpir is not None

    @model_validator(mode="after")
    def _one_target(self) -> Self:
        if self.target_fmr is not None and self.target_fpir is not None:
            raise ValueError("give target_fmr or target_fpir, not both")
        return self

    def operating_point(self, card: Card, subjects: int) -> tuple[OperatingPoint, str]:
        """Return the operating point for a gallery of this many subjects; and why it decides nothing, if so.

        Raises:
            ModelError: If the model has none.
        """
        if self.target_fmr is not None:
            return card.rule(self.target_fmr), ""
        chosen, undecided = choose_rule(card, self.target_fpir, subjects)
        return (card.rule(), undecided) if chosen is None else (chosen.rule, "")


class EnrolFields(AcquisitionFields):
    """The same for an enrolment, where a photo with several faces is ambiguous."""

    face: Annotated[
        Policy,
        Field(
            description="Which face to enrol of several; all: the one that agrees with the other photos; error: refuse the photo."
        ),
    ] = "error"

    @property
    def acquisition(self) -> Acquisition:
        """The same for the engine, with the digest by which an enrolled photo is recognised."""
        return Acquisition(self.aligned, self.face, digest=True)


class DetectionFields(BaseModel):
    """A detection has no fields besides the photo."""

    model_config = ConfigDict(extra="forbid")


class SubjectChange(BaseModel):
    """A change of a subject: exactly one of a new name and another subject to merge it into."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str | None, Field(max_length=200, description="The new name."), AfterValidator(_checked)] = None
    into: Annotated[
        str | None, Field(max_length=200, description="The subject that gets the references."), AfterValidator(_checked)
    ] = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.name is None) == (self.into is None):
            raise ValueError("give either name or into")
        return self
