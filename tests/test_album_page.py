"""The review page of an album, served: people are named, merged, split and rejected in a browser; other sites can do nothing."""

import contextlib
import queue
import shutil
import threading

import pytest

pytest.importorskip("fastapi", reason="the service needs the extra serve")

import requests
from commands import call
from serving import LOOPBACK
from test_albums import FindsUpright

from visavis.albums.naming import read_names
from visavis.albums.reading import ReadingSettings
from visavis.albums.reviewing import AlbumReview
from visavis.albums.source import AlbumSource
from visavis.errors import DataError
from visavis.faces import AcquisitionSettings
from visavis.service.access import Access
from visavis.service.albums import AlbumService, create_album_app, serve_album
from visavis.service.server import ServiceSettings, server_of

CHROMIUM = shutil.which("chromium")


@pytest.fixture
def review(party, aligned_run, tmp_path):
    """The open album of the party."""
    settings = ReadingSettings(str(aligned_run), AcquisitionSettings(finder=FindsUpright()), workers=1, thumbnails=True)
    return AlbumReview(tmp_path / "album", settings=AlbumSource.of(party, 0.99, settings))


@contextlib.contextmanager
def served(review):
    service, addresses = AlbumService(review, Access(LOOPBACK)), queue.Queue()
    settings = ServiceSettings(port=0, limits=service.limits)
    server = server_of(create_album_app(service), settings, started=addresses.put)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield addresses.get(timeout=60).rstrip("/")
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture
def url(review):
    with served(review) as address:
        yield address


@pytest.fixture
def visit(url):
    """Open the page; at the end, check that it logged no error and sent requests to no other host."""
    api = pytest.importorskip("playwright.sync_api", reason="the page is tested through playwright")
    if CHROMIUM is None:
        pytest.skip("needs Chromium, such as Debian's package chromium")
    errors, hosts = [], set()
    with api.sync_playwright() as player:
        browser = player.chromium.launch(executable_path=CHROMIUM, args=["--headless", "--no-sandbox", "--disable-gpu"])

        def open_page(*, fails=False, **options):
            page = browser.new_context(**options).new_page()
            page.set_default_timeout(20_000)
            page.on("pageerror", lambda error: errors.append(str(error)))
            page.on("console", lambda line: errors.append(line.text) if line.type == "error" and not fails else None)
            page.on("request", lambda request: hosts.add(request.url.split("/")[2]))
            page.goto(f"{url}/")
            return page

        yield open_page
        browser.close()
    assert not errors and hosts == {url.split("/")[2]}


def section_of(page, face):
    return page.locator("[data-group]").filter(has=page.locator(f'[data-face="{face}"]'))


def faces_in(section):
    return section.locator("[data-face]").evaluate_all("all => all.map((node) => node.dataset.face)")


def save(page):
    page.click("#save")
    page.wait_for_selector("#state:has-text('saved')")


def test_people_are_named_merged_split_and_rejected(visit, review):
    page = visit()
    assert sorted(faces_in(page.locator("body"))) == sorted(review.album.faces.keys)
    assert page.locator(".faces img").evaluate_all("all => all.every((image) => image.complete && image.naturalWidth > 0)")
    for face in ("a.png#1", "late/c.png#2", "b.png#1"):
        page.click(f'[data-face="{face}"]')
        page.fill("#who", "Berta" if face == "b.png#1" else "Anna")
        page.press("#who", "Enter")
    assert "3 faces to save" in page.inner_text("#state")
    save(page)
    anna = section_of(page, "a.png#1")
    assert {"a.png#1", "late/c.png#2"} <= set(faces_in(anna)) and anna.locator("input").input_value() == "Anna"
    assert section_of(page, "b.png#1").locator("input").input_value() == "Berta"
    assert len(list((review.folder / "people" / "Anna").iterdir())) >= 2 and "visavis find" in page.inner_text("body")
    section_of(page, "b.png#1").locator("input").fill("Anna")  # merge: Berta is Anna
    page.press(".bar #who", "Tab")
    save(page)
    assert {"a.png#1", "late/c.png#2", "b.png#1"} <= set(faces_in(section_of(page, "a.png#1")))
    assert not list((review.folder / "people" / "Berta").glob("*"))
    page.click('[data-face="late/c.png#2"]')  # split
    page.fill("#who", "Clara")
    page.click("#give")
    page.click('[data-face="b.png#1"]')  # reject
    page.click("#reject")
    assert "not in the album" in page.inner_text('[data-face="b.png#1"]')
    save(page)
    assert section_of(page, "late/c.png#2").locator("input").input_value() == "Clara"
    assert "Not in the album" in section_of(page, "b.png#1").inner_text() and "not in the album: 1 face" in page.inner_text("body")
    page.click('[data-face="late/c.png#2"]')
    page.click("#clear")
    save(page)
    names = read_names(review.folder / "names.csv")
    assert names.people["a.png#1"] == "Anna" and "late/c.png#2" not in names.people and names.rejected == {"b.png#1"}
    assert (review.folder / "names.csv").stat().st_mode & 0o777 == 0o600
    assert 'value="Anna"' in (review.folder / "index.html").read_text()  # the page without a server follows


