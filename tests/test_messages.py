"""The messages that a page quotes are in the sources.

A quoted message is a code span that begins with `error: ` or `warning: `, or one in the first column of a table headed `message`.
In such a table `…` stands for any text.
"""

import ast
import errno
import os
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TABLE = re.compile(r"^\| message \|.*\n(?:\|.*\n)+", re.MULTILINE)
PLACEHOLDER = "\0"


@cache
def templates():
    """Return every string of the sources, with a mark for each value that is formatted into it."""
    found = {os.strerror(number) for number in errno.errorcode}
    for path in (ROOT / "src" / "visavis").rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if id(node) in docstrings:
                continue
            if isinstance(node, ast.JoinedStr):
                parts = (part.value if isinstance(part, ast.Constant) else PLACEHOLDER for part in node.values)
                found.add("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
    return found


def is_quoted(message):
    """Return whether part of a string of the sources reads like `message`, in which `…` stands for any text."""
    pattern = re.compile(".*".join(map(re.escape, message.split("…"))))
    return len(message) >= 10 and any(pattern.search(template) for template in templates())


def is_printed(message):
    """Return whether a string of the sources, with values put into it, makes up most of `message`."""
    for template in templates():
        pieces = template.split(PLACEHOLDER)
        if sum(map(len, pieces)) >= max(15, 0.4 * len(message)) and re.search(".*?".join(map(re.escape, pieces)), message):
            return True
    return False


def quoted(page):
    """List the messages in the first columns of a page's tables of messages."""
    rows = [row for table in TABLE.findall(page.read_text()) for row in table.splitlines()[2:]]
    return [re.match(r"\| `(.*?)` \|", row)[1] for row in rows]


def printed(page):
    """List the messages that a page shows as a command prints them, without `error: ` and `warning: `."""
    return re.findall(r"`(?:error|warning): (.*?)`", page.read_text())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_quoted_messages_are_real(page):
    assert not [message for message in quoted(page) if not is_quoted(message)]
    assert not [message for message in printed(page) if not is_printed(message)]


def test_the_troubleshooting_table_is_read():
    page = ROOT / "docs" / "quick-start.md"
    assert len(quoted(page)) >= 4
    assert len(printed(page)) >= 10


def test_an_invented_message_is_found_out():
    assert not is_quoted("several faces were found")
    assert not is_printed("a.jpg: several people stand in the photo")
    assert is_quoted("no … was found") or is_quoted("no face … detected")
    assert is_printed("a.jpg: No such file or directory")
