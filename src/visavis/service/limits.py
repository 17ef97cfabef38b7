"""How much the service takes on: of one photo, of one request, of one client, and of all together."""

from dataclasses import dataclass, fields

__all__ = ["MAX_PHOTOS", "ServiceLimits"]

MAX_PHOTOS = 16
"""Maximum number of photos in a request, as the OpenAPI schema states it."""


@dataclass(frozen=True)
class ServiceLimits:
    """What is refused beyond.

    Attributes:
        photo_bytes: Of one photo's file.
        photo_pixels: Of one photo, seen from its header before it is decoded.
        photos: In one request.
        faces: In one photo.
        request_bytes: Of one request's body.
        waiting_bytes: Of the bodies of all requests that are worked on.
        requests: That are worked on at the same time; any other is told to come back.
        client_requests: The same, of one client.
        rate: Requests a minute of one client; None: as many as it likes.
        seconds: For one request, its upload included.
        connections: That are open at the same time.
    """

    photo_bytes: int = 10_000_000
    photo_pixels: int = 25_000_000
    photos: int = MAX_PHOTOS
    faces: int = 20
    request_bytes: int = 40_000_000
    waiting_bytes: int = 256_000_000
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
                raise ValueError(f"{field.name} must be positive. Received: {field.name}={value}")
