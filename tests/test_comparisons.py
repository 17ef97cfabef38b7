"""Photos in files are verified and compared, in Python and on the command line."""

import json

import numpy as np
import pytest
from commands import call, width_of
from PIL import Image
from trained import stand_in

import visavis
from visavis.errors import FaceError


def test_verify_exits_by_its_answer(capsys, run, folder):
    same = folder / "person-00" / "0.png"
    code, out, _ = call(capsys, "verify", same, same, "--model", run)
    assert (code, out.split(" (")[0]) == (0, "same person")
    verifier = visavis.Verifier(run)
    photos = sorted(folder.rglob("*.png"))
    other = min(photos, key=lambda photo: verifier.verify(same, photo).score)
    code, out, _ = call(capsys, "verify", same, other, "--model", run, "--json")
    verdict = json.loads(out)
    assert code == 1
    assert verdict["same"] is False
    assert verdict["score"] < verdict["threshold"]
    code, out, err = call(capsys, "verify", same, folder / "nobody.png", "--model", run)
    assert (code, out) == (2, "")
    assert "nobody.png: No such file" in err
    assert call(capsys, "verify", same)[0] == 2
    assert call(capsys, "verify", same, same, "--model", folder)[0] == 2


def test_faces_are_found_in_whole_photos(capsys, aligned_run, whole_photos, tmp_path):
    first, second, wall = whole_photos
    verifier = visavis.Verifier(aligned_run)
    assert verifier.card.aligned
    acquired = verifier.acquire(first)
    assert acquired.aligned.pixels.shape == (112, 112, 3)
    face = Image.open(first).crop((90, 40, 210, 160)).resize((32, 32), Image.Resampling.BICUBIC)
    assert np.abs(acquired.pixels.astype(int) - np.asarray(face)).mean() < 6
    drawn = tmp_path / "why.png"
    code, out, _ = call(capsys, "verify", first, second, "--model", aligned_run, "--json", "--draw", drawn)
    answer = json.loads(out)
    assert code in (0, 1)
    assert answer["faces"][0]["box"] == [90.0, 40.0, 120.0, 120.0]
    assert answer["faces"][0]["score"] == 0.97
    assert width_of(drawn) > 500
    code, _, err = call(capsys, "verify", first, wall, "--model", aligned_run)
    assert code == 2
    assert f"{wall}: no face was found" in err
    code, _, err = call(capsys, "verify", first, wall, "--model", aligned_run, "--fallback", "centre")
    assert code in (0, 1)
    assert "warning: second photo: no face was found: the centre of the photo was taken" in err
    aligned = visavis.Verifier(aligned_run, aligned=True)
    assert aligned.verify(first, second).faces[0].box is None
    with pytest.raises(FaceError, match="wall.png: nothing can be seen on it, all of it is of one colour"):
        aligned.verify(first, wall)


def test_photos_without_a_face_are_reported_and_the_others_compared(capsys, aligned_run, whole_photos):
    first, second, wall = whole_photos
    code, out, _ = call(capsys, "compare", first, second, wall, "--model", aligned_run, "--json")
    answer = json.loads(out)
    assert code == 0
    assert [result["photo"] for result in answer["results"]] == [str(second)]
    assert answer["failures"] == [{"photo": str(wall), "reason": f"{wall}: no face was found"}]
    code, _, err = call(capsys, "compare", first, wall, "--model", aligned_run)
    assert code == 2
    assert "none of 1 photo can be compared" in err


def test_compare_ranks_and_draws(capsys, run, folder, tmp_path):
    photos = sorted(folder.rglob("*.png"))[:5]
    picture = tmp_path / "compared.png"
    code, out, err = call(capsys, "compare", photos[2], *photos, "--model", run, "--out", picture, "--json")
    results = json.loads(out)["results"]
    assert code == 0
    assert results[0]["photo"] == str(photos[2])
    assert [row["score"] for row in results] == sorted((row["score"] for row in results), reverse=True)
    assert width_of(picture) > 300
    assert str(picture) in err


def test_all_faces_are_compared_on_the_command_line(capsys, aligned_run, whole_photos, tmp_path, monkeypatch):
    from test_verifier import FindsSeveral

    stand_in(monkeypatch, FindsSeveral())
    first, second, _ = whole_photos
    group = tmp_path / "group.png"
    faces = [Image.open(photo).crop((90, 40, 210, 160)) for photo in (second, first)]
    photo = Image.new("RGB", (360, 120))
    for place, face in enumerate([*faces, faces[0]]):
        photo.paste(face, (120 * place, 0))
    photo.save(group)
    drawn = tmp_path / "all.png"
    code, out, _ = call(capsys, "verify", group, group, "--model", aligned_run, "--face", "all", "--draw", drawn)
    assert code == 0 and width_of(drawn) > 500
    assert out.startswith("same person: face ") and "false match rate of 9 comparisons: " in out
    code, out, _ = call(capsys, "compare", group, group, "--model", aligned_run, "--face", "all", "--json")
    result = json.loads(out)["results"][0]
    assert result["comparisons"] == 9 and 0 <= result["false_match_rate"] <= 1
    assert {face["faces"] for face in result["faces"]} == {3}
    code, _, _ = call(capsys, "explain", group, group, "--model", aligned_run, "--face", "all", "--out", drawn)
    assert code == 0