@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_fits(visit, width):
    page = visit(viewport={"width": width, "height": 800}, color_scheme="dark" if width == 390 else "light")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    for control in page.locator(".bar button, .bar input, section input").all():
        box = control.bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= width
        assert control.evaluate("node => (node.labels?.[0] ?? node).textContent || node.ariaLabel").strip()


def test_what_cannot_be_saved_is_reported_and_can_be_saved_later(visit, review):
    page = visit(fails=True)
    for name in ("../Anna", "Anna"):
        page.click('[data-face="a.png#1"]')
        page.fill("#who", name)
        page.click("#give")
        if name == "Anna":
            page.route("**/v1/names", lambda route: route.abort())
        page.click("#save")
        message = "it must have no /" if name == "../Anna" else "visavis serve does not answer; nothing was saved"
        page.wait_for_selector(f"#state:has-text('{message}')")
        assert page.is_enabled("#save") and not (review.folder / "names.csv").exists()
    page.unroute("**/v1/names")
    save(page)
    assert read_names(review.folder / "names.csv").people == {"a.png#1": "Anna"}


def test_other_sites_and_hosts_cannot_save(url, review):
    names = {"names": {"a.png#1": "Anna"}}
    cases = [
        (421, {"Host": "evil.example"}, {"json": names}),
        (403, {"Origin": "http://evil.example"}, {"json": names}),
        (403, {"Sec-Fetch-Site": "cross-site"}, {"json": names}),
        (415, {}, {"data": {"names": "Anna"}}),
        (415, {"Content-Type": "text/plain"}, {"data": '{"names": {"a.png#1": "Anna"}}'}),
        (400, {}, {"json": {"names": {"a.png#9": "Anna"}}}),
        (400, {}, {"json": {"names": {"a.png#1": "../Anna"}}}),
        (400, {}, {"json": {"names": ["a.png#1"]}}),
        (400, {"Content-Type": "application/json"}, {"data": "[" * 100_000}),
        (413, {"Content-Type": "application/json"}, {"data": b" " * 16_000_001}),
    ]
    for status, headers, body in cases:
        response = requests.post(f"{url}/v1/names", headers=headers, timeout=60, **body)
        assert response.status_code == status and response.json()["detail"], (status, response.text)
    assert requests.get(f"{url}/v1/names", timeout=60).status_code == 405
    assert not (review.folder / "names.csv").exists() and not any(review.album.names)
    assert requests.post(f"{url}/v1/names", json=names, timeout=60).status_code == 200
    assert read_names(review.folder / "names.csv").people["a.png#1"] == "Anna"


def test_only_the_page_and_pictures_of_faces_are_served(url):
    page = requests.get(f"{url}/", timeout=60)
    policy = page.headers["Content-Security-Policy"]
    assert "script-src 'sha256-" in policy and "unsafe" not in policy and page.headers["X-Content-Type-Options"] == "nosniff"
    assert requests.get(f"{url}/thumbnails/0", timeout=60).content.startswith(b"\xff\xd8")
    for path in ("/thumbnails/99", "/thumbnails/-1", "/names.csv", "/thumbnails/../names.csv", "/.faces/plan.json", "/docs"):
        assert requests.get(f"{url}{path}", timeout=60).status_code == 404


def test_an_album_is_served_to_this_machine_only(tmp_path, capsys):
    with pytest.raises(ValueError, match=r"host must be a loopback address, got 0\.0\.0\.0"):
        serve_album(tmp_path, host="0.0.0.0", started=print)  # noqa: S104
    code, _, err = call(capsys, "serve", "--album", tmp_path, "--host", "192.0.2.1")
    assert code == 2 and "host must be a loopback address, got 192.0.2.1" in err
    code, _, err = call(capsys, "serve", "--album", tmp_path, "--gallery", "door.gallery", "--allow-host", "a.example")
    assert code == 2 and "--album takes --host and --port only, got --gallery, --allow-host" in err
    code, _, err = call(capsys, "serve", "--album", tmp_path, "--port", 0)
    assert code == 2 and f"{tmp_path}: not an album. Make one with: visavis sort PHOTOS --out {tmp_path}" in err


def test_an_album_is_opened_again_with_what_it_was_sorted_from(review, party, tmp_path):
    source = AlbumSource.read(review.folder)
    assert (source.photos, source.precision) == (str(party), 0.99)
    review.save({"a.png#1": "Anna"})
    settings = AlbumSource.of(party, 0.99, review._settings)
    again = AlbumReview(review.folder, settings=settings)
    assert list(again.album.names) == list(review.album.names) and "Anna" in again.album.names
    (review.folder / "album.json").write_text("{}")
    with pytest.raises(DataError, match=r"album\.json: damaged"):
        AlbumSource.read(review.folder)
