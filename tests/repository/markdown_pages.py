"""The pages that people write, read as Markdown: their prose, their links, and what they name in code."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.token import Token

from tests.conftest import REPOSITORY

EVIDENCE: Final = REPOSITORY / "docs" / "evidence"
_PARSER: Final = MarkdownIt("commonmark").enable("table")
_SENTENCE_END: Final = re.compile(r"(?<=[.!?])[\"')]*\s+")


def written_pages() -> list[Path]:
    """The pages at the top and below docs/, without the evidence, whose words commands write."""
    pages = [*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md")]
    return sorted(page for page in pages if not page.is_relative_to(EVIDENCE))


@dataclass(frozen=True)
class Page:
    paragraphs: list[str]
    """Text outside headings, tables and code blocks; code in the text counts as one word."""
    links: list[str]
    codes: list[str]
    """What stands in code, in the text and in blocks."""
    anchors: set[str]


def read(page: Path) -> Page:
    tokens = _PARSER.parse(page.read_text(encoding="utf-8"))
    inline = [(before.type, token) for before, token in pairwise(tokens) if token.children]
    children = [child for _, token in inline for child in token.children or []]
    return Page(
        paragraphs=[_text(token) for opened, token in inline if opened == "paragraph_open"],
        links=[str(child.attrs["href"]) for child in children if child.type == "link_open"]
        + [str(child.attrs["src"]) for child in children if child.type == "image"],
        codes=[child.content for child in children if child.type == "code_inline"]
        + [token.content for token in tokens if token.type == "fence"],
        anchors={_anchor(token.content) for opened, token in inline if opened == "heading_open"},
    )


def _text(token: Token) -> str:
    words = {"text": lambda child: child.content, "code_inline": lambda _: "code", "softbreak": lambda _: " "}
    return "".join(words[child.type](child) for child in token.children or [] if child.type in words)


def _anchor(heading: str) -> str:
    """As GitHub makes it: lower case, hyphens for spaces, no other punctuation than hyphen and underscore."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def sentences(text: str) -> Iterator[str]:
    yield from (part for part in _SENTENCE_END.split(text) if part)


def words(sentence: str) -> list[str]:
    return [word for word in sentence.split() if re.search(r"\w", word)]
