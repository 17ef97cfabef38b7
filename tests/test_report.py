"""The HTML report in a real browser: narrow screens and print."""

import io
import re
import shutil
import subprocess

import numpy as np
import pytest

pytest.importorskip("playwright.sync_api", reason="pages are tested through playwright")

from PIL import Image
from playwright.sync_api import sync_playwright

from visavis.encoders.card import Card
from visavis.evaluation import Claims, evaluate_all_pairs
from visavis.evaluation.report import Picture, write_report
from visavis.faces import Crop
from visavis.metrics.calibration import Calibration
from visavis.metrics.operating_points import OperatingPoint

CHROMIUM = shutil.which("chromium")
POINTS = (
    OperatingPoint(0.85, "validation people of a large set", 5154, 515450, 463, 3221, 491, target_fmr=0.01, fmr_upper=0.0148),
    OperatingPoint(0.9, "validation people of a large set", 515, 515450, 900, 3221, 491, target_fmr=0.001, fmr_upper=0.0015),
)

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium, such as Debian's package chromium")


def picture(width, height, caption, *, broad=False):
    file = io.BytesIO()
    Image.new("RGB", (width, height), "grey").save(file, "PNG")
    return Picture(file.getvalue(), caption, broad)


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A report with every table that an evaluation of all pairs has."""
    rng = np.random.default_rng(0)
    rows = np.repeat(rng.normal(size=(30, 8)), 4, axis=0) + 0.3 * rng.normal(size=(120, 8))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    evaluation = evaluate_all_pairs(
        rows, np.repeat(np.arange(30), 4), Claims(operating_points=POINTS, calibration=Calibration(5.0, 10.0))
    )
    card = Card(Crop((80, 80)), threshold=POINTS[0], operating_points=POINTS[1:])
    pictures = [*(picture(660, 462, f"Plot {number}") for number in range(5)), picture(1300, 600, "Photos", broad=True)]
    path = tmp_path_factory.mktemp("report") / "report.html"
    return write_report(path, evaluation, card, pictures=pictures, command="visavis evaluate " + "x" * 200)


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as player:
        started = player.chromium.launch(executable_path=CHROMIUM, args=["--headless", "--no-sandbox", "--disable-gpu"])
        yield started
        started.close()


@pytest.fixture
def page(browser, report):
    opened = browser.new_page()
    opened.goto(report.as_uri())
    yield opened
    opened.close()


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_nothing_scrolls_sideways(page, width):
    page.set_viewport_size({"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") == width
    visible = "main *:not(.stacking thead *)" if width < 768 else "main *"  # the headings of stacked rows are hidden
    boxes = page.locator(visible).evaluate_all("nodes => nodes.map((node) => [node.localName, node.getBoundingClientRect().right])")
    assert [box for box in boxes if box[1] > width] == []
    assert page.locator(".wide").evaluate_all("nodes => nodes.filter((node) => node.scrollWidth > node.clientWidth).length") == 0


def test_rows_become_labelled_blocks_on_a_narrow_screen(page):
    page.set_viewport_size({"width": 390, "height": 800})
    row = page.locator("h2:text('Thresholds') + table tbody tr").first
    labels = row.locator("td").evaluate_all("cells => cells.map((cell) => JSON.parse(getComputedStyle(cell, '::before').content))")
    assert labels == ["Target FMR", "Threshold", "FMR where it was chosen", "FMR here", "FNMR here"]
    boxes = [cell.bounding_box() for cell in row.locator("td").all()]
    assert all(upper["y"] + upper["height"] <= lower["y"] + 1 for upper, lower in zip(boxes, boxes[1:], strict=False))
    page.set_viewport_size({"width": 1280, "height": 800})
    assert len({cell.bounding_box()["y"] for cell in row.locator("td").all()}) == 1


def test_no_heading_is_left_alone_at_the_end_of_a_printed_page(page, tmp_path):
    page.emulate_media(media="print")
    for selector, name in (("h2", "breakAfter"), ("figure", "breakInside"), ("tr", "breakInside")):
        assert page.evaluate(f"getComputedStyle(document.querySelector('{selector}')).{name}") == "avoid"
    if not shutil.which("pdftotext"):
        pytest.skip("needs pdftotext, such as Debian's package poppler-utils")
    headings = page.locator("h2").all_inner_texts()
    for size in ("A4", "A5", "Letter"):
        page.pdf(path=tmp_path / "report.pdf", format=size)
        text = subprocess.run(
            ["pdftotext", "-layout", tmp_path / "report.pdf", "-"], capture_output=True, text=True, check=True
        ).stdout
        printed = [re.sub(r"\s+", " ", sheet).strip() for sheet in text.split("\f")]
        assert len(printed) > 2
        assert not [heading for heading in headings for sheet in printed if sheet.endswith(heading)]
