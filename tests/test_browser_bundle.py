"""The folder for browsers: what it holds, and in Chromium that pixels, faces, scores and decisions are those of Python."""

import base64
import functools
import hashlib
import io
import json
import re
import shutil
import tarfile
import threading
from contextlib import contextmanager
from dataclasses import replace
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import onnx
import pytest
from commands import call
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

import visavis
from visavis.encoders.browser_bundle import export_for_browser
from visavis.encoders.card import DataSide
from visavis.encoders.onnx import copy_with_card
from visavis.errors import DataError, ModelError
from visavis.faces import Crop, FaceFinder, sharpness
from visavis.faces.sampling import area_resize, crop_boxes, integral_image, normalise
from visavis.images import resize_image, to_gray
from visavis.metrics.calibration import Calibration

ROOT = Path(__file__).parents[1]
MODULES = ROOT / "runs" / "browser" / "node_modules"
CHROMIUM = shutil.which("chromium")
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")

in_chromium = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium, such as Debian's package chromium")
with_runtime = pytest.mark.skipif(not (MODULES / "onnxruntime-web").is_dir(), reason="needs onnxruntime-web: make browser")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """The bundled encoder for browsers, with onnxruntime-web where it is at hand."""
    return with_modules(export_for_browser("pretrained", tmp_path_factory.mktemp("browser") / "bundle"))


@pytest.fixture(scope="module")
def browser():
    player = pytest.importorskip("playwright.sync_api", reason="the page is tested through playwright")
    with player.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def page(browser, bundle):
    """The page of the bundle, with the modules of its folder in `window`; it sends requests to no other host."""
    with visited(browser, bundle) as opened:
        opened.evaluate("""async () => {
            window.pixels = await import("./pixels.js");
            window.crop = await import("./crop.js");
            window.sampling = await import("./sampling.js");
        }""")
        yield opened


@pytest.fixture(scope="module")
def verifier(page):
    """The page, with a verifier in `window`."""
    load(page)
    return page


@pytest.fixture(scope="module")
def unlike(photo_files):
    """Photos of the two generated people who resemble each other least."""
    verifier = visavis.Verifier()
    firsts = [files[0] for files in photo_files]
    scores = verifier.embed(firsts) @ verifier.embed(firsts).T
    return [firsts[place] for place in divmod(int(np.argmin(scores)), len(firsts))]


def with_modules(folder):
    if MODULES.is_dir():
        (folder / "node_modules").symlink_to(MODULES)
    return folder


