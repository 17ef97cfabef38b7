"""The page in a real browser: by mouse, keyboard and camera, dark and light, narrow and wide, and nothing from another host."""

import shutil

import pytest

pytest.importorskip("fastapi", reason="the service needs the extra serve")
pytest.importorskip("playwright.sync_api", reason="the page is tested through playwright")

from playwright.sync_api import sync_playwright
from serving import Quarters, picture, running, service_of

from visavis.gallery import open_gallery
from visavis.service.keys import KeyStore

CHROMIUM = shutil.which("chromium")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --use-fake-ui-for-media-stream --use-fake-device-for-media-stream"
)
OTHER = (20, 20, 20, 200)

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium at hand, such as Debian's package chromium")


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
    """Open a page, and check at the end that nothing went wrong on it and that it asked nobody else."""
    contexts, wrong, asked = [], [], set()

    def open_page(address, *, fails=False, **options):
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda line: wrong.append(line.text) if line.type == "error" and not fails else None)
        page.on("request", lambda request: asked.add(request.url.split("/")[2]) if request.url.startswith("http") else None)
        page.goto(address)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not wrong
    assert len(asked) == 1


def photo(*levels, **settings):
    return {"name": "photo.png", "mimeType": "image/png", "buffer": picture(*levels, **settings)}


def choose(page, slot, *photos):
    page.set_input_files(f"#{slot} input", list(photos))


def test_two_faces_are_decided_on_in_words_and_explained(visit, url):
    page = visit(url)
    choose(page, "first", photo())
    choose(page, "second", photo())
    page.wait_for_selector("#pair-result .decision:text('The same person')")
    told = page.inner_text("#pair-result").replace("\u00a0", " ")
    assert "The score 1.000 reaches the threshold 0.950." in told
    assert "Of 1,000 pairs of strangers among 50 test people, this threshold took 1 % for one person (at most 2 %" in told
    assert "probability of one person is now 99.32 %." in told
    assert page.get_attribute("#pair-result svg.chart", "aria-label").startswith("Score 1.000, threshold 0.950")
    assert page.locator("#pair-result .chart path").count() == 2
    assert page.locator("#pair-result canvas").count() == 2
    page.click("#explain")
    page.wait_for_selector("#pair-explanation canvas")
    assert "makes them alike" in page.inner_text("#pair-explanation")
    choose(page, "second", photo(*OTHER))
    page.wait_for_selector("#pair-result .decision:text('Different people')")
    assert page.inner_text("#pair-explanation") == ""
    page.click("#second .clear")
    page.wait_for_selector("#pair-result .decision", state="detached")


def test_a_stricter_rule_decides_anew(visit, url):
    page = visit(url)
    choose(page, "first", photo())
    choose(page, "second", photo(200, 50, 20, 20))
    page.wait_for_selector("#pair-result .decision:text('The same person')")
    page.select_option("#rule", label="1 in 1,000")
    page.wait_for_selector("#pair-result .decision:text('Different people')")


def test_what_cannot_be_read_is_told(visit, url):
    page = visit(url, fails=True)
    choose(page, "first", {"name": "a.png", "mimeType": "image/png", "buffer": b"no photo"})
    page.wait_for_selector("#first .problem:text('cannot be read')")
    choose(page, "first", photo())
    choose(page, "second", photo())
    page.wait_for_selector("#pair-result .decision")
    page.route("**/v1/verify", lambda route: route.abort())
    choose(page, "second", photo(*OTHER))
    page.wait_for_selector("#pair-result .warn:text('does not answer')")


def test_a_photo_is_dropped_and_one_is_taken_with_the_camera(visit, url):
    page = visit(url, permissions=["camera"])
    page.evaluate(
        """async () => {
            const canvas = Object.assign(document.createElement("canvas"), { width: 64, height: 64 });
            canvas.getContext("2d").fillRect(0, 0, 32, 32);
            const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/bmp"));
            const dropped = new DataTransfer();
            dropped.items.add(new File([blob], "a.png", { type: "image/gif" }));
            document.querySelector("#first .drop").dispatchEvent(new DragEvent("drop", { dataTransfer: dropped }));
        }"""
    )
    page.click("#second .take")
    page.click("#camera [value=take]:not([disabled])")
    page.wait_for_selector("#pair-result .decision")
    assert page.evaluate("document.querySelector('#camera video').srcObject") is None


