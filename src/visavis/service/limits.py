"""Limits of the service: per photo, per request, per client and in total."""

from dataclasses import dataclass, fields
from typing import Any

from visavis.images import Limits

__all__ = ["MAX_PHOTOS", "ServiceLimits"]

MAX_PHOTOS = 16
"""Maximum number of photos in a request, as stated in the OpenAPI schema."""


@dataclass(frozen=True)
class ServiceLimits:
    """Maximum sizes, counts and times.

    Attributes:
        photo_bytes: Bytes of a photo's file.
        photo_pixels: Pixels of a photo, read from its header before it is decoded.
        photo_seconds: CPU time to decode a photo and detect its faces.
        photos: Photos in a request.
        faces: Faces in a photo.
        request_bytes: Bytes of a request's body.
        bytes_in_flight: Bytes of the bodies of all requests in flight.
        requests: Requests in flight; more are answered with 503.
        client_requests: Requests of one client in flight.
        rate: Comparisons of one client per minute; None: unlimited. Large photos count more, see `Admission.charge`.
        failures: Searches of one client in an hour in which one subject was nearly accepted; then it is locked out of the subject
            for an hour; None: unlimited.
        seconds: Seconds for one request, its upload included.
        stop_seconds: Seconds in which requests in flight are completed when the service stops; then they are cancelled.
        connections: Open connections.
        client_connections: Open connections of one address.
        headers: Headers of a request.
        header_bytes: Bytes of them, with the path.
        header_seconds: Seconds in which the headers must arrive, and an idle connection sends its next request.
    """

    photo_bytes: int = 10_000_000
    photo_pixels: int = 25_000_000
    photo_seconds: float = 10.0
    photos: int = MAX_PHOTOS
    faces: int = 20
    request_bytes: int = 40_000_000
    bytes_in_flight: int = 256_000_000
    requests: int = 64
    client_requests: int = 32
    rate: float | None = 600.0
    failures: int | None = 100
    seconds: float = 30.0
    stop_seconds: float = 7.0
    connections: int = 1000
    client_connections: int = 100
    headers: int = 100
    header_bytes: int = 32_768
    header_seconds: float = 10.0

    @classmethod
    def for_photos(cls, photo: Limits, **others: Any) -> "ServiceLimits":
        """Return limits of which a request may have four of the largest photos, as it may by default.

        Args:
            photo: Limits of a photo.
            others: Further fields.
        """
        request_bytes = max(cls.request_bytes, 4 * photo.max_bytes)
        return cls(
            photo_bytes=photo.max_bytes,
            photo_pixels=photo.max_pixels,
            request_bytes=request_bytes,
            bytes_in_flight=max(cls.bytes_in_flight, request_bytes),
            **others,
        )

    @property
    def photo(self) -> Limits:
        """Limits of a photo."""
        return Limits(max_bytes=self.photo_bytes, max_pixels=self.photo_pixels)

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ValueError: If one is not positive.
        """
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None and value <= 0:
                raise ValueError(f"{field.name} must be positive, got {value}")
