"""The service page in a real browser: mouse, keyboard and camera, dark and light, narrow and wide, no requests to other hosts."""

import io
import shutil
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="the service needs the extra serve")
pytest.importorskip("playwright.sync_api", reason="the page is tested through playwright")

import requests
from PIL import Image
from playwright.sync_api import sync_playwright
from serving import Quarters, Tiles, group, picture, running, service_of

from visavis.gallery import open_gallery
from visavis.metrics.histograms import ScoreHistogram
from visavis.service.keys import KeyStore
from visavis.service.limits import ServiceLimits

CHROMIUM = shutil.which("chromium")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --use-fake-ui-for-media-stream --use-fake-device-for-media-stream"
)
OTHER = (20, 20, 20, 200)

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium, such as Debian's package chromium")


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as player:
        started = player.chromium.launch(executable_path=CHROMIUM, args=FLAGS.split())
        yield started
        started.close()


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    gallery = open_gallery(tmp_path_factory.mktemp("gallery") / "test.gallery", Quarters())
    with running(service_of(gallery=gallery)) as address:
        yield address


@pytest.fixture
def visit(browser):
    """Open the page; at the end, check that it logged no error and sent requests to no other host."""
    contexts, errors, hosts = [], [], set()

    def open_page(address, *, fails=False, ready="#views:visible, #key-form:visible", **options):
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda line: errors.append(line.text) if line.type == "error" and not fails else None)
        page.on("request", lambda request: hosts.add(request.url.split("/")[2]) if request.url.startswith("http") else None)
        page.goto(address)
        page.wait_for_selector(ready)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not errors
    assert len(hosts) == 1


def photo(*levels, name="photo.png", **settings):
    return {"name": name, "mimeType": "image/png", "buffer": picture(*levels, **settings)}


def broken(name="broken.png", content=b"no photo"):
    return {"name": name, "mimeType": "image/png", "buffer": content}


def choose(page, slot, *photos):
    page.set_input_files(f"#{slot} input", list(photos))


def text_of(page, selector):
    return page.inner_text(selector).replace("\u00a0", " ")


def test_two_faces_are_compared_and_the_score_is_explained(visit, url):
    page = visit(url)
    choose(page, "first", photo())
    choose(page, "second", photo())
    page.wait_for_selector("#verify-result .decision:text('Same person')")
    result = text_of(page, "#verify-result")
    assert "The score 1.000 reaches the threshold 0.950." in result
    assert "False match rate: 1 % of 1,000 pairs of different people, at most 2 % with 95 % confidence." in result
    assert "False non-match rate: 10 % of 200 pairs of the same person. Measured on 50 test people." in result
    assert "Probability of the same person: 99.32 %, given a prior of 50 %." in result
    assert page.get_attribute("#verify-result svg.chart", "aria-label").startswith("Score 1.000, threshold 0.950")
    assert page.locator("#verify-result .chart path").count() == 2
    assert page.locator("#verify-result canvas").count() == 2
    page.click("#explain")
    page.wait_for_selector("#explanation canvas")
    assert "raises the score" in page.inner_text("#explanation")
    choose(page, "second", photo(*OTHER))
    page.wait_for_selector("#verify-result .decision:text('Different people')")
    assert page.inner_text("#explanation") == ""
    page.click("#second .clear")
    page.wait_for_selector("#verify-result .decision", state="detached")


def test_a_stricter_target_changes_the_decision(visit, url):
    page = visit(url)
    choose(page, "first", photo())
    choose(page, "second", photo(200, 50, 20, 20))
    page.wait_for_selector("#verify-result .decision:text('Same person')")
    page.select_option("#target-fmr", label="1 in 1,000")
    page.wait_for_selector("#verify-result .decision:text('Different people')")


