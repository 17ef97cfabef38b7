"""A gallery in Milvus, for more references than one machine can hold."""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

import numpy as np

from visavis.data.names import normalise_name
from visavis.errors import (
    GalleryError,
    GalleryKeyError,
    MissingDependencyError,
    SubjectConflictError,
    UnknownSubjectError,
    WrongEncoderError,
)
from visavis.gallery.file import now
from visavis.gallery.records import (
    Binding,
    Embeddings,
    Enrolment,
    Hit,
    Subject,
    checked_embeddings,
    checked_enrolment,
    checked_name,
)

__all__ = ["Address", "MilvusGallery"]

TOKEN_VARIABLE = "VISAVIS_MILVUS_TOKEN"
_SEARCH_SETTINGS = frozenset({"ef", "nprobe"})
_VECTORS = "embedding_"
_BATCH = 1000
_SAME = 1e-6
_OVERSAMPLING = 8
_LONGEST_NAME = 800  # bytes of 200 characters


@dataclass(frozen=True)
class Address:
    """The address of a gallery, and its layout when it is created.

    Attributes:
        uri: The URI of the server.
        collection: The name of the collection.
        index: The index type; `FLAT` compares every reference.
        shards: Number of shards.
        build: Settings of the index, such as `M` and `efConstruction` of `HNSW`.
        search: Settings of a search: `ef` of `HNSW`, `nprobe` of `IVF_FLAT`.
    """

    uri: str
    collection: str
    index: str = "FLAT"
    shards: int = 1
    build: dict[str, int] = field(default_factory=dict)
    search: dict[str, int] = field(default_factory=dict)

    @classmethod
    def from_location(cls, location: str) -> "Address":
        """Parse an address such as `http://host:19530/faces?index=HNSW&M=32&efConstruction=400&ef=400&shards=4`.

        Raises:
            ValueError: If the collection is missing or a setting is not a number.
        """
        parts = urlsplit(location)
        collection, settings = parts.path.strip("/"), dict(parse_qsl(parts.query))
        if not parts.netloc or not collection.isidentifier():
            raise ValueError(f"a Milvus gallery must be http://HOST:PORT/COLLECTION, got {location}")
        index = settings.pop("index", "FLAT")
        numbers = {name: int(value) for name, value in settings.items()}
        shards = numbers.pop("shards", 1)
        search = {name: numbers.pop(name) for name in sorted(_SEARCH_SETTINGS & numbers.keys())}
        return cls(f"{parts.scheme}://{parts.netloc}", collection, index, shards, numbers, search)


