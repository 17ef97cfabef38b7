"""Counted nouns in messages and summaries."""

__all__ = ["counted"]

_IRREGULAR = {"entry": "entries", "person": "people"}


def counted(count: int | float, noun: str) -> str:
    """Return a count with its noun in singular or plural.

    Args:
        count: How many; rounded to a whole number.
        noun: In the singular, with adjectives before it; the last word is put into the plural.

    Example:
        >>> counted(1, "person"), counted(2_000, "non-mated pair"), counted(0, "photo")
        ('1 person', '2,000 non-mated pairs', '0 photos')
    """
    number = f"{count:,.0f}"
    if number == "1":
        return f"{number} {noun}"
    *others, last = noun.split(" ")
    return " ".join([number, *others, _IRREGULAR.get(last, f"{last}s")])
