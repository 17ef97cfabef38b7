"""Counted nouns, and summaries that count one of something."""

import re
from pathlib import Path

import numpy as np
import pytest

import visavis
from visavis.albums.faces import Failure, describe_failures
from visavis.data.intake import Intake, PassedOver
from visavis.data.preparation import Preparation
from visavis.data.protocols import PairProtocol
from visavis.gallery.enrolling import EnrolledPhotos
from visavis.gallery.maintenance import Reembedding
from visavis.scale.embedding import Embedded
from visavis.wording import counted

SOURCE = Path(visavis.__file__).parent
COUNT = re.compile(
    r"\{(?P<count>[^{}\"%!]+)\} (?:(?!and|for)[a-z-]+ )?(?:photos|files|people|faces|pairs|references|embeddings|subjects)\b"
)
# Counts that are never one: refused or chosen to be at least two, or a constant.
MANY = {
    "2 * folds",
    "_MIN_PHOTOS",
    "_MOST_MEMBERS:,",
    "2 * folds * per_kind:,",
    "len(dataset.people):,",
    "len(faces)",
    "len(faces.people)",
    "out.suffix",
    "photos + 1",
    "search.enrolled:,",
    "self.photos:,",
    "self.people:,",
}
MANY |= {"aligned.others + 1", "evaluation.photos:,", "evaluation.people:,", "self.people", "tenth:,"}


@pytest.mark.parametrize(
    ("count", "noun", "text"),
    [
        (0, "photo", "0 photos"),
        (1, "photo", "1 photo"),
        (2_000, "non-mated pair", "2,000 non-mated pairs"),
        (1, "person", "1 person"),
        (3, "known person", "3 known people"),
        (np.int64(1), "reference", "1 reference"),
        (1.2, "person", "1 person"),
    ],
)
def test_a_noun_is_in_the_plural_unless_there_is_one(count, noun, text):
    assert counted(count, noun) == text


ONE = Intake("photos", 1, 1, (PassedOver("notes.txt", "not an image", "unsupported image format (txt)"),))


@pytest.mark.parametrize(
    ("summary", "text"),
    [
        (ONE, "1 photo of 1 person; 1 file passed over (1 not an image)"),
        (Preparation(Path("faces"), 1, 1, 1, 0, (), ONE), "1 face of 1 person from 1 photo, in faces"),
        (Embedded("out", 1, 1, 1, 1, 0, ONE), "1 embedding of 1 photo, 1 file in out\n1 photo failed"),
        (EnrolledPhotos({"Anna": ("1",)}, (), (), 1), "enrolled 1 reference of 1 person; already enrolled: 1 photo"),
        (Reembedding(1, 1, 1), "re-embedded 1 reference; deleted 1 reference and 1 subject without references"),
        (describe_failures([Failure("a.jpg", "no face")])[0], "1 photo without a face, such as a.jpg"),
        (repr(PairProtocol(np.array([[0, 1], [0, 2]]), np.array([1, 0]), None, "pairs")), "1 mated and 1 non-mated pair"),
    ],
)
def test_summaries_of_one_are_in_the_singular(summary, text):
    assert text in str(summary)


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCE)))
def test_counts_in_messages_go_through_one_function(path):
    found = {match["count"] for match in COUNT.finditer(path.read_text()) if not match["count"].startswith("counted(")}
    assert found <= MANY
