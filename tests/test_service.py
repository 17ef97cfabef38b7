"""The REST API over HTTP: responses, errors and access control."""

import io
import json
import logging
import re
import shutil
import subprocess
import tarfile
import unicodedata
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the service needs the extra serve")

import numpy as np
import requests
from PIL import Image
from serving import HISTOGRAM, Quarters, file, pair, picture, running, service_of

from visavis.encoders import load_encoder
from visavis.errors import DamagedGalleryError
from visavis.faces import CANONICAL_LANDMARKS, Face, FaceFinder
from visavis.gallery import open_gallery
from visavis.images import Limits, read_image
from visavis.service.keys import SCOPES as ORDERED_SCOPES, KeyStore
from visavis.service.limits import ServiceLimits
from visavis.service.middleware import SECURITY_HEADERS
from visavis.service.problems import PROBLEMS

DOCS = Path(__file__).parents[1] / "docs" / "service.md"
OTHER = (20, 20, 20, 200)


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    gallery = open_gallery(tmp_path_factory.mktemp("gallery") / "test.gallery", Quarters())
    with running(service_of(gallery=gallery)) as address:
        yield address


def problem(answer, status, code):
    """Check that a response is this problem, and return its detail."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["type"] == f"urn:visavis:problem:{code}"
    assert body["status"] == status
    assert body["request_id"] == answer.headers["x-request-id"]
    return body["detail"]


def test_two_photos_are_verified(url):
    answer = requests.post(f"{url}/v1/verify", files=pair(picture(), picture()))
    body = answer.json()
    assert answer.status_code == 200
    assert body["decision"] == "same person" and body["same"] and body["score"] == pytest.approx(1)
    assert body["probability"] > 0.99 and body["log_likelihood_ratio"] == pytest.approx(5, abs=0.01)
    assert body["threshold"]["target_fmr"] == 0.01
    assert body["threshold"]["fmr"] == pytest.approx(0.01) and body["threshold"]["fmr_upper"] == 0.02
    assert body["model"] == Quarters().digest
    assert [face["size"] for face in body["faces"]] == [[32, 32], [32, 32]]
    other = requests.post(f"{url}/v1/verify", files=pair(picture(), picture(*OTHER))).json()
    assert other["decision"] == "different people" and other["score"] < 0.95


def test_target_fmr_and_prior_are_parameters(url):
    near = picture(200, 50, 20, 20)
    usual = requests.post(f"{url}/v1/verify", files=pair(picture(), near)).json()
    strict = requests.post(f"{url}/v1/verify", files=pair(picture(), near), data={"target_fmr": "0.001", "prior": "0.01"}).json()
    assert usual["same"] and not strict["same"]
    assert strict["threshold"]["score"] == 0.99 and strict["prior"] == 0.01
    assert strict["probability"] < usual["probability"]
    assert strict["log_likelihood_ratio"] == usual["log_likelihood_ratio"]
    unknown = requests.post(f"{url}/v1/verify", files=pair(), data={"target_fmr": "0.5"})
    assert "only for 0.01, 0.001" in problem(unknown, 422, "operating-point")


def test_one_photo_is_compared_with_many(url):
    files = [("anchor", file(picture())), ("photos", file(picture(*OTHER))), ("photos", file(picture()[:60]))]
    body = requests.post(f"{url}/v1/compare", files=[*files, ("photos", file(picture()))]).json()
    assert [result["photo"] for result in body["results"]] == [2, 0]
    assert [result["same"] for result in body["results"]] == [True, False]
    assert [failure["photo"] for failure in body["failures"]] == [1]
    assert "truncated" in body["failures"][0]["reason"]
    none = requests.post(f"{url}/v1/compare", files=[files[0], files[2]])
    assert "None of 1 photo can" in problem(none, 422, "photo")


def test_a_decision_is_explained(url):
    body = requests.post(f"{url}/v1/explain", files=pair()).json()
    assert body["same"]
    first, second = body["maps"]
    assert len(first) == len(second) == 32 and len(first[0]) == 32
    assert max(map(max, first)) > 0


def test_the_model_is_described_with_its_operating_points_and_histograms(url):
    body = requests.get(f"{url}/v1/model").json()
    assert [point["target_fmr"] for point in body["operating_points"]] == [0.01, 0.001]
    assert tuple(body["histogram"]["mated"]) == HISTOGRAM.mated
    assert body["gallery"] and not body["finds_faces"]


def test_people_are_enrolled_found_and_deleted(url):
    name = "Anna Ünder/wegs"
    photos = [("photos", file(picture())), ("photos", file(picture(180, 20, 20, 20)))]
    enrolled = requests.post(f"{url}/v1/subjects/{name}", files=photos)
    assert enrolled.status_code == 201
    assert len(enrolled.json()["enrolled"]) == 2
    requests.post(f"{url}/v1/subjects/Berta", files={"photos": file(picture(*OTHER))})
    listed = requests.get(f"{url}/v1/subjects", params={"limit": 1}).json()
    assert [one["name"] for one in listed["subjects"]] == [name] and listed["after"] == name
    rest = requests.get(f"{url}/v1/subjects", params={"after": listed["after"]}).json()
    assert [one["name"] for one in rest["subjects"]] == ["Berta"] and rest["after"] is None
    found = requests.post(f"{url}/v1/search", files={"photo": file(picture())}, data={"top": "1"}).json()
    assert [hit["subject"] for hit in found["hits"]] == [name] and found["hits"][0]["same"]
    assert found["subjects"] == 2 and found["threshold"]["target_fmr"] == 0.001 and found["undecided"] is None
    many = requests.post(f"{url}/v1/search", files={"photo": file(picture())}, data={"target_fmr": "0.01"}).json()
    assert many["false_positive_rate"] == pytest.approx(1 - 0.99**2)
    assert many["false_positive_rate_upper"] == pytest.approx(1 - 0.98**2)
    few = requests.post(f"{url}/v1/search", files={"photo": file(picture())}, data={"target_fpir": "0.015"}).json()
    assert few["threshold"]["target_fmr"] == 0.001
    assert "operating points for 0.001 at best" in problem(
        requests.post(f"{url}/v1/search", files={"photo": file(picture())}, data={"target_fpir": "0.001"}), 422, "operating-point"
    )
    both = {"target_fpir": "0.1", "target_fmr": "0.01"}
    assert "not both" in problem(requests.post(f"{url}/v1/search", files={"photo": file(picture())}, data=both), 422, "parameters")
    for form in ("NFC", "NFD"):
        listed = requests.get(f"{url}/v1/subjects/{unicodedata.normalize(form, name)}").json()
        assert listed["references"] == enrolled.json()["enrolled"]
    assert requests.delete(f"{url}/v1/subjects/{name}").status_code == 204
    for answer in (requests.get(f"{url}/v1/subjects/{name}"), requests.delete(f"{url}/v1/subjects/{name}")):
        assert problem(answer, 404, "subject") == "Subject not enrolled."
    assert requests.delete(f"{url}/v1/subjects/Berta").status_code == 204


def test_people_are_renamed_and_merged_and_lose_a_reference(url):
    pictures = [picture(), picture(180, 20, 20, 20)]
    subject = f"{url}/v1/subjects/Anna"
    enrolled = requests.post(subject, files=[("photos", file(one)) for one in pictures]).json()["enrolled"]
    again = requests.post(subject, files=[("photos", file(one)) for one in pictures])
    assert (again.status_code, again.json()["enrolled"], again.json()["references"]) == (201, [], enrolled)
    assert requests.delete(subject, params={"reference": enrolled[0]}).status_code == 204
    assert requests.get(subject).json()["references"] == enrolled[1:]
    problem(requests.delete(subject, params={"reference": enrolled[1]}), 409, "conflict")
    problem(requests.delete(subject, params={"reference": "999"}), 404, "subject")
    requests.post(f"{url}/v1/subjects/Berta", files={"photos": file(picture(*OTHER))})
    problem(requests.patch(subject, json={"name": "Berta"}), 409, "conflict")
    assert requests.patch(subject, json={"name": "Clara"}).json()["name"] == "Clara"
    problem(requests.get(subject), 404, "subject")
    merged = requests.patch(f"{url}/v1/subjects/Clara", json={"into": "Berta"}).json()
    assert (merged["name"], len(merged["references"])) == ("Berta", 2)
    for change in ({}, {"name": "a", "into": "b"}, {"name": ""}, {"other": "a"}, []):
        problem(requests.patch(f"{url}/v1/subjects/Berta", json=change), 422, "parameters")
    assert requests.delete(f"{url}/v1/subjects/Berta").status_code == 204


@pytest.mark.parametrize("name", [" ", "a%07b", "x" * 201, "a%00b", "a%E2%80%AEb"])
def test_invalid_names_are_refused(url, name):
    answer = requests.get(f"{url}/v1/subjects/{name}")
    assert "name" in problem(answer, 422, "parameters")


def test_a_service_without_a_gallery_says_how_to_get_one():
    with running(service_of()) as url:
        assert "--gallery" in problem(requests.get(f"{url}/v1/subjects"), 404, "no-gallery")
        assert not requests.get(f"{url}/v1/model").json()["gallery"]


@pytest.mark.parametrize(
    ("files", "data", "status", "code", "says"),
    [
        ({"first": file(picture())}, {}, 400, "form", "lacks a photo in second"),
        ({**pair(), "third": file(picture())}, {}, 400, "form", "The fields are first, second"),
        ([("first", file(picture()))] * 2, {}, 400, "form", "first more than once"),
        (pair(), {"path": "/etc/passwd"}, 400, "form", "Unknown form field"),
        (pair(), {"aligned": "perhaps"}, 422, "parameters", "aligned"),
        (pair(), {"prior": "1"}, 422, "parameters", "prior"),
        (pair(), {"face": "x" * 500}, 413, "size", "The field face has more than 200 bytes"),
        (pair(b"<svg xmlns='http://www.w3.org/2000/svg'/>"), {}, 415, "image-format", "first: unsupported image format"),
        (pair(picture(kind="GIF")), {}, 415, "image-format", "first: unsupported image format"),
        (pair(b"RIFF\0\0\0\0AVI LIST"), {}, 415, "image-format", "first: unsupported image format"),
        ({"first": file(picture()), "second": file(b"")}, {}, 422, "photo", "second: the file is empty"),
        (pair(picture()[:60]), {}, 422, "photo", "first: damaged or truncated"),
    ],
)
def test_an_invalid_form_is_refused(url, files, data, status, code, says):
    assert says in problem(requests.post(f"{url}/v1/verify", files=files, data=data), status, code)


@pytest.mark.parametrize(
    ("body", "kind", "status", "code"),
    [
        (b'{"first": "/etc/passwd"}', "application/json", 415, "media-type"),
        (b"first=http%3A%2F%2Flocalhost", "application/x-www-form-urlencoded", 415, "media-type"),
        (b"", "multipart/form-data", 415, "media-type"),
        (b"nonsense", "multipart/form-data; boundary=x", 400, "form"),
        (b'--x\r\nContent-Disposition: form-data; name="first"\r\n', "multipart/form-data; boundary=x", 400, "form"),
        (b"--x--\r\n", "multipart/form-data; boundary=x", 400, "form"),
    ],
)
def test_a_malformed_body_is_refused(url, body, kind, status, code):
    problem(requests.post(f"{url}/v1/verify", data=body, headers={"Content-Type": kind}), status, code)


def multipart(*parts):
    """A request body, and its headers."""
    body = b"".join(
        b"--x\r\n"
        + "\r\n".join([f'Content-Disposition: form-data; name="{name}"{more}', *headers]).encode()
        + b"\r\n\r\n"
        + data
        + b"\r\n"
        for name, more, headers, data in parts
    )
    return {"data": body + b"--x--\r\n", "headers": {"Content-Type": "multipart/form-data; boundary=x"}}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize(
    "declared",
    [
        None,
        "",
        "application/octet-stream",
        "image/jpg",
        "image/jpeg; charset=binary",
        "IMAGE/PNG",
        "image/webp",
        "text/html",
        "image/svg+xml",
        "x",
        "a" * 500,
    ],
)
@pytest.mark.parametrize("name", ['; filename="a.webp"', '; filename="photo"', ""])
def test_the_content_of_a_photo_counts_and_not_its_declared_type_or_name(url, kind, declared, name):
    headers = [] if declared is None else [f"Content-Type: {declared}"]
    photos = [(field, name, headers, picture(kind=kind)) for field in ("first", "second")]
    answer = requests.post(f"{url}/v1/verify", **multipart(*photos))
    assert answer.status_code == 200 and answer.json()["same"], answer.text


def test_photos_are_sent_as_requests_and_curl_do_by_default(url, tmp_path):
    path = tmp_path / "a.webp"
    path.write_bytes(picture(kind="WEBP"))
    with path.open("rb") as first, path.open("rb") as second:
        assert requests.post(f"{url}/v1/verify", files={"first": first, "second": second}).json()["same"]
    if shutil.which("curl"):
        command = ["curl", "-sS", "-F", f"first=@{path}", "-F", f"second=@{path}", f"{url}/v1/verify"]
        assert json.loads(subprocess.run(command, capture_output=True, check=True).stdout)["same"]


def test_an_empty_or_unsupported_photo_of_many_costs_no_others(url):
    files = [("anchor", file(picture())), *(("photos", file(data)) for data in (b"", picture(), picture(kind="BMP")))]
    body = requests.post(f"{url}/v1/compare", files=files).json()
    assert [result["photo"] for result in body["results"]] == [1]
    assert {failure["photo"]: failure["reason"] for failure in body["failures"]} == {
        0: "photos 1: the file is empty",
        2: "photos 3: unsupported image format (BMP); send JPEG, PNG or WebP",
    }


PAGES = ["/", "/index.html", "/main.js", "/docs", "/swagger-ui.css"]
READ_ONLY = [*PAGES, "/healthz", "/readyz", "/metrics", "/openapi.json", "/v1/model", "/v1/subjects"]


@pytest.mark.parametrize("path", [*READ_ONLY, "/v1/subjects/Nobody", "/nothing", "/v1/nothing"])
def test_head_is_get_without_a_body(url, path):
    got, head = requests.get(url + path), requests.head(url + path)
    assert head.status_code == got.status_code
    assert head.content == b""
    assert head.headers.keys() == got.headers.keys()
    if path != "/metrics":  # its counters grow
        assert head.headers["content-length"] == str(len(got.content))


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        *((path, {"GET", "HEAD"}) for path in READ_ONLY),
        *((f"/v1/{name}", {"POST"}) for name in ("verify", "explain", "compare", "search")),
        ("/v1/subjects/Anna", {"GET", "HEAD", "POST", "PATCH", "DELETE"}),
        ("/v1/subjects/Anna/Berta", {"GET", "HEAD", "POST", "PATCH", "DELETE"}),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"])
def test_a_wrong_method_is_405_with_the_allowed_ones(url, path, allowed, method):
    answer = requests.request(method, url + path)
    if method in allowed:
        assert answer.status_code != 405
        return
    assert answer.status_code == 405
    assert set(answer.headers["allow"].split(", ")) == allowed
    if method != "HEAD":
        problem(answer, 405, "method-not-allowed")


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("path", ["/nothing", "/v1/nothing", "/page/main.js", "/redoc", "/redoc.standalone.js"])
def test_an_unknown_path_is_404_for_every_method(url, path, method):
    problem(requests.request(method, url + path), 404, "not-found")


def test_cross_origin_requests_are_off(url):
    preflight = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
    for answer in (
        requests.options(f"{url}/v1/verify", headers=preflight),
        requests.post(f"{url}/v1/verify", files=pair(), headers={"Origin": "http://evil.example"}),
        requests.post(f"{url}/v1/verify", files=pair(), headers={"Origin": url}),
    ):
        assert not [name for name in answer.headers if name.lower().startswith("access-control-")]


def test_a_body_of_unknown_length_is_refused(url):
    problem(requests.post(f"{url}/v1/verify", data=iter([b"a", b"b"])), 411, "length")


def test_requests_beyond_the_limits_are_refused():
    limits = ServiceLimits(rate=None, photo_bytes=1000, photo_pixels=5000, photos=2, request_bytes=20_000)
    with running(service_of(limits=limits)) as url:
        big = requests.post(f"{url}/v1/verify", files=pair(b"\x89PNG\r\n\x1a\n" + bytes(2000)))
        assert "first has more than 1,000 bytes" in problem(big, 413, "size")
        wide = requests.post(f"{url}/v1/verify", files=pair(picture(side=100)))
        assert "100 x 100 pixels" in problem(wide, 422, "photo")
        many = [("anchor", file(picture())), *[("photos", file(picture()))] * 2]
        assert "more than 2 photos" in problem(requests.post(f"{url}/v1/compare", files=many), 413, "size")
        assert "30,000 bytes" in problem(requests.post(f"{url}/v1/verify", data=bytes(30_000)), 413, "size")


def test_every_response_has_the_security_headers(url):
    for path in ("/", "/healthz", "/v1/model", "/v1/nothing", "/nothing"):
        headers = requests.get(url + path).headers
        assert {name: headers[name] for name in SECURITY_HEADERS} == SECURITY_HEADERS
        assert len(headers["x-request-id"]) == 32
        assert "server" not in headers
        assert headers["cache-control"] == ("no-store" if path.startswith("/v1/") else "no-cache")
    assert "unsafe" not in SECURITY_HEADERS["Content-Security-Policy"]


def test_pages_of_other_sites_are_refused(url):
    host = url.removeprefix("http://")
    origins = [
        "http://evil.example",
        "null",
        "",
        "http://",
        "http://[::1",
        "http://[::1]x",
        "http://\xbd/",
        "://",
        host,
        f"http://{host}.",
    ]
    for headers in (*({"Origin": origin} for origin in origins), {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "x"}):
        for path in ("/v1/subjects/Anna", "/v1/model"):
            problem(requests.delete(url + path, headers=headers), 403, "origin")
    for headers in ({"Origin": f"http://{host}"}, {"Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}):
        problem(requests.delete(f"{url}/v1/subjects/Anna", headers=headers), 404, "subject")
    assert requests.get(url, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 200  # others may link to the page


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "evil.example:8000", "[", "", "127.0.0.1@evil.example"])
def test_other_hosts_are_refused(url, host):
    for path in ("/", "/healthz", "/v1/model"):
        problem(requests.get(url + path, headers={"Host": host}), 421, "host")


def test_logs_and_metrics_hold_no_names(url, caplog):
    caplog.set_level(logging.DEBUG)
    requests.post(f"{url}/v1/subjects/Cassandra", files={"photos": ("Dora.png", picture(), "image/png")})
    requests.get(f"{url}/v1/subjects/Cassandra", params={"after": "Emma"})
    requests.delete(f"{url}/v1/subjects/Cassandra")
    requests.get(f"{url}/Cassandra")
    ours = [record.getMessage() for record in caplog.records if record.name.startswith(("visavis", "uvicorn"))]
    assert any("POST /v1/subjects/{name} 201" in line for line in ours)
    recorded = "\n".join(ours) + requests.get(f"{url}/metrics").text
    assert not re.search("Cassandra|Dora|Emma", recorded)
    assert 'visavis_requests_total{method="DELETE",route="/v1/subjects/{name}",status="204"}' in recorded
    assert "visavis_batch_faces_count" in recorded


class Faulty(Quarters):
    """An encoder that fails on request."""

    broken = []

    def embed(self, faces):
        if self.broken:
            raise RuntimeError(self.broken[0])
        return super().embed(faces)


def test_an_internal_error_does_not_disclose_its_message(caplog):
    with running(service_of(encoder=Faulty())) as url:
        Faulty.broken.append("Anna's face broke it")
        try:
            detail = problem(requests.post(f"{url}/v1/verify", files=pair()), 500, "internal")
        finally:
            Faulty.broken.clear()
        assert "Anna" not in detail + caplog.text
        assert "RuntimeError" in caplog.text and "engine.py" in caplog.text
        assert requests.post(f"{url}/v1/verify", files=pair()).status_code == 200


def test_a_gallery_error_does_not_disclose_its_file(tmp_path, caplog, monkeypatch):
    gallery = open_gallery(tmp_path / "test.gallery", Quarters())

    def broken(**options):
        raise DamagedGalleryError(f"{tmp_path}: damaged")

    monkeypatch.setattr(gallery, "subjects", broken)
    with running(service_of(gallery=gallery)) as url:
        answer = requests.get(f"{url}/v1/subjects")
        assert str(tmp_path) not in problem(answer, 503, "gallery") + caplog.text
        assert answer.headers["retry-after"] == "1" and "DamagedGalleryError" in caplog.text


def test_a_request_that_takes_too_long_times_out():
    with running(service_of(limits=ServiceLimits(rate=None, seconds=0.000001))) as url:
        answer = requests.post(f"{url}/v1/verify", files=pair())
        problem(answer, 503, "timeout")
        assert answer.headers["retry-after"] == "1"


def test_the_rate_of_a_client_is_limited():
    with running(service_of(limits=ServiceLimits(rate=60))) as url:
        answers = [requests.get(f"{url}/v1/model") for _ in range(12)]
        assert [answer.status_code for answer in answers[:10]] == [200] * 10
        problem(answers[-1], 429, "rate")
        assert answers[-1].headers["retry-after"] == "1"
        assert requests.get(f"{url}/healthz").status_code == 200


@pytest.mark.real_faces
def test_faces_are_found_in_whole_photos(lfw_archive):
    with tarfile.open(lfw_archive) as tar:
        photos = [tar.extractfile(f"lfw-deepfunneled/George_W_Bush/George_W_Bush_000{number}.jpg").read() for number in (1, 2)]
    two = Image.fromarray(np.concatenate([read_image(photo) for photo in photos], axis=1))
    both = io.BytesIO()
    two.save(both, "JPEG", quality=95)
    with running(service_of(encoder=load_encoder())) as url:
        files = {name: file(photo, kind="image/jpeg") for name, photo in zip(("first", "second"), photos, strict=True)}
        body = requests.post(f"{url}/v1/verify", files=files).json()
        assert body["same"] and all(face["score"] > 0.8 for face in body["faces"])
        left, top, width, height = body["faces"][0]["box"]
        (first_x, first_y), _, (last_x, last_y), _ = body["faces"][0]["outline"]
        assert first_x < left + width / 2 < last_x and first_y < top + height / 2 < last_y
        files["first"] = file(both.getvalue(), kind="image/jpeg")
        assert "1 other face in the photo" in requests.post(f"{url}/v1/verify", files=files).json()["warnings"][0]
        refused = requests.post(f"{url}/v1/verify", files=files, data={"face": "error"})
        assert problem(refused, 422, "several-faces").startswith("first: 2 faces")
        blank = requests.post(f"{url}/v1/verify", files=pair(picture(side=200), picture(side=200)))
        assert problem(blank, 422, "face").startswith("first: no face")


OPEN = {("/healthz", "get"), ("/readyz", "get")}
SCOPES = {
    ("/metrics", "get"): "admin",
    ("/v1/subjects", "get"): "list",
    ("/v1/subjects/{name}", "get"): "list",
    ("/v1/subjects/{name}", "post"): "write",
    ("/v1/subjects/{name}", "delete"): "write",
    ("/v1/subjects/{name}", "patch"): "write",
    ("/v1/embed", "post"): "embed",
}
EITHER = {("/v1/model", "get"), ("/v1/detect", "post")}  # also with a key for embeddings


class Whole:
    """A face detector that takes every photo for one face."""

    def detect(self, photo):
        side = min(photo.shape[:2])
        return [Face(np.array([0.0, 0, side, side]), CANONICAL_LANDMARKS * side / 112, 0.5)]


def test_a_service_uses_the_detector_and_the_limits_it_is_given(generated_photo):
    content = io.BytesIO()
    Image.fromarray(generated_photo).save(content, "PNG")
    photos = pair(content.getvalue(), content.getvalue())
    side = float(len(generated_photo))
    with running(service_of(encoder=load_encoder(), finder=Whole())) as url:
        assert requests.post(f"{url}/v1/verify", files=photos).json()["faces"][0]["box"] == [0.0, 0.0, side, side]
    with running(service_of(encoder=load_encoder(), finder=FaceFinder(min_face=290))) as url:
        assert "no face was found" in problem(requests.post(f"{url}/v1/verify", files=photos), 422, "face")
    limits = ServiceLimits.for_photos(Limits(max_pixels=1000), rate=None)
    with running(service_of(encoder=load_encoder(), limits=limits)) as url:
        response = requests.post(f"{url}/v1/verify", files=photos)
        assert "300 x 300 pixels are more than the limit of 1,000" in problem(response, 422, "photo")


def test_no_route_answers_without_the_right_key(tmp_path):
    store = KeyStore(tmp_path / "keys.db", create=True)
    keys = {scope: store.create(scope, scope) for scope in (*ORDERED_SCOPES, "embed")}
    revoked = store.create("gone", "admin")
    store.revoke(revoked.split("_")[1])
    gallery = open_gallery(tmp_path / "test.gallery", Quarters())
    with running(service_of(keys=store, gallery=gallery)) as url:
        files = {"photos": file(picture())}
        enrolled = requests.post(f"{url}/v1/subjects/Anna", files=files, headers={"Authorization": f"Bearer {keys['write']}"})
        assert enrolled.status_code == 201
        paths = requests.get(f"{url}/openapi.json").json()["paths"]
        walked = 0
        for path, methods in paths.items():
            for method in methods:
                if (path, method) in OPEN:
                    continue
                walked += 1
                needed = SCOPES.get((path, method), "decide")

                def ask(token, path=path, method=method):
                    headers = {"Authorization": token} if token else {}
                    return requests.request(method, url + path.format(name="Anna"), headers=headers)

                for token in (
                    None,
                    "Bearer",
                    "Bearer x",
                    f"Bearer {keys['admin'][:-1]}",
                    f"Bearer {revoked}",
                    f"Basic {keys['admin']}",
                ):
                    answer = ask(token)
                    problem(answer, 401, "key")
                    assert answer.headers["www-authenticate"].startswith("Bearer")
                lower = ORDERED_SCOPES if needed == "embed" else ORDERED_SCOPES[: ORDERED_SCOPES.index(needed)]
                for scope in lower if needed == "embed" or (path, method) in EITHER else (*lower, "embed"):
                    assert needed in problem(ask(f"Bearer {keys[scope]}"), 403, "scope")
                if method != "delete":
                    assert ask(f"Bearer {keys[needed]}").status_code in (200, 411, 415, 422)
        assert walked >= 11
        assert len(gallery) == 1


def test_the_docs_list_every_problem():
    listed = set(re.findall(r"^\| (\d{3}) \| `([a-z-]+)` \|", DOCS.read_text(), re.MULTILINE))
    assert listed == {(str(problem.status), problem.code) for problem in PROBLEMS.values()}


def test_the_docs_list_every_route(url):
    text = DOCS.read_text()
    listed = {(path, method.lower()) for method, path in re.findall(r"`(GET|POST|PATCH|DELETE) (/[\w/{}]+)`", text)}
    described = requests.get(f"{url}/openapi.json").json()["paths"]
    assert listed == {(path, method) for path, methods in described.items() for method in methods}
    for path, method in listed - OPEN:
        scope = "decide or embed" if (path, method) in EITHER else SCOPES.get((path, method), "decide")
        assert re.search(rf"^\| `{method.upper()} {path}` \| {scope} \|", text, re.MULTILINE)
