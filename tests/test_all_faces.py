"""All faces of a photo count: in galleries and over HTTP, with what they cost and who may have their embeddings."""

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="needs the extra serve")

import requests
from serving import TILE, Quarters, Tiles, file, group, running, service_of

from visavis.errors import ImageError
from visavis.faces import CANONICAL_LANDMARKS, AcquisitionSettings
from visavis.gallery import open_gallery
from visavis.gallery.enrolling import enrol_folder, enrol_photos
from visavis.gallery.searching import search_photo, verify_photo
from visavis.service.keys import KeyStore
from visavis.service.limits import ServiceLimits
from visavis.verification import Verifier

ANNA, BERTA, CARA = (200, 20, 20, 20), (20, 200, 20, 20), (20, 20, 200, 20)
LIKE_ANNA = (200, 40, 20, 20)  # reaches the threshold, less than Anna does


@pytest.fixture(scope="module")
def encoder():
    return Quarters.of_faces()


@pytest.fixture
def verifier(encoder):
    return Verifier(encoder, acquisition=AcquisitionSettings("all", finder=Tiles()))


@pytest.fixture
def door(encoder, verifier, tmp_path):
    """A gallery of Anna and Berta, and the folder that it was made of: Anna's second photo shows Berta, larger, beside her."""
    for name, photo in {"anna/1.png": group(ANNA), "anna/2.png": group(BERTA, ANNA), "berta/1.png": group(BERTA)}.items():
        path = tmp_path / "people" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(photo)
    location = tmp_path / "door.gallery"
    with open_gallery(location, encoder) as gallery:
        enrol_folder(gallery, verifier, tmp_path / "people")
    return location


def on_disk(tmp_path, *people):
    path = tmp_path / "party.png"
    path.write_bytes(group(*people))
    return path


def test_an_enrolment_takes_the_face_that_agrees(door, encoder, verifier, tmp_path):
    with open_gallery(door, encoder) as gallery:
        assert {subject.name: len(subject.references) for subject in gallery.subjects()} == {"anna": 2, "berta": 1}
        assert gallery.verify("anna", verifier.embed(verifier.acquire_all(group(ANNA)))[0]).score > 0.999
        with pytest.raises(ImageError, match=r"party.png: 2 faces, none of which agrees with another photo of dora"):
            enrol_photos(gallery, verifier, "dora", [on_disk(tmp_path, CARA, BERTA)])


def test_a_search_names_each_face_and_each_person_once(door, encoder, verifier, tmp_path):
    found = search_photo(door, verifier, on_disk(tmp_path, CARA, BERTA, ANNA, LIKE_ANNA))
    assert [face.subject for face in found.faces] == [None, "berta", "anna", None]
    assert [face.face.number for face in found.faces] == [1, 2, 3, 4]
    assert found.matched and found.to_json()["decision"] == "match"
    assert str(found).splitlines()[:3] == [
        "face 1: no match",
        f"face 2: berta: score 1.000, most like reference {found.faces[1].hits[0].reference}",
        f"face 3: anna: score 1.000, most like reference {found.faces[2].hits[0].reference}",
    ]
    nobody = search_photo(door, verifier, on_disk(tmp_path, CARA, CARA))
    assert not nobody.matched and nobody.to_json()["decision"] == "no match"
    largest = Verifier(encoder, acquisition=AcquisitionSettings(finder=Tiles()))
    assert not search_photo(door, largest, on_disk(tmp_path, CARA, BERTA)).matched


def test_a_person_is_verified_among_all_faces(door, encoder, verifier, tmp_path):
    party = on_disk(tmp_path, CARA, BERTA, ANNA)
    _, verdict = verify_photo(door, verifier, "anna", party)
    assert (verdict.same, verdict.which_faces, verdict.comparisons) == (True, "face 3 of the photo", 3)
    assert verdict.false_match_rate == pytest.approx(1 - 0.99**3)
    largest = Verifier(encoder, acquisition=AcquisitionSettings(finder=Tiles()))
    assert not verify_photo(door, largest, "anna", party)[1].same


@pytest.fixture
def url(encoder, tmp_path):
    gallery = open_gallery(tmp_path / "http.gallery", encoder)
    with running(service_of(encoder=encoder, finder=Tiles(), gallery=gallery)) as address:
        yield address


def post(address, route, photos, *, key=None, **fields):
    files = [(name, file(photo)) for name, photo in photos]
    return requests.post(
        f"{address}/v1/{route}", files=files, data=fields, headers={"Authorization": f"Bearer {key}"} if key else {}
    )


def test_photos_are_compared_by_all_faces(url):
    pair = [("first", group(ANNA)), ("second", group(BERTA, ANNA))]
    assert not post(url, "verify", pair).json()["same"]
    body = post(url, "verify", pair, face="all").json()
    assert (body["same"], body["comparisons"], [face["number"] for face in body["faces"]]) == (True, 2, [1, 2])
    assert body["false_match_rate"] == pytest.approx(1 - 0.99**2)
    assert np.shape(post(url, "explain", pair, face="all").json()["maps"])[0] == 2
    many = [("anchor", group(CARA, ANNA)), ("photos", group(BERTA)), ("photos", group(BERTA, BERTA, ANNA))]
    compared = post(url, "compare", many, face="all").json()
    assert [(one["photo"], one["same"], one["comparisons"]) for one in compared["results"]] == [(1, True, 6), (0, False, 2)]
    assert (compared["anchor"]["number"], compared["results"][0]["face"]["number"]) == (2, 3)