class MilvusGallery:
    """A gallery in Milvus, see `Gallery`. Each reference is an entity; the vector field is named after the digest of the encoder.

    There are no stored photos and no audit log. Embeddings are not encrypted, as Milvus must read them to search.
    """

    def __init__(self, location: str, binding: Binding | None, *, key: str | None = None, create: bool = True) -> None:
        """Connect, see `open_gallery`.

        Args:
            location: See `Address.from_location`. The token of the server is read from `VISAVIS_MILVUS_TOKEN`.
            binding: The encoder of the embeddings and probes; None: for maintenance only.
            key: Must be None.
            create: Whether to create a missing collection; needs a binding.
        """
        if key is not None:
            raise GalleryKeyError(f"{location}: Milvus galleries have no key. Encrypt the server's disks, or use a file.")
        self._address = Address.from_location(location)
        self._takes_embeddings = binding is not None
        try:
            from pymilvus import MilvusClient
        except ImportError as error:
            raise MissingDependencyError("Milvus galleries need: pip install 'visavis[milvus]'") from error
        with self._translated_errors():
            self._client: Any = MilvusClient(uri=self._address.uri, token=os.environ.get(TOKEN_VARIABLE, ""))
            if not self._client.has_collection(self._address.collection):
                if binding is None or not create:
                    raise GalleryError(f"{location}: no such gallery")
                self._create(binding)
            self._bound = self._binding()
            self._client.load_collection(self._address.collection)
        if binding is not None and binding != self._bound:
            raise WrongEncoderError(
                f"{location}: belongs to the encoder {self._bound.digest[:16]}, not to {binding.digest[:16]}. Use that one"
            )

    def _create(self, binding: Binding) -> None:
        from pymilvus import DataType, MilvusClient

        schema = MilvusClient.create_schema(auto_id=True, enable_dynamic_field=False)
        schema.add_field("reference", DataType.INT64, is_primary=True)
        schema.add_field("subject", DataType.VARCHAR, max_length=_LONGEST_NAME)
        schema.add_field("created", DataType.VARCHAR, max_length=40)
        vectors = f"{_VECTORS}{binding.digest}"
        schema.add_field(vectors, DataType.FLOAT_VECTOR, dim=binding.size)
        indexes = self._client.prepare_index_params()
        indexes.add_index(vectors, index_type=self._address.index, metric_type="IP", params=self._address.build)
        self._client.create_collection(
            self._address.collection,
            schema=schema,
            index_params=indexes,
            consistency_level="Strong",  # all clients see what one client has written
            num_shards=self._address.shards,
        )

    def _binding(self) -> Binding:
        for described in self._client.describe_collection(self._address.collection)["fields"]:
            if described["name"].startswith(_VECTORS):
                return Binding(described["name"].removeprefix(_VECTORS), int(described["params"]["dim"]))
        raise GalleryError(f"{self._name}: a collection, but not a visavis gallery")

    @property
    def digest(self) -> str:
        """Digest of the encoder that the gallery belongs to."""
        return self._bound.digest

    @property
    def size(self) -> int:
        """Length of an embedding."""
        return self._bound.size

    def __len__(self) -> int:
        """Return the number of references."""
        with self._translated_errors():
            return int(self._client.query(self._address.collection, filter="", output_fields=["count(*)"])[0]["count(*)"])

    @property
    def subject_count(self) -> int:
        """Number of references, which that of subjects does not exceed."""
        return len(self)

    def enrol(
        self,
        subject: str,
        embeddings: Embeddings,
        *,
        photos: Sequence[bytes] | None = None,
        digests: Sequence[bytes | None] | None = None,
        actor: str = "",
    ) -> tuple[str, ...]:
        """Enrol references of a subject, see `Gallery`; durability is that of the server.

        Raises:
            ValueError: If photos are given; otherwise as in `Gallery`.
        """
        person = self._checked(Enrolment(subject, embeddings, photos or ()))
        present = self._references(person.subject, self._vectors)
        if present:  # digests are not stored, but the same photo gives the same embedding
            known = np.array([reference[self._vectors] for reference in present], dtype=np.float32)
            new = (person.embeddings @ known.T).max(axis=1) < 1 - _SAME
            person = replace(person, embeddings=person.embeddings[new])
        return self._insert([person])

    def enrol_all(self, people: Iterable[Enrolment], *, actor: str = "") -> int:
        """Enrol many subjects in batches, see `Gallery`; after a failure the batches before it are enrolled."""
        count, remaining = 0, iter(people)
        while batch := [self._checked(person) for person in islice(remaining, _BATCH)]:
            names = json.dumps([person.subject for person in batch], ensure_ascii=False)
            with self._translated_errors():
                known = self._client.query(
                    self._address.collection, filter=f"subject in {names}", output_fields=["subject"], limit=1
                )
            if known:
                raise SubjectConflictError(f"{self._name}: {known[0]['subject']!r} is already enrolled")
            count += len(self._insert(batch))
        return count

    def _checked(self, person: Enrolment) -> Enrolment:
        self._require_encoder()
        if any(photo is not None for photo in person.photos):
            raise ValueError("a Milvus gallery stores no photos")
        return checked_enrolment(person, size=self.size)

    def _insert(self, people: list[Enrolment]) -> tuple[str, ...]:
        rows = [{"subject": person.subject, "created": now(), self._vectors: row} for person in people for row in person.embeddings]
        with self._translated_errors():
            return tuple(map(str, self._client.insert(self._address.collection, rows)["ids"])) if rows else ()

    def search(self, probes: Embeddings, *, top: int = 5, threshold: float | None = None) -> list[list[Hit]]:
        """Find the best-matching subjects, see `Gallery`.

        Candidates are the subjects with the best references, more of them than asked for; each is then scored by its template.
        """
        self._require_encoder()
        rows = checked_embeddings(probes, self.size, "probes")
        if top < 1:
            raise ValueError(f"top must be at least 1, got {top}")
        least = -np.inf if threshold is None else threshold
        return [[hit for hit in self._search(row, top) if hit.score >= least] for row in rows]

    def _search(self, probe: Embeddings, top: int) -> list[Hit]:
        """Score candidates by their templates; subjects found so far are excluded from the next round of the search for some."""
        candidates: dict[str, None] = {}
        limit = _OVERSAMPLING * top
        while True:
            found = self._nearest(probe, limit, list(candidates))
            candidates |= dict.fromkeys(found)
            if len(candidates) >= top or len(found) < limit:
                break
        hits = [self._hit(subject, references, probe) for subject, references in self._references_of(list(candidates)).items()]
        return sorted(hits, key=lambda hit: -hit.score)[:top]

    def _hit(self, subject: str, references: list[dict[str, Any]], probe: Embeddings) -> Hit:
        vectors = np.array([reference[self._vectors] for reference in references], dtype=np.float32)
        return Hit.of(subject, [str(reference["reference"]) for reference in references], vectors, probe)

    def _references_of(self, subjects: list[str]) -> dict[str, list[dict[str, Any]]]:
        """Return the references of several subjects, with their vectors."""
        found: dict[str, list[dict[str, Any]]] = {}
        if subjects:
            with self._translated_errors():
                rows = self._client.query(
                    self._address.collection,
                    filter=f"subject in {json.dumps(subjects, ensure_ascii=False)}",
                    output_fields=["reference", "subject", self._vectors],
                )
            for row in rows:
                found.setdefault(row["subject"], []).append(row)
        return found

    def _nearest(self, probe: Embeddings, limit: int, without: list[str]) -> list[str]:
        """Return the subjects of the best references, the best first; a subject may come several times."""
        with self._translated_errors():
            answers = self._client.search(
                self._address.collection,
                data=[probe],
                anns_field=self._vectors,
                limit=limit,
                filter=f"subject not in {json.dumps(without, ensure_ascii=False)}" if without else "",
                output_fields=["subject"],
                search_params={"metric_type": "IP", "params": self._address.search},
            )
        return [hit["entity"]["subject"] for hit in answers[0]]

    def verify(self, subject: str, probe: Embeddings) -> Hit:
        """Compare a probe with a subject, see `Gallery`."""
        self._require_encoder()
        row = checked_embeddings(np.asarray(probe)[None], self.size, "probe")[0]
        found = self._known(subject, self._vectors)
        return self._hit(normalise_name(subject), found, row)

    def delete(self, subject: str, *, actor: str = "") -> int:
        """Delete a subject, see `Gallery`. The server frees its disks when it compacts."""
        found = self._known(subject)
        with self._translated_errors():
            self._client.delete(self._address.collection, ids=[reference["reference"] for reference in found])
        return len(found)

    def remove(self, subject: str, reference: str, *, actor: str = "") -> None:
        """Delete one reference of a subject, see `Gallery`."""
        found = self._known(subject)
        if reference not in (str(each["reference"]) for each in found):
            raise UnknownSubjectError(f"{self._name}: {subject!r} has no reference {reference!r}")
        if len(found) == 1:
            raise SubjectConflictError(f"{self._name}: the only reference of {subject!r}. Delete the subject instead")
        with self._translated_errors():
            self._client.delete(self._address.collection, ids=[int(reference)])

    def rename(self, subject: str, name: str, *, actor: str = "") -> None:
        """Give a subject another name, see `Gallery`; the references get new numbers."""
        new = checked_name(name)
        if new == normalise_name(subject):
            return
        if self._references(new):
            raise SubjectConflictError(f"{self._name}: {new!r} is already enrolled. Merge the two subjects instead")
        self._move(subject, new)

    def merge(self, subject: str, into: str, *, actor: str = "") -> int:
        """Move all references of a subject to another one, see `Gallery`; they get new numbers."""
        if normalise_name(subject) == normalise_name(into):
            raise ValueError(f"subject and into must differ, got {subject!r} twice")
        self._known(into)
        self._move(subject, normalise_name(into))
        return len(self._known(into))

    def _move(self, subject: str, name: str) -> None:
        found = self._known(subject, "created", self._vectors)
        rows = [{"subject": name, "created": each["created"], self._vectors: each[self._vectors]} for each in found]
        with self._translated_errors():
            self._client.insert(self._address.collection, rows)
            self._client.delete(self._address.collection, ids=[each["reference"] for each in found])

    def subject(self, name: str) -> Subject:
        """Look up a subject, see `Gallery`."""
        return _subject(normalise_name(name), self._known(name, "created"))

    def subjects(self, *, after: str | None = None, limit: int = 1000) -> list[Subject]:
        """List subjects, see `Gallery`; Milvus does not sort, so all names are read."""
        found: dict[str, list[dict[str, Any]]] = {}
        for reference in self._walk(f"subject > {_quoted(normalise_name(after or ''))}"):
            found.setdefault(reference["subject"], []).append(reference)
            if len(found) > 2 * limit:
                found = {name: found[name] for name in sorted(found)[:limit]}
        return [_subject(name, found[name]) for name in sorted(found)[:limit]]

    def refresh(self) -> None:
        """Do nothing: the server is always up to date."""

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def __enter__(self) -> Self:
        """Return the gallery."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close the gallery."""
        self.close()

    @property
    def _name(self) -> str:
        return f"{self._address.uri}/{self._address.collection}"

    @property
    def _vectors(self) -> str:
        return f"{_VECTORS}{self._bound.digest}"

    @contextmanager
    def _translated_errors(self) -> Iterator[None]:
        from pymilvus import MilvusException

        try:
            yield
        except MilvusException as error:
            raise GalleryError(f"{self._name}: {error.message}") from error

    def _walk(self, condition: str) -> Iterator[dict[str, Any]]:
        with self._translated_errors():
            walk = self._client.query_iterator(
                self._address.collection, batch_size=_BATCH, filter=condition, output_fields=["reference", "subject", "created"]
            )
            while found := walk.next():
                yield from found
            walk.close()

    def _references(self, subject: str, *fields: str) -> list[dict[str, Any]]:
        subject = normalise_name(subject)
        with self._translated_errors():
            found = self._client.query(
                self._address.collection,
                filter=f"subject == {_quoted(normalise_name(subject))}",
                output_fields=["reference", *fields],
            )
        return sorted(found, key=lambda reference: int(reference["reference"]))

    def _known(self, subject: str, *fields: str) -> list[dict[str, Any]]:
        found = self._references(subject, *fields)
        if not found:
            raise UnknownSubjectError(f"{self._name}: no subject named {subject!r} is enrolled")
        return found

    def _require_encoder(self) -> None:
        if not self._takes_embeddings:
            raise WrongEncoderError(f"{self._name}: opened without an encoder; it accepts no embeddings")


def _quoted(text: str) -> str:
    """Quote text as a literal of Milvus filter expressions."""
    return json.dumps(text, ensure_ascii=False)


def _subject(name: str, references: list[dict[str, Any]]) -> Subject:
    ordered = sorted(references, key=lambda reference: int(reference["reference"]))
    return Subject(name, tuple(str(reference["reference"]) for reference in ordered), ordered[0]["created"])