def test_one_is_compared_with_many(visit, url):
    page = visit(url)
    page.click("#tab-many")
    choose(page, "anchor", photo())
    choose(page, "others", photo(*OTHER), photo(), photo(190, 20, 20, 20))
    page.wait_for_selector("#many-result li >> nth=2")
    rows = page.locator("#many-result li").all_inner_texts()
    assert [row.split("\n")[0] for row in rows] == ["The same person", "The same person", "Different people"]
    assert "photo 2" in rows[0] and "photo 1" in rows[2]


def test_people_are_enrolled_found_and_deleted_by_keyboard(visit, url):
    page = visit(url)
    page.focus("#tab-pair")
    page.keyboard.press("ArrowLeft")
    assert page.get_attribute("#tab-gallery", "aria-selected") == "true"
    name = "<b>Anna</b> & Söhne"
    page.focus("#enrol-name")
    page.keyboard.type(name)
    choose(page, "enrol-photos", photo())
    page.focus("#enrol-form > button")
    page.keyboard.press("Enter")
    page.wait_for_selector("#enrol-result >> text=is enrolled, with 1 reference")
    choose(page, "probe", photo())
    page.wait_for_selector("#search-result .decision")
    assert page.inner_text("#search-result .decision") == name
    assert "a stranger finds somebody in about 1" in page.inner_text("#search-result")
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
    assert page.locator("#subjects li").count() == 0


def test_what_makes_a_photo_less_reliable_is_told_wherever_one_is_taken(visit, url):
    page, tiny, told = visit(url), photo(side=8), "small photo: 8 x 8 pixels"
    page.click("#tab-many")
    choose(page, "anchor", tiny)
    choose(page, "others", photo())
    page.wait_for_selector(f"#many-result .warn:text('This face: {told}')")
    page.click("#tab-gallery")
    page.fill("#enrol-name", "Berta")
    choose(page, "enrol-photos", photo(), tiny)
    page.click("#enrol-form > button")
    page.wait_for_selector(f"#enrol-result .warn:text('Photo 2: {told}')")
    choose(page, "probe", tiny)
    page.wait_for_selector(f"#search-result .warn:text('{told}')")
    page.get_by_role("button", name="Delete Berta").click()
    page.click("#delete-dialog [value=delete]")
    page.wait_for_selector("#subjects-status >> text=is deleted")


def test_a_key_is_asked_for_and_opens(visit, tmp_path):
    store = KeyStore(tmp_path / "keys.db", create=True)
    key = store.create("page", "read")
    with running(service_of(keys=store)) as url:
        page = visit(url, fails=True)
        page.wait_for_selector("#key-form")
        page.fill("#key", "vv_wrong")
        page.keyboard.press("Enter")
        page.wait_for_selector("#key-hint:text('valid key')")
        page.fill("#key", key)
        page.keyboard.press("Enter")
        page.wait_for_selector("#views")
        choose(page, "first", photo())
        choose(page, "second", photo())
        page.wait_for_selector("#pair-result .decision")
        page.click("#tab-gallery")
        assert "--gallery" in page.inner_text("#no-gallery")
        kept = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])")
        assert key not in kept and page.input_value("#key") == ""


@pytest.mark.parametrize("width", [390, 768, 1280])
@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_it_fits_and_can_be_read(visit, url, width, scheme):
    page = visit(url, viewport={"width": width, "height": 800}, color_scheme=scheme)
    choose(page, "first", photo())
    choose(page, "second", photo())
    page.wait_for_selector("#pair-result .decision")
    for tab in ("pair", "many", "gallery"):
        page.click(f"#tab-{tab}")
        assert page.evaluate("document.documentElement.scrollWidth") == width
    ink, paper = (
        sum(map(int, page.evaluate(f"getComputedStyle(document.body).{name}").split("(")[1].rstrip(")").split(",")))
        for name in ("color", "backgroundColor")
    )
    assert (ink > paper) == (scheme == "dark") and abs(ink - paper) > 450


def test_everything_that_can_be_used_has_a_name(visit, url):
    page = visit(url)
    page.wait_for_selector("#views")
    for tab in ("pair", "many", "gallery"):
        page.click(f"#tab-{tab}")
        for kind in ("button", "textbox", "checkbox", "combobox"):
            for control in page.get_by_role(kind).all():
                assert control.evaluate("node => (node.labels?.[0] ?? node).textContent || node.ariaLabel").strip()