HEIC = b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic"


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (broken("a.png"), "a.png: this file cannot be read as a photo."),
        (broken("b.jpg", b""), "b.jpg: the file is empty."),
        (broken("c.HEIC", HEIC), "c.HEIC: this browser cannot open HEIC photos. Save the photo as JPEG"),
        (broken("d.jpg", HEIC), "d.jpg: this browser cannot open HEIC photos."),
    ],
    ids=["no photo", "empty", "HEIC", "HEIC named as JPEG"],
)
def test_an_unreadable_file_has_a_message_and_removes_the_earlier_result(visit, url, file, message):
    page = visit(url)
    choose(page, "first", photo())
    choose(page, "second", photo())
    page.wait_for_selector("#verify-result .decision")
    choose(page, "second", file)
    page.wait_for_selector("#second .problem:visible")
    assert message in page.inner_text("#second .problem")
    assert page.inner_text("#verify-result") == "" and page.is_hidden("#explain-panel")
    choose(page, "second", photo(*OTHER))
    page.wait_for_selector("#verify-result .decision:text('Different people')")
    assert page.is_hidden("#second .problem")


@pytest.mark.parametrize(
    ("tab", "slots", "route", "result"),
    [
        ("verify", ("first", "second"), "verify", "#verify-result"),
        ("compare", ("anchor", "others"), "compare", "#compare-result"),
        ("gallery", ("probe",), "search", "#search-result"),
    ],
)
def test_an_error_of_the_service_replaces_the_earlier_result(visit, url, tab, slots, route, result):
    page = visit(url, fails=True)
    page.click(f"#tab-{tab}")
    for slot in slots:
        choose(page, slot, photo())
    page.wait_for_selector(f"{result} .hint:not([aria-busy=true] *)")
    page.route(f"**/v1/{route}", lambda request: request.abort())
    choose(page, slots[-1], photo(*OTHER))
    page.wait_for_selector(f"{result} .warn:text('does not respond')")
    assert page.locator(f"{result} > *").count() == 1


def test_a_late_response_to_earlier_photos_is_dropped(visit, url):
    page = visit(url)
    pending = []
    page.route("**/v1/verify", lambda route: pending.append(route))
    choose(page, "first", photo())
    choose(page, "second", photo(*OTHER))
    page.wait_for_selector("#verify-result[aria-busy]")
    choose(page, "second", photo())
    page.wait_for_function("() => document.querySelector('#second img').alt.includes('photo.png')")
    while len(pending) < 2:
        page.wait_for_timeout(20)
    pending[1].continue_()
    page.wait_for_selector("#verify-result .decision:text('Same person')")
    pending[0].continue_()
    page.wait_for_timeout(300)
    assert page.inner_text("#verify-result .decision") == "Same person"


def test_a_photo_is_dropped_and_one_is_taken_with_the_camera(visit, url):
    page = visit(url, permissions=["camera"])
    page.evaluate(
        """async () => {
            const canvas = Object.assign(document.createElement("canvas"), { width: 64, height: 64 });
            canvas.getContext("2d").fillRect(0, 0, 32, 32);
            const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/bmp"));
            const transfer = new DataTransfer();
            for (const name of ["a.png", "b.png"]) transfer.items.add(new File([blob], name, { type: "image/gif" }));
            document.querySelector("#first .drop").dispatchEvent(new DragEvent("drop", { dataTransfer: transfer }));
        }"""
    )
    page.wait_for_selector("#first .problem:text('1 photo left out: at most 1 photo here.')")
    assert page.get_attribute("#first img", "alt") == "photo: a.png"
    page.click("#second .take")
    page.click("#camera [value=take]:not([disabled])")
    page.wait_for_selector("#verify-result .decision")
    assert page.locator("#camera").count() == 0


def test_a_cancelled_camera_takes_no_photo_and_can_be_opened_again_at_once(visit, url):
    page = visit(url, permissions=["camera"])
    page.focus("#first .take")
    page.keyboard.press("Enter")
    page.wait_for_selector("#camera[open]")
    page.keyboard.press("Escape")
    page.focus("#first .take")
    page.keyboard.press("Enter")
    page.click("#camera[open] [value=take]:not([disabled])")
    page.wait_for_selector("#first img")
    assert page.locator("#first img").count() == 1


