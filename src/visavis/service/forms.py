"""Forms with photos, read while they arrive: nothing on disk, and no more in memory than the limits allow."""

from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from visavis.service.formats import MEDIA_TYPES
from visavis.service.limits import ServiceLimits
from visavis.service.problems import FormError, SizeError, UnsupportedMediaTypeError

__all__ = ["PhotoForm", "ReadForm"]

Fields = TypeVar("Fields", bound=BaseModel)

_TYPE = "multipart/form-data"
_OPTION_BYTES = 200


@dataclass(frozen=True)
class ReadForm(Generic[Fields]):
    """A form that was read.

    Attributes:
        photos: The files of each field.
        fields: The other fields.
    """

    photos: dict[str, list[bytes]]
    fields: Fields


@dataclass(frozen=True)
class PhotoForm(Generic[Fields]):
    """What a form must have.

    Attributes:
        fields: The fields that hold no photo.
        photos: The names of those that do, with how many each may have; at least one is needed.
    """

    fields: type[Fields]
    photos: dict[str, int]

    async def read(self, request: Request) -> ReadForm[Fields]:
        """Read the form of a request.

        Raises:
            FormError: If it is damaged, or not such a form.
            RequestValidationError: If a field has a value that it cannot have.
            SizeError: If it is larger than the limits.
            UnsupportedMediaTypeError: If it is no multipart form.
        """
        kind, options = parse_options_header(request.headers.get("content-type"))
        if kind != _TYPE.encode() or b"boundary" not in options:
            raise UnsupportedMediaTypeError(f"The body must be {_TYPE}, with a boundary.")
        parts = _Parts(self, request.app.state.service.limits)
        try:
            parser = MultipartParser(options[b"boundary"], parts.callbacks)
            async for chunk in request.stream():
                parser.write(chunk)
        except FormParserError as error:
            raise FormError(f"The form is damaged: {error}.") from error
        if not parts.ended:
            raise FormError("The form is truncated.")
        photos, values = parts.sorted()
        try:
            return ReadForm(photos, self.fields.model_validate(values))
        except ValidationError as error:
            raise RequestValidationError([{**one, "loc": ("body", *one["loc"])} for one in error.errors()]) from error

    def openapi(self) -> dict[str, Any]:
        """Describe the form as OpenAPI does."""
        schema = self.fields.model_json_schema()
        one = {"type": "string", "format": "binary", "description": "A JPEG, PNG or WebP file."}
        photos = {
            name: one if most == 1 else {"type": "array", "items": one, "minItems": 1, "maxItems": most}
            for name, most in self.photos.items()
        }
        schema["properties"] = {**photos, **schema.get("properties", {})}
        schema["required"] = [*self.photos, *schema.get("required", [])]
        encoding = {name: {"contentType": ", ".join(MEDIA_TYPES)} for name in self.photos}
        return {"requestBody": {"required": True, "content": {_TYPE: {"schema": schema, "encoding": encoding}}}}


@dataclass
class _Part:
    """One part of a form while it arrives."""

    headers: dict[str, str] = field(default_factory=dict)
    name: str = ""
    most: int = _OPTION_BYTES
    data: bytearray = field(default_factory=bytearray)


class _Parts:
    """Takes what the parser finds, and checks it at once."""

    def __init__(self, form: PhotoForm[Any], limits: ServiceLimits) -> None:
        self.ended = False
        self._form, self._limits = form, limits
        self._part = _Part()
        self._parts: list[_Part] = []
        self._header = [b"", b""]
        self.callbacks: Any = {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._add(0, data[start:end]),
            "on_header_value": lambda data, start, end: self._add(1, data[start:end]),
            "on_header_end": self._end_header,
            "on_headers_finished": self._end_headers,
            "on_part_data": self._take,
            "on_part_end": lambda: self._parts.append(self._part),
            "on_end": self._end,
        }

    def sorted(self) -> tuple[dict[str, list[bytes]], dict[str, str]]:
        """Return the photos and the values of the other fields."""
        photos = {name: [bytes(part.data) for part in self._parts if part.name == name] for name in self._form.photos}
        for name, files in photos.items():
            if not files:
                raise FormError(f"The form lacks a photo in {name}.")
        try:
            return photos, {part.name: part.data.decode() for part in self._parts if part.name not in photos}
        except UnicodeDecodeError as error:
            raise FormError("The fields of the form must be UTF-8.") from error

    def _begin(self) -> None:
        self._part = _Part()

    def _add(self, place: int, data: bytes) -> None:
        self._header[place] += data

    def _end_header(self) -> None:
        name, value = (text.decode("latin-1") for text in self._header)
        self._part.headers[name.lower()] = value
        self._header = [b"", b""]

    def _end_headers(self) -> None:
        """Check what a part is to be before any of it is kept."""
        part, photos = self._part, self._form.photos
        disposition, options = parse_options_header(part.headers.get("content-disposition"))
        part.name = options.get(b"name", b"").decode("latin-1")
        known = [*photos, *self._form.fields.model_fields]
        if disposition != b"form-data" or part.name not in known:
            raise FormError(f"The form may have the fields {', '.join(known)}, and no others.")
        before = [one.name for one in self._parts]
        if before.count(part.name) >= photos.get(part.name, 1):
            raise FormError(f"The form has {part.name} too often.")
        if part.name in photos:
            part.most = self._limits.photo_bytes
            if sum(name in photos for name in before) >= self._limits.photos:
                raise SizeError(f"At most {self._limits.photos} photos are taken at a time.")

    def _take(self, data: bytes, start: int, end: int) -> None:
        part = self._part
        if len(part.data) + end - start > part.most:
            raise SizeError(f"What is in {part.name} has more than {part.most:,} bytes.")
        part.data += data[start:end]

    def _end(self) -> None:
        self.ended = True
