"""Checks that the pages are short: words of a sentence, words of a page.

python tools/check_pages.py

A sentence ends with a full stop, a question mark or an exclamation mark, or
with its paragraph, item of a list or cell of a table. Code is not counted;
`code` within a sentence is one word. Pages that a program writes may be long.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MAX_SENTENCE = 35
MAX_PAGE = 1500
GENERATED = {"performance.md", "cli.md", "records.md", "summaries.md"}

_FENCE = re.compile(r"^ *```.*?^ *```[^\n]*$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`[^`]+`")
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_BLOCK = re.compile(r"\n\s*\n|\n\s*(?:[*-]|\d+\.)\s+|\n#+ |\n(?=\|)|\|")
_END = re.compile(r"(?<=[.!?])[\"')*]*\s+(?=[A-Z`*\"'(])")


def sentences_of(page: str) -> Iterator[str]:
    """Yields the sentences of a page of Markdown."""
    text = _LINK.sub(r"\1", _CODE.sub("Code", _FENCE.sub("\n\n", page)))
    for block in _BLOCK.split(text):
        yield from (s.strip() for s in _END.split(block) if s.strip())


def num_words(text: str) -> int:
    """Returns the number of words; a dash or a bracket is none."""
    return sum(any(c.isalnum() for c in word) for word in text.split())


def complaints_about(name: str, page: str) -> Iterator[str]:
    """Yields what is too long in a page."""
    for sentence in sentences_of(page):
        if num_words(sentence) > MAX_SENTENCE:
            yield (
                f"{name}: Expected at most {MAX_SENTENCE} words in a sentence; "
                f"got {num_words(sentence)}: {' '.join(sentence.split())}"
            )
    length = num_words(_FENCE.sub("", page))
    if length > MAX_PAGE and Path(name).name not in GENERATED:
        yield f"{name}: Expected at most {MAX_PAGE} words; got {length}."


def main() -> int:
    """Prints what is too long; returns the exit code."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    complaints = [
        complaint
        for page in pages
        for complaint in complaints_about(
            str(page.relative_to(ROOT)), page.read_text(encoding="utf-8")
        )
    ]
    print("\n".join(complaints) or f"{len(pages)} pages are short enough.")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
