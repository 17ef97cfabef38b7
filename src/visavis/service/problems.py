"""What can go wrong with a request, and the one table that says with which status it is answered (RFC 9457)."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from visavis.errors import FaceError, GalleryError, ImageError, ModelError, UnknownSubjectError, VisavisError

__all__ = [
    "PROBLEMS",
    "AccessError",
    "BusyError",
    "FormError",
    "HostError",
    "LengthError",
    "MissingGalleryError",
    "OriginError",
    "Problem",
    "RateError",
    "RequestError",
    "ScopeError",
    "SizeError",
    "UnsupportedImageError",
    "UnsupportedMediaTypeError",
    "problem_answer",
]


class RequestError(VisavisError):
    """A request is refused; the message says why and what would be right."""

    retry_after: int | None = None


class FormError(RequestError):
    """The form is damaged, or has not the fields and photos that it should have."""


class UnsupportedMediaTypeError(RequestError):
    """The body is not a multipart form."""


class UnsupportedImageError(RequestError, ImageError):
    """A photo is not in one of the image formats that the service decodes."""


class SizeError(RequestError):
    """There is more of something than the limits allow."""


class LengthError(RequestError):
    """The request does not say how long it is."""


class AccessError(RequestError):
    """There is no key, or none that is valid."""


class ScopeError(RequestError):
    """The key is valid, but not for this."""


class OriginError(RequestError):
    """The request comes from a page of another origin."""


class HostError(RequestError):
    """The request names a host that the service is not."""


class MissingGalleryError(RequestError):
    """The service runs without a gallery."""


class RateError(RequestError):
    """One client asks too often, or for too much at the same time."""

    def __init__(self, message: str, *, retry_after: int) -> None:
        """Say why, and after how many seconds to come back."""
        super().__init__(message)
        self.retry_after = retry_after


class BusyError(RequestError):
    """The service has enough to do."""

    retry_after = 1


@dataclass(frozen=True)
class Problem:
    """How an error is answered.

    Attributes:
        status: The HTTP status.
        code: Its name for programs, the end of `type` in the answer.
        title: Its name for people.
    """

    status: int
    code: str
    title: str


PROBLEMS: dict[type[Exception], Problem] = {
    FormError: Problem(400, "form", "The form is not as it should be"),
    AccessError: Problem(401, "key", "A valid key is needed"),
    ScopeError: Problem(403, "scope", "The key is not for this"),
    OriginError: Problem(403, "origin", "The request comes from another site"),
    MissingGalleryError: Problem(404, "no-gallery", "There is no gallery"),
    UnknownSubjectError: Problem(404, "subject", "Nobody of this name is enrolled"),
    LengthError: Problem(411, "length", "The length of the request is not known"),
    SizeError: Problem(413, "size", "The request is larger than the limits"),
    UnsupportedMediaTypeError: Problem(415, "media-type", "Unsupported media type"),
    UnsupportedImageError: Problem(415, "image-format", "Unsupported image format"),
    HostError: Problem(421, "host", "The host is another one"),
    RequestValidationError: Problem(422, "parameters", "A parameter is not as it should be"),
    ModelError: Problem(422, "rule", "The model has no such rule"),
    FaceError: Problem(422, "face", "There is no face that can be compared"),
    ImageError: Problem(422, "photo", "The photo cannot be read"),
    RateError: Problem(429, "rate", "Too many requests"),
    BusyError: Problem(503, "busy", "The service has enough to do"),
    GalleryError: Problem(503, "gallery", "The gallery cannot be used"),
    TimeoutError: Problem(503, "time", "The request took too long"),
    Exception: Problem(500, "fault", "The service is at fault"),
}
"""From an error to its answer; what is not here is answered as the nearest of its ancestors is."""


def problem_of(error: Exception) -> Problem:
    """Return how an error is answered."""
    if isinstance(error, HTTPException):
        phrase = HTTPStatus(error.status_code).phrase
        return Problem(error.status_code, phrase.lower().replace(" ", "-"), phrase)
    return next(PROBLEMS[kind] for kind in type(error).__mro__ if kind in PROBLEMS)


def problem_answer(error: Exception, request_id: str) -> JSONResponse:
    """Turn an error into an answer of the type `application/problem+json`."""
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
    """Say what happened; of faults of our own nothing that is inside of them."""
    if problem.status == 500:
        return "Something went wrong inside of the service; its log tells more under this request id."
    if isinstance(error, GalleryError):  # its message names the file
        return "The gallery cannot be used now." if problem.status == 503 else f"{problem.title}."
    if isinstance(error, TimeoutError):
        return "The request was not done within its time. Try again, with fewer or smaller photos."
    if isinstance(error, HTTPException):
        return str(error.detail)
    if isinstance(error, RequestValidationError):
        return "; ".join(f"{'.'.join(map(str, one['loc'][1:]))}: {one['msg']}" for one in error.errors())
    return str(error)