@pytest.mark.parametrize("kind", ["GIF", "BMP"])
def test_a_photo_in_a_format_that_the_service_refuses_is_converted_whatever_its_name(visit, url, kind):
    page = visit(url)
    choose(page, "first", photo(kind=kind))
    choose(page, "second", photo())
    page.wait_for_selector("#verify-result .decision:text('Same person')")


def noise(side):
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def test_photos_that_exceed_the_limits_together_are_converted(visit):
    content = noise(600)
    with running(service_of(limits=ServiceLimits(rate=None, request_bytes=2 * len(content)))) as url:
        page = visit(url)
        page.click("#tab-compare")
        choose(page, "anchor", photo())
        choose(page, "others", *[broken(f"{number}.png", content) for number in range(3)])
        page.wait_for_selector("#compare-result li >> nth=2")


def test_one_is_compared_with_many(visit, url):
    page = visit(url)
    page.click("#tab-compare")
    choose(page, "anchor", photo())
    choose(page, "others", photo(*OTHER), photo(), photo(190, 20, 20, 20))
    page.wait_for_selector("#compare-result li >> nth=2")
    rows = page.locator("#compare-result li").all_inner_texts()
    assert [row.split("\n")[0] for row in rows] == ["Same person", "Same person", "Different people"]
    assert "photo 2" in rows[0] and "photo 1" in rows[2]


def test_one_photo_of_several_is_removed(visit, url):
    page = visit(url)
    page.click("#tab-compare")
    choose(page, "anchor", photo())
    choose(page, "others", photo(*OTHER, name="a.png"), photo(name="b.png"), photo(20, 200, 20, 20, name="c.png"))
    page.wait_for_selector("#compare-result li >> nth=2")
    page.get_by_role("button", name="Remove photo 2").click()
    page.wait_for_selector("#compare-result li >> nth=2", state="detached")
    page.wait_for_selector("#compare-result li >> nth=1")
    assert [image.get_attribute("alt") for image in page.locator("#others img").all()] == ["photo 1: a.png", "photo 2: c.png"]
    assert page.locator("#compare-result .same").count() == 0
    assert page.evaluate("document.activeElement.ariaLabel") == "Remove photo 2"
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    page.wait_for_selector("#others img", state="detached")
    assert page.inner_text("#compare-result") == ""
    assert page.evaluate("document.activeElement.type") == "file"


def test_a_photo_with_an_outlined_face_is_removed_with_the_mouse(visit, url):
    page = visit(url)
    page.click("#tab-compare")
    choose(page, "others", photo(side=200), photo(side=200))
    page.wait_for_selector("#others img >> nth=1")
    page.evaluate(
        """() => document.querySelector("#others").drawFaces(Array(2).fill(
            { size: [200, 200], box: [0, 0, 200, 200], outline: [[0, 0], [200, 0], [200, 200], [0, 200]] }))"""
    )
    assert page.locator("#others svg").count() == 2
    page.get_by_role("button", name="Remove photo 1").click(timeout=5000)
    page.wait_for_selector("#others img >> nth=1", state="detached")


def test_more_photos_than_the_service_compares_are_left_out_with_a_message(visit, url):
    page = visit(url)
    page.click("#tab-compare")
    choose(page, "anchor", photo())
    choose(page, "others", *[photo()] * 10)
    page.wait_for_selector("#others img >> nth=9")
    choose(page, "others", *[photo()] * 18)
    page.wait_for_selector("#others .problem:text('13 photos left out: at most 15 photos here.')")
    page.wait_for_selector("#compare-result li >> nth=14")
    assert page.locator("#others img").count() == 15
    page.get_by_role("button", name="Remove photo 15").click()
    page.wait_for_selector("#compare-result li >> nth=14", state="detached")
    assert page.is_hidden("#others .problem")
    page.click("#tab-gallery")
    choose(page, "enrol-photos", *[photo()] * 17)
    page.wait_for_selector("#enrol-photos .problem:text('1 photo left out: at most 16 photos here.')")