def test_people_are_enrolled_and_found_among_all_faces(url):
    refused = post(url, "subjects/Anna", [("photos", group(BERTA, ANNA)), ("photos", group(ANNA, CARA))])
    assert refused.status_code == 422 and refused.json()["detail"].startswith("photos 1: 2 faces")
    assert "; photos 2: 2 faces" in refused.json()["detail"]
    some = post(url, "subjects/Anna", [("photos", group(BERTA, CARA)), ("photos", group(ANNA))], face="all").json()
    assert (len(some["enrolled"]), len(some["faces"]), [one["photo"] for one in some["failures"]]) == (1, 1, [0])
    assert some["failures"][0]["reason"].startswith("photos 1: no face agrees")
    enrolled = post(url, "subjects/Anna", [("photos", group(ANNA)), ("photos", group(BERTA, ANNA))], face="all").json()
    assert ([face["number"] for face in enrolled["faces"]], enrolled["failures"]) == ([1, 2], [])
    assert (len(enrolled["references"]), len(enrolled["enrolled"])) == (2, 1)
    assert post(url, "subjects/Berta", [("photos", group(BERTA))]).status_code == 201
    found = post(url, "search", [("photo", group(CARA, BERTA, ANNA, LIKE_ANNA))], face="all").json()
    assert [face["subject"] for face in found["faces"]] == [None, "Berta", "Anna", None]
    assert found["face"] == found["faces"][0]["face"] and found["hits"] == found["faces"][0]["hits"]
    assert len(post(url, "search", [("photo", group(ANNA, BERTA))]).json()["faces"]) == 1


def test_all_faces_are_detected_with_landmarks_and_quality(url):
    faces = post(url, "detect", [("photo", group(ANNA, BERTA))]).json()["faces"]
    assert [face["number"] for face in faces] == [1, 2]
    assert [face["box"] for face in faces] == [[0, 0, 112, 112], [112, 0, 111, 111]]
    np.testing.assert_allclose(faces[1]["landmarks"], CANONICAL_LANDMARKS + [TILE, 0], atol=0.06)
    assert faces[0]["eye_distance"] == pytest.approx(np.linalg.norm(CANONICAL_LANDMARKS[1] - CANONICAL_LANDMARKS[0]), abs=0.06)
    assert all(face["sharpness"] > 0 for face in faces)
    assert post(url, "detect", [("photo", group(ANNA))], face="all").status_code == 400


def test_embeddings_are_those_of_the_encoder(url, verifier):
    photos = [group(ANNA, BERTA), b"no photo", group(CARA)]
    body = post(url, "embed", [("photos", photo) for photo in photos], face="all").json()
    assert [(photo["photo"], len(photo["faces"])) for photo in body["photos"]] == [(0, 2), (2, 1)]
    assert [failure["photo"] for failure in body["failures"]] == [1]
    expected = verifier.embed(verifier.acquire_all(photos[0]))
    np.testing.assert_allclose([face["embedding"] for face in body["photos"][0]["faces"]], expected, atol=1e-6)
    assert post(url, "embed", [("photos", b"no photo")]).status_code == 415


def test_embeddings_need_a_scope_of_their_own(encoder, tmp_path):
    store = KeyStore(tmp_path / "keys.db", create=True)
    keys = {scope: store.create(scope, scope) for scope in ("decide", "admin", "embed")}
    with pytest.raises(ValueError, match="scope must be at least 'read' for all scores, got 'embed'"):
        store.create("both", "embed", all_scores=True)
    photo, pair = [("photo", group(ANNA))], [("first", group(ANNA)), ("second", group(ANNA))]
    with running(service_of(encoder=encoder, finder=Tiles(), keys=store)) as address:
        allowed = {
            (route, scope): post(address, route, photos, key=key).status_code
            for route, photos in {"embed": [("photos", group(ANNA))], "detect": photo, "verify": pair}.items()
            for scope, key in keys.items()
        }
        model = requests.get(f"{address}/v1/model", headers={"Authorization": f"Bearer {keys['embed']}"})
    assert {name for name, status in allowed.items() if status == 200} == {
        ("embed", "embed"),
        ("detect", "decide"),
        ("detect", "admin"),
        ("detect", "embed"),
        ("verify", "decide"),
        ("verify", "admin"),
    }
    assert set(allowed.values()) == {200, 403} and model.status_code == 200


def test_each_further_face_is_charged(encoder):
    limits = ServiceLimits(rate=10)
    with running(service_of(encoder=encoder, finder=Tiles(), limits=limits)) as address:
        refused = post(address, "embed", [("photos", group(*[ANNA] * 12))], face="all")
        assert refused.status_code == 429 and "More comparisons than 10 per minute" in refused.json()["detail"]
    with running(service_of(encoder=encoder, finder=Tiles(), limits=limits)) as address:
        assert post(address, "embed", [("photos", group(*[ANNA] * 12))]).status_code == 200
