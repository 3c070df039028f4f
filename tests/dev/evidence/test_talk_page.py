"""Promise: the pages of `make tour` are the record of a run and nothing else, and name what exists."""

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from evidence import marked_text, pictures, talk_page, talk_record
from evidence.criteria import CRITERIA, Criterion
from tests.conftest import REPOSITORY

RECORD: dict[str, Any] = talk_record.read()
PAGES = (talk_page.PAGE, talk_page.TOUR)
PICTURE = re.compile(r"!\[[^\]]+\]\(([^)]+)\)")
FIGURE = re.compile(r"\d[\d.,]*")


def shown(page: Path) -> list[Path]:
    """The pictures of a page."""
    return [(page.parent / link).resolve() for link in PICTURE.findall(page.read_text(encoding="utf-8"))]


def test_both_pages_are_what_the_record_gives() -> None:
    assert marked_text.read(talk_page.PAGE) == list(talk_page.lines(RECORD)), "run `make tour`"
    assert marked_text.read(talk_page.TOUR) == list(talk_page.tour_lines(RECORD)), "run `make tour`"


def test_no_figure_stands_outside_the_marks() -> None:
    for page in PAGES:
        before, _, rest = page.read_text(encoding="utf-8").partition(marked_text.BEGIN)
        by_hand = before + rest.partition(marked_text.END)[2]
        assert FIGURE.findall(by_hand) == [], page


def test_another_record_gives_other_figures() -> None:
    """None of them is written in the code that makes the page."""
    other = json.loads(json.dumps(RECORD), parse_int=lambda _: 7, parse_float=lambda _: 7.0)
    ours, theirs = ("\n".join(talk_page.lines(record)) for record in (RECORD, other))
    for figure in (RECORD["photos"]["found"], RECORD["photos"]["bytes"]):
        assert f"{figure:,}" in ours
        assert f"{figure:,}" not in theirs
    for figure in (f"{RECORD['pca']['explained_variance']:.2%}", f"{RECORD['cost']['estimate']:.3f}"):
        assert figure in ours
        assert figure not in theirs


def test_every_row_of_a_figure_says_where_it_is_from() -> None:
    told = {talk_page.HERE, talk_page.LOCAL, talk_page.MODEL}
    inside, found = False, 0
    for line in talk_page.lines(RECORD):
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else []
        if not cells:
            inside = False
        elif cells[-1] == "where from":
            inside = True
        elif inside and not line.startswith("|---"):
            assert cells[-1] in told, line
            found += 1
    assert found > 40


def test_the_stages_sum_to_the_run_and_the_groups_to_the_cost() -> None:
    assert sum(stage["seconds"] for stage in RECORD["stages"]) == pytest.approx(
        RECORD["run"]["seconds"], abs=0.5
    )
    for name in ("expected", "estimate", "actual"):
        assert sum(group[name] or 0 for group in RECORD["cost"]["groups"]) == pytest.approx(
            RECORD["cost"][name], abs=1e-3
        )


def test_the_run_met_what_the_mission_asks_in_figures() -> None:
    assert RECORD["run"]["state"] == "success"
    assert RECORD["pca"]["components"] == 256
    assert RECORD["pca"]["explained_variance"] >= 0.9
    assert RECORD["cost"]["estimate"] < RECORD["cost"]["budget"] == 10
    assert (RECORD["cluster"]["state"], RECORD["cluster"]["left_alive"]) == ("TERMINATED", 0)
    assert RECORD["region"].startswith("eu-")
    assert RECORD["encryption"]["objects"]["unencrypted"] == []


def test_every_picture_is_there_and_small_and_every_file_is_shown() -> None:
    shown_anywhere = {picture for page in PAGES for picture in shown(page)}
    assert shown_anywhere == set(pictures.FOLDER.glob("*.png"))
    for picture in shown_anywhere:
        assert picture.stat().st_size <= 150_000, picture
        with Image.open(picture) as opened:
            opened.verify()


@pytest.mark.parametrize("criterion", CRITERIA, ids=lambda each: each.file)
def test_the_file_and_the_tests_of_a_criterion_exist(criterion: Criterion) -> None:
    assert (REPOSITORY / criterion.file).is_file()
    assert criterion.tests
    for name in criterion.tests:
        file, _, function = name.partition("::")
        tree = ast.parse((REPOSITORY / file).read_text(encoding="utf-8"))
        assert function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, name


def test_the_page_names_the_nine_criteria_and_quotes_nobody() -> None:
    assert len(CRITERIA) == 9
    text = talk_page.PAGE.read_text(encoding="utf-8")
    assert all(each.asked in text for each in CRITERIA)
    assert "they quote nobody" in text


def test_a_picture_is_made_smaller_until_it_fits_or_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "FOLDER", tmp_path / "tour")
    noise = Image.effect_noise((700, 700), 200)
    noise.save(tmp_path / "noise.png")
    with pytest.raises(SystemExit, match=r"noise.png has .* bytes, at most 150,000: take less of the page"):
        pictures.save((tmp_path / "noise.png").read_bytes(), "noise")
    assert not (tmp_path / "tour" / "noise.png").exists()
    noise.resize((400, 400)).save(tmp_path / "small.png")
    pictures.save((tmp_path / "small.png").read_bytes(), "small")
    assert (tmp_path / "tour" / "small.png").stat().st_size <= 150_000