def test_an_unreadable_file_among_many_costs_no_others(visit, url):
    page = visit(url)
    page.click("#tab-compare")
    choose(page, "anchor", photo())
    choose(page, "others", photo(), broken("x.png"), photo(*OTHER))
    page.wait_for_selector("#others .problem:text('x.png: this file cannot be read as a photo.')")
    page.wait_for_selector("#compare-result li >> nth=1")
    assert page.locator("#others img").count() == 2


def test_bars_and_chart_span_the_range_of_the_histogram(visit):
    narrow = ScoreHistogram(-1.0, 1.0, (0, 0, 0, 0, 0, 0, 0, 0, 1, 9), (0, 0, 0, 0, 0, 0, 5, 3, 1, 0), "test people")
    encoder = Quarters(card=replace(Quarters().card, histogram=narrow))
    with running(service_of(encoder=encoder)) as url:
        page = visit(url)
        page.click("#tab-compare")
        choose(page, "anchor", photo())
        choose(page, "others", photo(), photo(200, 100, 20, 20), photo(*OTHER))
        page.wait_for_selector("#compare-result li >> nth=2")
        scores = [float(text.split("score ")[1]) for text in page.locator("#compare-result li .hint").all_inner_texts()]
        widths = [float(bar.get_attribute("width")) for bar in page.locator("#compare-result .meter rect").all()]
        assert scores[2] < 0.5
        for score, width in zip(scores, widths, strict=True):
            assert width == pytest.approx(100 * (score - 0.2) / 0.8 if scores[2] > 0.2 else 100 * score, abs=0.1)
        page.click("#tab-verify")
        choose(page, "first", photo())
        choose(page, "second", photo())
        page.wait_for_selector("#verify-result svg.chart")
        assert "on a scale from 0.2 to 1" in page.get_attribute("#verify-result svg.chart", "aria-label")


def enrol(page, name, *photos):
    page.fill("#enrol-name", name)
    choose(page, "enrol-photos", *photos)
    page.wait_for_selector("#enrol-photos img")
    page.click("#enrol-form > button")
    page.wait_for_selector("#enrol-result >> text=is enrolled")


def test_people_are_enrolled_found_and_deleted_by_keyboard(visit, url):
    page = visit(url)
    page.focus("#tab-verify")
    page.keyboard.press("ArrowLeft")
    assert page.get_attribute("#tab-gallery", "aria-selected") == "true"
    name = "<b>Anna</b> & Söhne"
    page.focus("#enrol-name")
    page.keyboard.type(name)
    choose(page, "enrol-photos", photo())
    page.wait_for_selector("#enrol-photos img")
    page.focus("#enrol-form > button")
    page.keyboard.press("Enter")
    page.wait_for_selector("#enrol-result >> text=is enrolled with 1 reference")
    choose(page, "probe", photo())
    page.wait_for_selector("#search-result .decision")
    assert page.inner_text("#search-result .decision") == name
    assert "a match in about 1 % of searches (FPIR with 1 subject)" in text_of(page, "#search-result")
    delete = page.get_by_role("button", name=f"Delete {name}")
    delete.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("#delete-dialog[open]")
    page.keyboard.press("Escape")
    assert page.inner_text("#subjects strong") == name
    delete.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector("#subjects-status >> text=is deleted")
    page.wait_for_selector("#subjects li", state="detached")


def test_a_confirmation_deletes_only_the_person_it_names(visit, url):
    """A dialog fires `close` late: one that was cancelled must not take the answer of the next."""
    page = visit(url)
    page.click("#tab-gallery")
    enrol(page, "Anna", photo())
    enrol(page, "Berta", photo(*OTHER))
    page.wait_for_selector("#subjects li >> nth=1")
    page.evaluate(
        """() => {
            const button = (name) => document.querySelector(`[aria-label="Delete ${name}"]`);
            const press = (value) => [...document.querySelectorAll(`#delete-dialog [value=${value}]`)].at(-1).click();
            button("Anna").click();
            press("cancel");
            button("Berta").click();
            press("delete");
        }"""
    )
    page.wait_for_selector("#subjects-status >> text=Berta is deleted.")
    page.wait_for_selector("#subjects li >> nth=1", state="detached")
    assert page.locator("#subjects strong").all_inner_texts() == ["Anna"]
    page.get_by_role("button", name="Delete Anna").click()
    page.click("#delete-dialog[open] [value=delete]")
    page.wait_for_selector("#subjects-status >> text=Anna is deleted.")