@contextmanager
def visited(browser, folder, **options):
    """Serve a folder and open its page; at the end, check that no request went to another host."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    context, hosts = browser.new_context(**options), set()
    try:
        opened = context.new_page()
        opened.set_default_timeout(60_000)
        opened.on("request", lambda request: hosts.add(request.url.split("/")[2]) if request.url.startswith("http") else None)
        opened.goto(f"http://127.0.0.1:{server.server_port}/")
        opened.wait_for_selector("#first:enabled, #result .problem")
        yield opened
    finally:
        context.close()
        server.shutdown()
        server.server_close()
    assert hosts == {f"127.0.0.1:{server.server_port}"}


def load(page, **options):
    page.evaluate(
        """async (options) => {
            const ort = await import("./node_modules/onnxruntime-web/dist/ort.wasm.bundle.min.mjs");
            window.verifier = await (await import("./verifier.js")).loadVerifier(ort, options);
        }""",
        options,
    )


def to_page(image):
    """An array `(h, w, c)` uint8 as an expression of an image of the page."""
    height, width, channels = image.shape
    data = base64.b64encode(image.tobytes()).decode()
    return (
        f'{{width: {width}, height: {height}, channels: {channels}, data: Uint8Array.from(atob("{data}"), (c) => c.charCodeAt(0))}}'
    )


def from_page(page, expression):
    """The image, as an array, that an expression gives."""
    text = "({width, height, channels, data}) => ({shape: [height, width, channels], data: Array.from(data)})"
    image = page.evaluate(f"() => ({text})({expression})")
    return np.array(image["data"], dtype=np.uint8).reshape(image["shape"])


def acquired(page, content):
    """What the page acquires of a photo file, and its embedding."""
    return page.evaluate(
        """async (content) => {
            const file = new Blob([Uint8Array.from(atob(content), (c) => c.charCodeAt(0))]);
            const { image, crop, face, warnings } = await verifier.acquire(file);
            const embedding = await verifier.embed(crop);
            return { size: [image.width, image.height], crop: Array.from(crop.data), face, warnings, embedding };
        }""",
        base64.b64encode(content).decode(),
    )


def encoded(pixels, kind="PNG", **settings):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **settings)
    return file.getvalue()


def assert_same_as_in_python(page, content, model=None):
    """Crop, landmarks, warnings and embedding of a photo are those of Python."""
    found, checked = acquired(page, content), model or visavis.Verifier()
    expected = checked.acquire(content)
    assert tuple(found["size"]) == expected.photo.shape[1::-1]
    differences = np.abs(np.array(found["crop"]) - expected.pixels.ravel().astype(int))
    assert differences.max() <= 1 and differences.mean() < 0.01
    assert tuple(found["warnings"]) == (expected.aligned.warnings if expected.aligned else ())
    if expected.aligned:
        np.testing.assert_allclose(found["face"]["landmarks"], expected.aligned.face.landmarks, atol=0.01)
        np.testing.assert_allclose(found["face"]["box"], expected.aligned.face.box, atol=0.01)
    np.testing.assert_allclose(found["embedding"], checked.embed([expected])[0], atol=1e-3)


# What the folder holds


def test_the_card_has_all_that_a_decision_needs_and_nobody_by_name(bundle):
    card = json.loads((bundle / "card.json").read_text())
    encoder = visavis.load_encoder()
    assert card["digest"] == encoder.digest == visavis.load_encoder(bundle / "model.onnx").digest
    assert card["threshold"]["score"] == encoder.card.threshold.score
    assert card["threshold"]["measured_on"] == encoder.card.threshold.measured_on
    assert [rule["target_fmr"] for rule in card["operating_points"]] == [1e-3, 1e-4, 1e-5]
    assert card["calibration"]["slope"] == encoder.card.calibration.slope
    assert Crop.from_json(card["input"]["crop"]) == encoder.card.crop
    assert FaceFinder(**card["detector"]) == FaceFinder()
    for name, digest in card["files"].items():
        assert hashlib.sha256((bundle / name).read_bytes()).hexdigest() == digest
    assert sorted(card["files"]) == ["model.onnx", "onet.onnx", "pnet.onnx", "rnet.onnx"]
    people = visavis.load_encoder(bundle / "model.onnx").card.sides["train"].people
    assert people and all(name.startswith("sha256:") for name in people)


def test_terms_travel_with_the_folder(bundle):
    terms = (bundle / "LICENCES.txt").read_text()
    assert "Apache License" in terms and "Kaipeng Zhang" in terms and "Yaoyao Zhong" in terms
    assert "MIT License" in (bundle / "LICENSE.txt").read_text()
    package = json.loads((bundle / "package.json").read_text())
    assert list(package["dependencies"]) == ["onnxruntime-web"]


def test_the_command_writes_a_folder_and_replaces_files_only_on_request(tmp_path, capsys):
    out = tmp_path / "web"
    code, output, _ = call(capsys, "export", "pretrained", "--browser", "--out", out)
    assert code == 0 and f"python -m http.server --directory {out}" in output
    (out / "card.json").write_text("{}")
    code, _, error = call(capsys, "export", "pretrained", "--browser", "--out", out)
    assert code == 2 and f"{out}: must be a new or empty folder" in error
    assert call(capsys, "export", "pretrained", "--browser", "--overwrite", "--out", out)[0] == 0
    assert json.loads((out / "card.json").read_text())["format"] == 1
    assert not list(out.glob(".*"))
    assert "--overwrite goes with --browser" in call(capsys, "export", "pretrained", "--overwrite", "--out", tmp_path / "a.onnx")[2]


def test_models_that_cannot_decide_or_are_no_onnx_are_refused(tmp_path):
    described(tmp_path)
    with pytest.raises(ModelError, match="has no threshold. Choose one with: visavis calibrate"):
        export_for_browser(tmp_path / "plain.onnx", tmp_path / "web")
    assert not (tmp_path / "web").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="must be a new or empty folder"):
        export_for_browser("pretrained", tmp_path / "file")


# Pixels


@in_chromium
@pytest.mark.parametrize("size", [(24, 24), (97, 61), (290, 300), (200, 200), (31, 260)])
def test_images_are_resized_to_the_same_levels(page, size):
    image = np.random.default_rng(0).integers(0, 256, (200, 260, 3), dtype=np.uint8)
    found = from_page(page, f"pixels.resize({to_page(image)}, {size[1]}, {size[0]})")
    np.testing.assert_array_equal(found, resize_image(image, size))


@in_chromium
@pytest.mark.parametrize("scale", [0.1, 0.45, 0.9, 1.0, 1.7])
@pytest.mark.parametrize("angle", [0.0, 0.4])
def test_faces_are_cut_to_the_same_levels(page, scale, angle):
    image = np.random.default_rng(1).integers(0, 256, (300, 280, 3), dtype=np.uint8)
    crop = Crop.arcface(112, margin=0.1)
    centred = np.array(crop.landmarks) - 56
    turned = centred @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) / scale
    landmarks = turned + [150, 120] + np.random.default_rng(2).normal(size=(5, 2))
    found = from_page(page, f"crop.cutFace({to_page(image)}, {landmarks.tolist()}, {json.dumps(crop.to_json())})")
    differences = np.abs(found.astype(int) - crop.cut(image, landmarks))
    assert differences.max() <= 1 and np.mean(differences > 0) < 0.001


@in_chromium
@pytest.mark.parametrize(
    "crop", [Crop((40, 50)), Crop((40, 50), "gray"), Crop((64, 64), centre=0.7), Crop((64, 64), "gray", centre=1)]
)
def test_photos_without_landmarks_are_fitted_to_the_same_levels(page, crop):
    image = np.random.default_rng(3).integers(0, 256, (91, 120, 3), dtype=np.uint8)
    found = from_page(page, f"crop.fitPhoto({to_page(image)}, {json.dumps(crop.to_json())})")
    assert np.abs(found.astype(int) - crop.fit(image)).max() <= (crop.colour == "gray")


@in_chromium
def test_small_operations_are_those_of_python(page):
    image = np.random.default_rng(4).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    for turns in range(4):
        np.testing.assert_array_equal(from_page(page, f"pixels.turn({to_page(image)}, {turns})"), np.rot90(image, turns))
    assert np.abs(from_page(page, f"pixels.toGray({to_page(image)})").astype(int) - to_gray(image)).max() <= 1
    assert page.evaluate(f"() => pixels.sharpness({to_page(image)})") == pytest.approx(sharpness(image), rel=1e-3)
    numbers = [-1.5, -0.5, 0.5, 1.5, 2.5, 2.4, -2.6]
    assert page.evaluate("(numbers) => numbers.map(pixels.roundHalfEven)", numbers) == [round(number) for number in numbers]


@in_chromium
def test_pyramid_and_crops_of_boxes_are_those_of_python(page):
    image = np.random.default_rng(5).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    boxes = np.array([[2.5, 3, 40, 50], [-8, -3, 20, 30], [60, 40, 95, 70], [10, 10, 11, 12]])
    found = page.evaluate(f"""() => {{
        const image = sampling.normalise({to_page(image)});
        const level = sampling.areaResize(sampling.integralImage(image), 47, 35);
        return [Array.from(level.data), Array.from(sampling.cropBoxes(image, {boxes.tolist()}, 24))];
    }}""")
    plane = normalise(image)
    np.testing.assert_allclose(found[0], area_resize(integral_image(plane), 35, 47).ravel(), atol=1e-6)
    np.testing.assert_allclose(found[1], crop_boxes(plane, boxes, 24).ravel(), atol=1e-6)


# Faces and scores


@in_chromium
@with_runtime
@pytest.mark.parametrize("change", ["as it is", "large", "on its side", "upside down", "JPEG with EXIF", "transparent"])
def test_a_face_is_acquired_as_in_python(verifier, portrait, change):
    content = {
        "as it is": lambda: encoded(portrait),
        "large": lambda: encoded(np.asarray(Image.fromarray(portrait).resize((1301, 1250)))),
        "on its side": lambda: encoded(np.rot90(portrait)),
        "upside down": lambda: encoded(np.rot90(portrait, 2)),
        "JPEG with EXIF": lambda: encoded(np.rot90(portrait), "JPEG", exif=exif(orientation=6)),
        "transparent": lambda: encoded(
            np.dstack([portrait, np.where(np.indices(portrait.shape[:2])[0] < 40, 0, 255)]).astype(np.uint8)
        ),
    }[change]()
    assert_same_as_in_python(verifier, content)


def exif(orientation):
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


@in_chromium
@with_runtime
def test_scores_and_decisions_are_those_of_python(verifier, photo_files, unlike):
    photos = [*photo_files[0], *photo_files[1], *unlike]
    check_scores(verifier, photos, [(0, 1), (2, 3), (0, 2), (1, 4), (4, 5)], tolerance=3e-3)  # generated faces have sharp edges


@in_chromium
@with_runtime
@pytest.mark.real_faces
def test_scores_and_decisions_on_real_photos_are_those_of_python(verifier, lfw_archive):
    names = [("Abdullah", 1), ("Abdullah", 2), ("Adam_Sandler", 1), ("Adam_Sandler", 2), ("Aaron_Peirsol", 1), ("Aaron_Peirsol", 2)]
    with tarfile.open(lfw_archive) as tar:
        photos = [tar.extractfile(f"lfw-deepfunneled/{name}/{name}_{number:04}.jpg").read() for name, number in names]
    check_scores(verifier, photos, [(0, 1), (2, 3), (4, 5), (0, 2), (3, 4), (1, 5)], tolerance=1e-3)


def check_scores(page, photos, pairs, *, tolerance):
    in_python, decisions = visavis.Verifier(), set()
    for first, second in pairs:
        found = page.evaluate(
            """async (contents) => {
                const files = contents.map((content) => new Blob([Uint8Array.from(atob(content), (c) => c.charCodeAt(0))]));
                return verifier.verify(...files);
            }""",
            [base64.b64encode(photos[number]).decode() for number in (first, second)],
        )
        expected = in_python.verify(photos[first], photos[second])
        for name in ("score", "distance", "threshold"):
            assert found[name] == pytest.approx(getattr(expected, name), abs=tolerance)
        steepest = visavis.load_encoder().card.calibration.slope / 4
        assert found["probability"] == pytest.approx(expected.probability, abs=steepest * tolerance)
        assert (found["same"], found["uncertain"], found["prior"]) == (expected.same, expected.uncertain, expected.prior)
        assert [tuple(face["warnings"]) for face in found["faces"]] == [face.warnings for face in expected.faces]
        decisions.add(found["same"])
    assert decisions == {True, False}


@in_chromium
@with_runtime
@pytest.mark.parametrize(
    "calibration", [Calibration(12.0, 11.0), Calibration(1.0, 1.0, ((-0.5, -4.0), (0.2, -1.0), (0.2, 0.5), (0.9, 3.0)))]
)
@pytest.mark.parametrize("prior", [0.5, 0.01])
def test_scores_become_the_same_verdicts(verifier, calibration, prior):
    card = replace(visavis.load_encoder().card, calibration=calibration)
    in_python = visavis.Verifier(replace(visavis.load_encoder(), card=card), prior=prior)
    values = json.dumps({"offset": calibration.offset, "slope": calibration.slope, "isotonic": calibration.isotonic})
    for score in (-0.7, 0.1, 0.2, card.threshold.score, 0.5, 0.95, 1.0000001):
        found = verifier.evaluate(
            f"""(score) => {{
            const changed = new verifier.constructor(null, {{ ...verifier, card: {{ calibration: {values} }}, prior: {prior} }});
            return changed.decide(score);
        }}""",
            score,
        )
        expected = in_python.decide(score)
        assert (found["same"], found["uncertain"]) == (expected.same, expected.uncertain)
        assert found["score"] == pytest.approx(expected.score) and found["distance"] == pytest.approx(expected.distance, abs=1e-6)
        assert found["probability"] == pytest.approx(expected.probability, rel=1e-9)
        assert found["logLikelihoodRatio"] == pytest.approx(expected.log_likelihood_ratio)


@in_chromium
@with_runtime
def test_another_operating_point_and_prior_can_be_chosen(browser, bundle):
    with visited(browser, bundle) as page:
        load(page, targetFmr=1e-4, prior=0.1)
        rule = visavis.load_encoder().card.rule(1e-4)
        assert page.evaluate("() => [verifier.decide(0).threshold, verifier.prior]") == [rule.score, 0.1]
        for options, message in [
            ({"targetFmr": 0.2}, "no threshold for a false match rate of 0.2"),
            ({"prior": 1}, "prior must be in"),
        ]:
            with pytest.raises(Exception, match=message):
                load(page, **options)


def described(folder, *, batch="n", flip=False, threshold=None, aligned=True):
    """A model of other software: channels first, BGR, its own levels; a random projection of an average-pooled face."""
    rng = np.random.default_rng(6)
    nodes = [
        helper.make_node("AveragePool", ["photo"], ["pooled"], kernel_shape=[4, 4], strides=[4, 4]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["embedding"]),
    ]
    weights = numpy_helper.from_array(rng.normal(size=(3 * 12 * 12, 16)).astype(np.float32), "weights")
    inputs = [helper.make_tensor_value_info("photo", TensorProto.FLOAT, [batch, 3, 48, 48])]
    outputs = [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, [batch, 16])]
    graph = helper.make_graph(nodes, "g", inputs, outputs, [weights])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), folder / "plain.onnx")
    settings = {"input_size": "[48, 48]", "colour": '"bgr"', "mean": "[100.0, 110.0, 120.0]", "scale": "[0.01, 0.02, 0.015]"}
    settings |= {"flip": str(flip).lower()} | ({} if threshold is None else {"threshold": threshold})
    settings |= {} if aligned else {"aligned": "false"}
    (folder / "plain.toml").write_text("\n".join(f"{name} = {value}" for name, value in settings.items()))
    return folder / "plain.onnx"


@in_chromium
@with_runtime
@pytest.mark.parametrize(
    "settings", [{}, {"batch": 4, "flip": True}, {"aligned": False}], ids=["aligned", "mirrored, four at a time", "whole"]
)
def test_models_of_other_software_run_as_in_python(browser, tmp_path, generated_photo, settings):
    model = described(tmp_path, threshold=0.4, **settings)
    folder = with_modules(export_for_browser(model, tmp_path / "web"))
    assert (folder / "pnet.onnx").exists() == settings.get("aligned", True)
    with visited(browser, folder) as page:
        load(page)
        assert_same_as_in_python(page, encoded(generated_photo), visavis.Verifier(model))
        verdict = page.evaluate("() => verifier.decide(0.5)")
        assert (verdict["same"], verdict["probability"], verdict["uncertain"]) == (True, None, False)


def test_a_model_that_was_trained_here_is_exported_without_names(aligned_run, tmp_path):
    pytest.importorskip("tf2onnx", reason="needs the extra export")
    folder = export_for_browser(aligned_run, tmp_path / "web")
    card = visavis.load_encoder(folder / "model.onnx").card
    names = {name for side in visavis.load_encoder(aligned_run).card.sides.values() for name in side.people}
    everything = b"".join(path.read_bytes() for path in folder.iterdir())
    assert names and card.sides and not any(name.encode() in everything for name in names)


# The page


@in_chromium
@with_runtime
@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_compares_two_photos(browser, bundle, photo_files, unlike, width):
    errors = []
    with visited(browser, bundle, viewport={"width": width, "height": 800}) as page:
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
        assert "0.2627 for FMR 0.01 (guaranteed)" in page.inner_text("#model")
        choose(page, "first", photo_files[0][0])
        choose(page, "second", photo_files[0][1])
        page.wait_for_selector("#result .decision")
        expected, text = visavis.Verifier().verify(*photo_files[0]), page.inner_text("#result")
        assert expected.answer == page.inner_text("#result .decision").lower()
        score = re.search(rf"The score ([\d.]+) reaches the threshold {expected.threshold:.3f};", text)
        probability = re.search(r"Probability of the same person: ([\d.]+), given a prior of 0\.5\.", text)
        shown = 1e-3 + 5e-4  # as in check_scores on real photos, and three digits
        assert float(score[1]) == pytest.approx(expected.score, abs=shown)
        assert float(probability[1]) == pytest.approx(expected.probability, abs=shown)
        assert f"Threshold: {expected.measured_on}." in text
        choose(page, "first", unlike[0])
        choose(page, "second", unlike[1])
        page.wait_for_selector("#result .decision:text('Different people')")
        choose(page, "second", encoded(np.full((90, 90, 3), 128, np.uint8)))
        page.wait_for_selector("#second-label ~ .problem:visible")
        assert "photo.png: no face was found" in page.inner_text("#second-label ~ .problem")
        assert page.locator("#result .decision").count() == 0
        choose(page, "second", b"no photo")
        page.wait_for_selector("#second-label ~ .problem:text('cannot read the file as a photo')")
        assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    assert not errors


def choose(page, slot, content):
    page.set_input_files(f"#{slot}", [{"name": "photo.png", "mimeType": "image/png", "buffer": content}])


@in_chromium
@with_runtime
def test_a_replaced_file_is_refused(browser, tmp_path):
    folder = with_modules(export_for_browser("pretrained", tmp_path / "web"))
    encoder = visavis.load_encoder()
    sides = {"train": DataSide(("another",), 1, "")}
    copy_with_card(encoder, replace(encoder.card, sides=sides), folder / "model.onnx")
    with visited(browser, folder) as page:
        assert "/model.onnx: damaged or replaced, its SHA-256 digest must be" in page.inner_text("#result .problem")


@in_chromium
def test_a_folder_without_the_runtime_says_what_to_do(browser, tmp_path):
    folder = export_for_browser("pretrained", tmp_path / "web")
    with visited(browser, folder) as page:
        assert "Run npm install in the folder of this page." in page.inner_text("#result .problem")
