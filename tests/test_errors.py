"""The exceptions and the check of arguments that take one of a few values."""

from typing import Literal

import pytest

from visavis.errors import check_option


@pytest.mark.parametrize("value", ["person", "photo"])
def test_an_option_of_the_literal_passes(value):
    check_option("split", value, Literal["person", "photo"])


@pytest.mark.parametrize(
    ("options", "value", "message"),
    [
        (Literal["person", "photo"], "people", "split must be 'person' or 'photo', got 'people'"),
        (Literal["person", "photo"], None, "split must be 'person' or 'photo', got None"),
        (Literal["person", "photo"], 1, "split must be 'person' or 'photo', got 1"),
        (Literal["a", "b", "c"], "A", "split must be 'a', 'b' or 'c', got 'A'"),
        (Literal["centre"], "center", "split must be 'centre', got 'center'"),
    ],
)
def test_anything_else_is_named_with_what_would_be_right(options, value, message):
    with pytest.raises(ValueError) as error:
        check_option("split", value, options)
    assert str(error.value) == message