def test_a_problem_with_an_enrolment_removes_the_earlier_message(visit, url):
    page = visit(url, fails=True)
    page.click("#tab-gallery")
    enrol(page, "Dora", photo())
    page.fill("#enrol-name", "Emil")
    page.click("#enrol-form > button")
    page.wait_for_selector("#enrol-photos .problem:text('Choose at least one photo.')")
    assert page.inner_text("#enrol-result") == ""
    enrol(page, "Dora", photo())
    choose(page, "enrol-photos", broken())
    page.wait_for_selector("#enrol-photos .problem:text('cannot be read')")
    assert page.inner_text("#enrol-result") == ""
    page.get_by_role("button", name="Delete Dora").click()
    page.click("#delete-dialog[open] [value=delete]")
    page.wait_for_selector("#subjects-status >> text=is deleted")
    page.route("**/v1/subjects*", lambda route: route.abort())
    page.reload()
    page.click("#tab-gallery")
    page.wait_for_selector("#subjects-status .warn:text('The list cannot be loaded')")


def test_warnings_of_a_photo_are_shown_on_every_tab(visit, url):
    page, tiny, message = visit(url), photo(side=8), "small photo: 8 x 8 pixels"
    page.click("#tab-compare")
    choose(page, "anchor", tiny)
    choose(page, "others", photo())
    page.wait_for_selector(f"#compare-result .warn:text('Reference photo: {message}')")
    page.click("#tab-gallery")
    page.fill("#enrol-name", "Berta")
    choose(page, "enrol-photos", photo(), tiny)
    page.wait_for_selector("#enrol-photos img")
    page.click("#enrol-form > button")
    page.wait_for_selector(f"#enrol-result .warn:text('Photo 2: {message}')")
    choose(page, "probe", tiny)
    page.wait_for_selector(f"#search-result .warn:text('{message}')")
    page.get_by_role("button", name="Delete Berta").click()
    page.click("#delete-dialog[open] [value=delete]")
    page.wait_for_selector("#subjects-status >> text=is deleted")


def test_a_key_is_requested_and_gives_access(visit, tmp_path):
    store = KeyStore(tmp_path / "keys.db", create=True)
    key = store.create("page", "read")
    with running(service_of(keys=store)) as url:
        page = visit(url, fails=True)
        page.fill("#key", "vv_wrong")
        page.keyboard.press("Enter")
        page.wait_for_selector("#key-hint:text('valid key')")
        page.fill("#key", key)
        page.keyboard.press("Enter")
        page.wait_for_selector("#views")
        choose(page, "first", photo())
        choose(page, "second", photo())
        page.wait_for_selector("#verify-result .decision")
        page.click("#tab-gallery")
        assert "--gallery" in page.inner_text("#no-gallery")
        stored = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])")
        assert key not in stored and page.input_value("#key") == ""


def test_a_key_without_all_scores_searches_at_the_default_operating_point(visit, tmp_path):
    store = KeyStore(tmp_path / "keys.db", create=True)
    gallery = open_gallery(tmp_path / "test.gallery", Quarters())
    with running(service_of(keys=store, gallery=gallery)) as url:
        page = visit(url, fails=True)
        page.fill("#key", store.create("page", "read"))
        page.keyboard.press("Enter")
        page.wait_for_selector("#views")
        page.click("#tab-gallery")
        choose(page, "probe", photo())
        page.wait_for_selector("#search-result .decision")
        page.select_option("#target-fmr", label="1 in 1,000")
        page.wait_for_selector("#search-result .warn:text('requires a key for all scores')")


