"""What keys of each scope see of scores, and the lockout of keys that nearly match too often."""

from dataclasses import replace

import pytest

pytest.importorskip("fastapi", reason="the service needs the extra serve")

import requests
from serving import Quarters, file, pair, picture, running, service_of

from visavis.encoders import load_encoder
from visavis.gallery import open_gallery
from visavis.service.access import Caller
from visavis.service.disclosure import Disclosure
from visavis.service.keys import KeyStore
from visavis.service.limits import ServiceLimits
from visavis.service.lockout import FailureBudget
from visavis.service.problems import LockoutError
from visavis.verification import Verifier

OTHER = (20, 20, 20, 200)
NEAR = (200, 60, 20, 20)  # reaches 0.95, the default threshold, but not 0.99
FIGURES = ("score", "distance", "probability", "log_likelihood_ratio")


@pytest.fixture
def store(tmp_path):
    return KeyStore(tmp_path / "keys.db", create=True)


def ask(url, key, path="/v1/verify", **form):
    return requests.post(url + path, headers={"Authorization": f"Bearer {key}"}, **form)


def test_figures_depend_on_the_scope(store):
    keys = {scope: store.create(scope, scope) for scope in ("decide", "read")}
    keys["all"] = store.create("trusted", "read", all_scores=True)
    with running(service_of(keys=store)) as url:

        def figures(key, second):
            body = ask(url, keys[key], files=pair(picture(), second)).json()
            return body["same"], [body[name] for name in FIGURES]

        hidden = [None] * 4
        assert figures("decide", picture()) == (True, hidden)
        assert figures("decide", picture(*OTHER)) == figures("read", picture(*OTHER)) == (False, hidden)
        assert figures("read", picture(*NEAR)) == (True, hidden)
        assert figures("read", picture())[1][0] in (0.99, 1.0)
        score = figures("all", picture(*NEAR))[1][0]
        assert 0.95 < score < 0.99 and score != round(score, 2)
        assert None not in figures("all", picture(*OTHER))[1]
        refused = ask(url, keys["read"], "/v1/explain", files=pair())
        assert refused.status_code == 403 and "--all-scores" in refused.json()["detail"]
        assert ask(url, keys["all"], "/v1/explain", files=pair()).status_code == 200


def test_the_order_of_a_comparison_discloses_no_score(store):
    key = store.create("door", "read")
    photos = [picture(*OTHER), picture(20, 200, 20, 20), picture(*NEAR), picture()]
    files = [("anchor", file(picture())), *(("photos", file(photo)) for photo in photos)]
    with running(service_of(keys=store)) as url:
        results = ask(url, key, "/v1/compare", files=files).json()["results"]
    assert [result["photo"] for result in results] == [2, 3, 0, 1]


def test_a_search_lists_those_who_are_accepted(store, tmp_path):
    keys = store.create("door", "read"), store.create("trusted", "read", all_scores=True)
    gallery = open_gallery(tmp_path / "test.gallery", Quarters())
    with running(service_of(keys=store, gallery=gallery)) as url:
        for name, levels in (("Anna", (200, 20, 20, 20)), ("Berta", OTHER)):
            assert ask(url, store.create("desk", "write"), f"/v1/subjects/{name}", files={"photos": file(picture(*levels))}).ok
        found = [
            [hit["subject"] for hit in ask(url, key, "/v1/search", files={"photo": file(picture())}).json()["hits"]] for key in keys
        ]
    assert found == [["Anna"], ["Anna", "Berta"]]


def test_only_a_key_for_all_scores_chooses_the_operating_point_of_a_search(store, tmp_path):
    admin, trusted = store.create("desk", "admin"), store.create("trusted", "read", all_scores=True)
    gallery = open_gallery(tmp_path / "test.gallery", Quarters())
    with running(service_of(keys=store, gallery=gallery)) as url:
        for choice in ({"target_fmr": "0.01"}, {"target_fpir": "0.1"}):
            refused = ask(url, admin, "/v1/search", files={"photo": file(picture())}, data=choice)
            assert refused.status_code == 403 and "operating point" in refused.json()["detail"]
            assert ask(url, trusted, "/v1/search", files={"photo": file(picture())}, data=choice).status_code == 200


def test_a_key_that_nearly_matches_too_often_is_locked_out_of_the_subject(store, tmp_path):
    desk, door, other = (store.create(name, scope) for name, scope in (("desk", "write"), ("door", "decide"), ("other", "decide")))
    gallery = open_gallery(tmp_path / "test.gallery", Quarters())
    near, far = picture(200, 90, 20, 20), picture(*OTHER)
    with running(service_of(keys=store, gallery=gallery, limits=ServiceLimits(rate=None, failures=3))) as url:
        assert ask(url, desk, "/v1/subjects/Anna", files={"photos": file(picture())}).status_code == 201
        for photo in (far, far, far, near, near, near):
            assert ask(url, door, "/v1/search", files={"photo": file(photo)}).json()["hits"] == []
        refused = ask(url, door, "/v1/search", files={"photo": file(picture())})
        assert refused.status_code == 429 and refused.json()["type"].endswith(":lockout")
        assert 3500 < int(refused.headers["retry-after"]) <= 3600
        assert ask(url, other, "/v1/search", files={"photo": file(picture())}).json()["hits"][0]["subject"] == "Anna"
        entries = [(entry.action, entry.name, entry.actor) for entry in gallery.log()]
        assert entries[-1] == ("lockout", "Anna", door.split("_")[1])


def test_failures_are_forgotten_after_a_while():
    now = [0.0]
    failures = FailureBudget(2, seconds=10, clock=lambda: now[0])
    assert not failures.fail("a", "Anna")
    now[0] = 11.0
    assert not failures.fail("a", "Anna") and failures.fail("a", "Anna")
    with pytest.raises(LockoutError):
        failures.check("a", "Anna")
    failures.check("a", "Berta")
    failures.check("b", "Anna")
    now[0] = 21.5
    failures.check("a", "Anna")
    assert not any(FailureBudget(None).fail("a", "Anna") for _ in range(1000))


def test_disclosed_scores_are_rounded_down():
    card = Quarters().card
    rules = [replace(card.threshold, score=0.31), replace(card.threshold, score=0.47, target_fmr=0.001)]
    encoder = replace(Quarters(), card=replace(card, threshold=rules[0], operating_points=(rules[1],)))
    verifier, disclosure = Verifier(encoder), Disclosure.of(Caller("a", "read", all_scores=False), encoder.card)
    scores = [disclosure.apply(verifier.decide(score), verifier) for score in (0.3, 0.4, 0.48, 0.59, 1.0)]
    assert [one and one.score for one in scores] == [None, None, 0.47, 0.55, 1.0]


def test_all_scores_need_more_than_decisions(store):
    with pytest.raises(ValueError, match="scope must be at least 'read' for all scores, got 'decide'"):
        store.create("door", "decide", all_scores=True)


def test_aligned_crops_are_refused_by_default():
    with running(service_of(encoder=load_encoder(), aligned="refused")) as url:
        refused = requests.post(f"{url}/v1/verify", files=pair(), data={"aligned": "true"})
        assert refused.status_code == 403 and "--allow-aligned" in refused.json()["detail"]
        assert requests.get(f"{url}/v1/model").json()["takes_aligned"] is False
