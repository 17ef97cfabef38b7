"""Multipart forms with photos, parsed while they arrive: nothing is written to disk, and memory is bounded by the limits."""

from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Generic, TypeVar

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from visavis.service.formats import MEDIA_TYPES
from visavis.service.limits import ServiceLimits
from visavis.service.problems import FormError, SizeError, UnsupportedMediaTypeError
from visavis.wording import counted

__all__ = ["ParsedForm", "PhotoForm"]

Fields = TypeVar("Fields", bound=BaseModel)

_MEDIA_TYPE = "multipart/form-data"
_MAX_FIELD_BYTES = 200


@dataclass(frozen=True)
class ParsedForm(Generic[Fields]):
    """A parsed form.

    Attributes:
        photos: The files of each photo field.
        fields: The other fields.
    """

    photos: dict[str, list[bytes]]
    fields: Fields


@dataclass(frozen=True)
class PhotoForm(Generic[Fields]):
    """The fields of a route's form.

    Attributes:
        fields: Model of the fields that are not photos.
        photos: Names of the photo fields, each with its maximum number of photos; at least one photo is required in each.
        cost: Work for each photo of the last field, in comparisons.
    """

    fields: type[Fields]
    photos: dict[str, int]
    cost: int = 1

    async def parse(self, request: Request) -> ParsedForm[Fields]:
        """Parse the form of a request.

        Raises:
            FormError: If the body is malformed, or a field is missing, unknown or repeated.
            RateError: If the client has no right to so much work now.
            RequestValidationError: If the value of a field is invalid.
            SizeError: If a limit is exceeded.
            UnsupportedMediaTypeError: If the body is not a multipart form.
        """
        media_type, options = parse_options_header(request.headers.get("content-type"))
        if media_type != _MEDIA_TYPE.encode() or b"boundary" not in options:
            raise UnsupportedMediaTypeError(f"The body must be {_MEDIA_TYPE} with a boundary.")
        service = request.app.state.service
        collector = _PartCollector(self, service.limits)
        try:
            parser = MultipartParser(options[b"boundary"], collector.callbacks)
            async for chunk in request.stream():
                parser.write(chunk)
        except FormParserError as error:
            raise FormError(f"Malformed multipart body: {error}.") from error
        if not collector.complete:
            raise FormError("The multipart body is truncated.")
        photos, values = collector.contents()
        try:
            form = ParsedForm(photos, self.fields.model_validate(values))
        except ValidationError as error:
            raise RequestValidationError([{**one, "loc": ("body", *one["loc"])} for one in error.errors()]) from error
        *_, last = photos.values()
        service.admission.charge(request.state.caller, self.cost * len(last), chain.from_iterable(photos.values()))
        return form

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI description of the request body."""
        schema = self.fields.model_json_schema()
        photo = {"type": "string", "format": "binary", "description": "A JPEG, PNG or WebP file, whatever its declared type."}
        photos = {
            name: photo if maximum == 1 else {"type": "array", "items": photo, "minItems": 1, "maxItems": maximum}
            for name, maximum in self.photos.items()
        }
        schema["properties"] = {**photos, **schema.get("properties", {})}
        schema["required"] = [*self.photos, *schema.get("required", [])]
        encoding = {name: {"contentType": ", ".join(MEDIA_TYPES)} for name in self.photos}
        return {"requestBody": {"required": True, "content": {_MEDIA_TYPE: {"schema": schema, "encoding": encoding}}}}


@dataclass
class _Part:
    """One part of a form while it arrives."""

    headers: dict[str, str] = field(default_factory=dict)
    name: str = ""
    max_bytes: int = _MAX_FIELD_BYTES
    data: bytearray = field(default_factory=bytearray)


class _PartCollector:
    """Callbacks of the multipart parser, which collect the parts and check them as early as possible."""

    def __init__(self, form: PhotoForm[Any], limits: ServiceLimits) -> None:
        self.complete = False
        self._form, self._limits = form, limits
        self._part = _Part()
        self._parts: list[_Part] = []
        self._header = [b"", b""]
        self.callbacks: Any = {
            "on_part_begin": self._begin_part,
            "on_header_field": lambda data, start, end: self._add_to_header(0, data[start:end]),
            "on_header_value": lambda data, start, end: self._add_to_header(1, data[start:end]),
            "on_header_end": self._end_header,
            "on_headers_finished": self._check_part,
            "on_part_data": self._add_data,
            "on_part_end": lambda: self._parts.append(self._part),
            "on_end": self._finish,
        }

    def contents(self) -> tuple[dict[str, list[bytes]], dict[str, str]]:
        """Return the photos, and the values of the other fields."""
        photos = {name: [bytes(part.data) for part in self._parts if part.name == name] for name in self._form.photos}
        for name, files in photos.items():
            if not files:
                raise FormError(f"The form lacks a photo in {name}.")
        try:
            return photos, {part.name: part.data.decode() for part in self._parts if part.name not in photos}
        except UnicodeDecodeError as error:
            raise FormError("The fields of the form must be UTF-8.") from error

    def _begin_part(self) -> None:
        self._part = _Part()

    def _add_to_header(self, index: int, data: bytes) -> None:
        self._header[index] += data

    def _end_header(self) -> None:
        name, value = (text.decode("latin-1") for text in self._header)
        self._part.headers[name.lower()] = value
        self._header = [b"", b""]

    def _check_part(self) -> None:
        """Check name and count of a part before any of its data is kept."""
        part, photos = self._part, self._form.photos
        disposition, options = parse_options_header(part.headers.get("content-disposition"))
        part.name = options.get(b"name", b"").decode("latin-1")
        names = [*photos, *self._form.fields.model_fields]
        if disposition != b"form-data" or part.name not in names:
            raise FormError(f"Unknown form field. The fields are {', '.join(names)}.")
        earlier = [one.name for one in self._parts]
        maximum = photos.get(part.name, 1)
        if earlier.count(part.name) >= maximum:
            raise FormError(f"The form has {part.name} more than {'once' if maximum == 1 else f'{maximum} times'}.")
        if part.name in photos:
            part.max_bytes = self._limits.photo_bytes
            if sum(name in photos for name in earlier) >= self._limits.photos:
                raise SizeError(f"The form has more than {counted(self._limits.photos, 'photo')}.")

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        part = self._part
        if len(part.data) + end - start > part.max_bytes:
            raise SizeError(f"The field {part.name} has more than {counted(part.max_bytes, 'byte')}.")
        part.data += data[start:end]

    def _finish(self) -> None:
        self.complete = True