@pytest.mark.parametrize("with_gallery", [False, True])
def test_all_faces_of_a_group_photo_are_outlined_and_named(visit, tmp_path, with_gallery):
    anna, berta, cara = (200, 20, 20, 20), (20, 200, 20, 20), (20, 20, 200, 20)
    party = {"name": "party.png", "mimeType": "image/png", "buffer": group(cara, berta, anna)}
    encoder = Quarters.of_faces()
    gallery = open_gallery(tmp_path / "test.gallery", encoder) if with_gallery else None
    with running(service_of(encoder=encoder, finder=Tiles(), gallery=gallery)) as url:
        for name, person in {"Anna": anna, "Berta": berta}.items() if with_gallery else ():
            files = {"photos": ("a.png", group(person), "image/png")}
            assert requests.post(f"{url}/v1/subjects/{name}", files=files).status_code == 201
        page = visit(url)
        page.click("#tab-group")
        choose(page, "group-photo", party)
        page.wait_for_selector("#group-photo svg")
        names = page.locator("#group-result strong").all_inner_texts()
        labels = page.locator("#group-photo svg text:not(.shade)").all_text_contents()
        assert page.locator("#group-photo svg rect:not(.shade)").count() == page.locator("#group-result canvas").count() == 3
        if with_gallery:
            assert (names, labels) == (["Unknown", "Berta", "Anna"], ["1", "2 Berta", "3 Anna"])
            assert page.inner_text("#group-result .decision") == "3 faces, 2 in the gallery"
            assert "FPIR with 2 subjects" in page.inner_text("#group-result")
        else:
            assert (names, labels) == (["Unknown"] * 3, ["1", "2", "3"])
            assert "without a gallery" in page.inner_text("#group-result")
        page.click("#group-photo .clear")
        page.wait_for_selector("#group-result .decision", state="detached")


def test_a_service_that_detects_no_faces_has_no_group_photos(visit, url):
    page = visit(url)
    page.click("#tab-group")
    assert "takes aligned crops only" in page.inner_text("#view-group") and not page.is_visible("#group-photo")


@pytest.mark.parametrize("width", [390, 768, 1280])
@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_it_fits_and_can_be_read(visit, url, width, scheme):
    page = visit(url, viewport={"width": width, "height": 800}, color_scheme=scheme)
    choose(page, "first", photo())
    choose(page, "second", photo())
    choose(page, "others", photo(), photo(*OTHER))
    page.wait_for_selector("#verify-result .decision")
    for tab in ("verify", "compare", "group", "gallery"):
        page.click(f"#tab-{tab}")
        assert page.evaluate("document.documentElement.scrollWidth") == width
        edges = page.locator("[role=tab], .drop, button:visible").evaluate_all(
            "all => all.map((node) => node.getBoundingClientRect().right)"
        )
        assert max(edges) <= width - 15
    ink, paper = (
        sum(map(int, page.evaluate(f"getComputedStyle(document.body).{name}").split("(")[1].rstrip(")").split(",")))
        for name in ("color", "backgroundColor")
    )
    assert (ink > paper) == (scheme == "dark") and abs(ink - paper) > 450


def test_every_control_has_a_name(visit, url):
    page = visit(url)
    choose(page, "others", photo(), photo())
    page.wait_for_selector("#others img", state="attached")
    for tab in ("verify", "compare", "gallery"):
        page.click(f"#tab-{tab}")
        for kind in ("button", "textbox", "checkbox", "combobox"):
            for control in page.get_by_role(kind).all():
                assert control.evaluate("node => (node.labels?.[0] ?? node).textContent || node.ariaLabel").strip()


def test_the_api_is_shown_and_can_be_tried_out(visit, url):
    page = visit(f"{url}/docs", ready=".opblock")
    paths = requests.get(f"{url}/openapi.json").json()["paths"]
    assert page.locator(".opblock").count() == sum(map(len, paths.values()))
    page.click("#operations-health-healthy_healthz_get .opblock-summary-path")
    page.click("text=Try it out")
    page.click("text=Execute")
    page.wait_for_selector(".live-responses-table .response-col_status:text('200')")
