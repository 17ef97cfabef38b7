"""People's names and file names as text: one normal form to compare, one escaped form to show."""

import unicodedata

__all__ = ["UNNAMED", "check_name", "normalise_name", "normalise_path", "shown_name"]

UNNAMED = ""
"""The person of a photo that lies in no person's folder."""

_ALLOWED_FORMAT = frozenset("\u061c\u200c\u200d\u200e\u200f")
"""Format characters that scripts need: the joiners ZWNJ and ZWJ, and the direction marks ALM, LRM and RLM."""


def normalise_name(name: str) -> str:
    """Return a name in the form in which names are compared and kept.

    Unicode NFC, no whitespace around it, and each run of whitespace inside as one blank. Upper and lower case stay different.

    Example:
        >>> normalise_name("  Jose\u0301   Garci\u0301a ")
        'José García'
    """
    return " ".join(unicodedata.normalize("NFC", name).split())


def normalise_path(path: str) -> str:
    """Return a path in which every part is normalised as `normalise_name` does, to compare names of files."""
    if path.isascii() and " " not in path:
        return path
    return "/".join(map(normalise_name, path.split("/")))


def check_name(name: str, what: str = "a person's name") -> str:
    """Normalise a name, and refuse one that cannot be read or would be shown as another one.

    Args:
        name: The name.
        what: What to call it in the message.

    Returns:
        The normalised name.

    Raises:
        ValueError: If it is empty, or has a control character, a bidirectional override or another invisible character. Joiners,
            direction marks and variation selectors are allowed: scripts and emoji need them.
    """
    normal = normalise_name(name)
    if not normal:
        raise ValueError(f"{what} must not be empty, got {name!r}")
    if not normal.isprintable():
        for character in normal:
            if _is_refused(character):
                kind = unicodedata.name(character, "a control character")
                raise ValueError(f"{what} must not have invisible characters, got U+{ord(character):04X} ({kind}) in {name!r}")
    return normal


def shown_name(name: str) -> str:
    r"""Return a file name as it can be printed and written as UTF-8.

    Bytes that are not UTF-8 (surrogates, as `os.fsdecode` gives them) become `\xNN`, control characters and bidirectional
    overrides `\xNN` or `\uNNNN`.

    Example:
        >>> print(shown_name(b"caf\xe9.jpg".decode(errors="surrogateescape")))
        caf\xe9.jpg
    """
    if name.isprintable():
        return name
    return "".join(_escaped(character) if _is_refused(character) else character for character in name)


def _is_refused(character: str) -> bool:
    category = unicodedata.category(character)
    return category in ("Cc", "Cs", "Zl", "Zp") or (category == "Cf" and character not in _ALLOWED_FORMAT)


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
