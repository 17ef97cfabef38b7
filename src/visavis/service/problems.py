"""Errors of requests, and the table of their HTTP statuses (problem details, RFC 9457)."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException

from visavis.errors import (
    BlurredFaceError,
    DoubtfulFaceError,
    FaceError,
    GalleryError,
    ImageError,
    ModelError,
    SeveralFacesError,
    SmallFaceError,
    SubjectConflictError,
    TurnedFaceError,
    UnknownSubjectError,
    VisavisError,
)
from visavis.workers.pool import StartError

__all__ = [
    "PROBLEMS",
    "AccessError",
    "AlignedError",
    "BusyError",
    "FormError",
    "HostError",
    "LengthError",
    "LockoutError",
    "MissingGalleryError",
    "OriginError",
    "PresentationError",
    "Problem",
    "ProblemDetails",
    "RateError",
    "RequestError",
    "ScopeError",
    "SizeError",
    "UnsupportedImageError",
    "UnsupportedMediaTypeError",
    "problem_of",
    "problem_response",
]


class RequestError(VisavisError):
    """A request is refused; the message says why and what would be right."""

    retry_after: int | None = None


class FormError(RequestError):
    """The multipart body is malformed, or its fields are not those of the route."""


class UnsupportedMediaTypeError(RequestError):
    """The body is not a multipart form."""


class UnsupportedImageError(RequestError, ImageError):
    """A photo is not in one of the image formats that the service decodes."""


class SizeError(RequestError):
    """A limit on sizes or counts is exceeded."""


class LengthError(RequestError):
    """Content-Length is missing or malformed."""


class AccessError(RequestError):
    """The API key is missing or invalid."""


class ScopeError(RequestError):
    """The API key lacks the required scope."""


class OriginError(RequestError):
    """The request was sent by a page of another origin."""


class HostError(RequestError):
    """The request is addressed to another host."""


class MissingGalleryError(RequestError):
    """The service runs without a gallery."""


class RateError(RequestError):
    """A client sends too many requests per minute, or has too many in flight."""

    def __init__(self, message: str, *, retry_after: int) -> None:
        """Set the message and the seconds after which to retry."""
        super().__init__(message)
        self.retry_after = retry_after


class LockoutError(RateError):
    """Too many searches of a client nearly matched one subject."""


class AlignedError(RequestError):
    """The service takes no aligned crops."""


class PresentationError(RequestError, ImageError):
    """A presentation attack was detected in a photo that was to be enrolled."""


class BusyError(RequestError):
    """The service is at capacity, starting or stopping."""

    retry_after = 1


@dataclass(frozen=True)
class Problem:
    """The response to a kind of error.

    Attributes:
        status: The HTTP status.
        code: Identifier for programs, the last part of `type` in the response.
        title: Summary for people.
    """

    status: int
    code: str
    title: str


PROBLEMS: dict[type[Exception], Problem] = {
    FormError: Problem(400, "form", "Malformed form"),
    AccessError: Problem(401, "key", "Missing or invalid API key"),
    ScopeError: Problem(403, "scope", "Insufficient scope"),
    OriginError: Problem(403, "origin", "Cross-origin request"),
    MissingGalleryError: Problem(404, "no-gallery", "No gallery"),
    UnknownSubjectError: Problem(404, "subject", "Subject not enrolled"),
    SubjectConflictError: Problem(409, "conflict", "Conflict with an enrolled subject"),
    LengthError: Problem(411, "length", "Length required"),
    SizeError: Problem(413, "size", "Content too large"),
    UnsupportedMediaTypeError: Problem(415, "media-type", "Unsupported media type"),
    UnsupportedImageError: Problem(415, "image-format", "Unsupported image format"),
    HostError: Problem(421, "host", "Misdirected request"),
    RequestValidationError: Problem(422, "parameters", "Invalid parameters"),
    ModelError: Problem(422, "operating-point", "No such operating point"),
    FaceError: Problem(422, "face", "No usable face"),
    SeveralFacesError: Problem(422, "several-faces", "Several faces"),
    DoubtfulFaceError: Problem(422, "doubtful-face", "No clear face"),
    SmallFaceError: Problem(422, "small-face", "Face too small"),
    TurnedFaceError: Problem(422, "turned-face", "Face turned away"),
    BlurredFaceError: Problem(422, "blurred-face", "Face blurred"),
    PresentationError: Problem(422, "presentation-attack", "Presentation attack"),
    ImageError: Problem(422, "photo", "Unreadable photo"),
    AlignedError: Problem(403, "aligned", "Aligned crops are not accepted"),
    LockoutError: Problem(429, "lockout", "Too many failures"),
    RateError: Problem(429, "rate", "Too many requests"),
    BusyError: Problem(503, "busy", "Service at capacity"),
    StartError: Problem(503, "busy", "Service at capacity"),
    GalleryError: Problem(503, "gallery", "Gallery unavailable"),
    TimeoutError: Problem(503, "timeout", "Request timed out"),
    Exception: Problem(500, "internal", "Internal error"),
}
"""Responses by exception class; a class that is not listed has the entry of its nearest base class."""


def problem_of(error: Exception) -> Problem:
    """Return the response to an error."""
    if isinstance(error, HTTPException):
        phrase = HTTPStatus(error.status_code).phrase
        return Problem(error.status_code, phrase.lower().replace(" ", "-"), phrase)
    return next(PROBLEMS[kind] for kind in type(error).__mro__ if kind in PROBLEMS)


def problem_response(error: Exception, request_id: str) -> JSONResponse:
    """Convert an error into a response of the type `application/problem+json`."""
    problem = problem_of(error)
    body = {
        "type": f"urn:visavis:problem:{problem.code}",
        "title": problem.title,
        "status": problem.status,
        "detail": _detail(error, problem),
        "request_id": request_id,
    }
    headers = dict(getattr(error, "headers", None) or {})
    retry_after = getattr(error, "retry_after", None) or (1 if problem.status == 503 else None)
    if retry_after is not None:
        headers["Retry-After"] = str(retry_after)
    if problem.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="visavis"'
    return JSONResponse(body, problem.status, headers, media_type="application/problem+json")


def _detail(error: Any, problem: Problem) -> str:
    """Return what happened; internals of the service are not disclosed."""
    if problem.status == 500:
        return "Internal error; the log of the service has more under this request id."
    if isinstance(error, GalleryError):  # its message names the file
        return "The gallery cannot be used now." if problem.status == 503 else f"{problem.title}."
    if isinstance(error, TimeoutError):
        return "The request was not completed in time. Try again, with fewer or smaller photos."
    if isinstance(error, HTTPException):
        return str(error.detail)
    if isinstance(error, RequestValidationError):
        return "; ".join(f"{'.'.join(map(str, one['loc'][1:]))}: {one['msg']}" for one in error.errors())
    return str(error)


class ProblemDetails(BaseModel):
    """An error (RFC 9457), as described in the OpenAPI document."""

    model_config = ConfigDict(
        frozen=True,
        json_schema_extra={
            "examples": [
                {
                    "type": "urn:visavis:problem:face",
                    "title": "No usable face",
                    "status": 422,
                    "detail": "first: no face found",
                    "request_id": "6f0c3c2d8e5b4d1f9a7e2b1c0d9e8f70",
                }
            ]
        },
    )

    type: str
    title: str
    status: int
    detail: str
    request_id: str
