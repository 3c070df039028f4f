"""Promise: the documentation is short, in plain English, and names nothing that does not exist."""

import ast
import re
from pathlib import Path
from typing import Final

import pytest

from fruit_pipeline.drops import drop_tasks
from fruit_pipeline.settings import parameters
from fruit_pipeline.settings.deployment import Deployment
from tests.conftest import REPOSITORY
from tests.repository.markdown_pages import EVIDENCE, read, sentences, words, written_pages

MOST_WORDS_OF_A_SENTENCE: Final = 25
MOST_WORDS: Final = {"README.md": 600, "docs": 12_000}
CODE: Final = ("dags", "plugins", "spark", "dev", "deploy")
PAGES: Final = written_pages()
FOR_MEANING_BECAUSE: Final = re.compile(
    r"[,;:] for (?:it|they|he|she|we|no|nobody|nothing|there|that is|this is)\b"
)
PATH_IN_CODE: Final = re.compile(
    r"(?:dags|plugins|spark|dev|deploy|notebooks|tests|docs|requirements)/[\w./-]*\w"
)
MAKE_TARGET: Final = re.compile(r"\bmake ([a-z][a-z0-9-]*)")


def name(page: Path) -> str:
    return page.relative_to(REPOSITORY).as_posix()


def long_sentences(text: str) -> list[str]:
    return [each for each in sentences(text) if len(words(each)) > MOST_WORDS_OF_A_SENTENCE]


def texts(page: Path) -> list[str]:
    return read(page).paragraphs


def descriptions() -> dict[str, str]:
    """What Airflow's form and docs/settings.md say of each parameter and setting."""
    forms = {**parameters.form(), **drop_tasks.form()}
    said = {name: param.schema["description_md"] for name, param in forms.items()}
    return said | {name: str(field.description) for name, field in Deployment.model_fields.items()}


# --- what the checks can see -----------------------------------------------------------------------


def test_a_long_sentence_is_found_and_a_short_one_is_not() -> None:
    assert long_sentences("One. " + "word " * 25 + "end. Two.") == ["word " * 25 + "end."]
    assert long_sentences("word " * 24 + "end. Version 3.3.1 is here. " + "word " * 25) == []


def test_prose_is_told_from_tables_headings_and_code(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A b\n\nText `x y`\n[more](to.md#a-b).\n\n| c |\n|---|\n| d |\n\n```\ne\n```\n- f\n")
    found = read(page)
    assert found.paragraphs == ["Text code more.", "f"]
    assert (found.links, found.codes, found.anchors) == (["to.md#a-b"], ["x y", "e\n"], {"a-b"})


@pytest.mark.parametrize(
    ("text", "is_found"),
    [
        ("It fails at once, for nothing would change.", True),
        ("It waits, for it has time.", True),
        ("A role for Airflow, and one for nodes.", False),
        ("Kept for 30 days, for the report.", False),
    ],
)
def test_for_in_the_sense_of_because_is_found(text: str, is_found: bool) -> None:
    assert bool(FOR_MEANING_BECAUSE.search(text)) is is_found


# --- words -----------------------------------------------------------------------------------------


def test_the_readme_and_all_pages_together_are_short() -> None:
    counts = {name(page): len(page.read_text(encoding="utf-8").split()) for page in PAGES}
    assert counts["README.md"] <= MOST_WORDS["README.md"]
    docs = {page: count for page, count in counts.items() if page.startswith("docs/")}
    assert sum(docs.values()) <= MOST_WORDS["docs"], docs


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_no_sentence_of_a_page_is_long(page: Path) -> None:
    assert [each for text in texts(page) for each in long_sentences(text)] == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_no_page_says_for_in_the_sense_of_because(page: Path) -> None:
    assert [text for text in texts(page) if FOR_MEANING_BECAUSE.search(text)] == []


def test_every_description_of_a_setting_is_plain() -> None:
    said = descriptions()
    assert len(said) > 50
    assert {name: text for name, text in said.items() if long_sentences(text)} == {}
    assert {name: text for name, text in said.items() if FOR_MEANING_BECAUSE.search(text)} == {}


def first_sentences() -> dict[str, str]:
    """The first sentence of every docstring of the code."""
    code = [path for folder in CODE for path in sorted((REPOSITORY / folder).rglob("*.py"))]
    return {
        f"{name(path)}:{getattr(node, 'lineno', 1)}": next(sentences(text))
        for path in code
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        if (text := ast.get_docstring(node))
    }


def test_every_docstring_begins_with_a_plain_sentence() -> None:
    said = first_sentences()
    assert len(said) > 500
    assert {where: text for where, text in said.items() if long_sentences(text)} == {}
    assert {where: text for where, text in said.items() if FOR_MEANING_BECAUSE.search(text)} == {}


# --- what the pages name -----------------------------------------------------------------------------


@pytest.mark.parametrize("page", [*PAGES, *sorted(EVIDENCE.glob("*.md"))], ids=name)
def test_every_link_leads_somewhere(page: Path) -> None:
    broken = []
    for link in read(page).links:
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if "://" in link:
            continue
        if not target.exists() or (anchor and anchor not in read(target).anchors):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_path_that_a_page_names_exists(page: Path) -> None:
    named = {word.strip("/") for code in read(page).codes for word in code.split()}
    named = {word for word in named if PATH_IN_CODE.fullmatch(word)}
    assert {path for path in named if not (REPOSITORY / path).exists()} == set()


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_make_target_that_a_page_names_exists(page: Path) -> None:
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    named = {target for code in read(page).codes for target in MAKE_TARGET.findall(code)}
    assert {target for target in named if not re.search(rf"^{target}:", makefile, re.M)} == set()
