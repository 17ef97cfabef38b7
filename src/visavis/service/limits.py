"""Limits of the service: per photo, per request, per client and in total."""

from dataclasses import dataclass, fields

__all__ = ["MAX_PHOTOS", "ServiceLimits"]

MAX_PHOTOS = 16
"""Maximum number of photos in a request, as stated in the OpenAPI schema."""


@dataclass(frozen=True)
class ServiceLimits:
    """Maximum sizes, counts and times.

    Attributes:
        photo_bytes: Bytes of a photo's file.
        photo_pixels: Pixels of a photo, read from its header before it is decoded.
        photos: Photos in a request.
        faces: Faces in a photo.
        request_bytes: Bytes of a request's body.
        bytes_in_flight: Bytes of the bodies of all requests in flight.
        requests: Requests in flight; more are answered with 503.
        client_requests: Requests of one client in flight.
        rate: Requests of one client per minute; None: unlimited.
        seconds: Seconds for one request, its upload included.
        connections: Open connections.
    """

    photo_bytes: int = 10_000_000
    photo_pixels: int = 25_000_000
    photos: int = MAX_PHOTOS
    faces: int = 20
    request_bytes: int = 40_000_000
    bytes_in_flight: int = 256_000_000
    requests: int = 64
    client_requests: int = 32
    rate: float | None = 600.0
    seconds: float = 30.0
    connections: int = 1000

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ValueError: If one is not positive.
        """
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None and value <= 0:
                raise ValueError(f"{field.name} must be positive, got {value}")
