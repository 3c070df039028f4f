"""Airflow's UI in a real browser: the form that starts a run, and the pages that show what came of it.

Airflow's own page decides whether the form's button can be pressed; no schema of ours tells that.
"""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from fastapi.routing import APIRoute
from playwright.sync_api import BrowserContext, FrameLocator, Locator, Page, expect, sync_playwright
from rich.console import Console

from evidence.played_run import PAGE_MS, chromium, first_paint_ms
from fruit_contract.layout import DAG_ID
from fruit_pipeline.pages.app import create_app
from local_run import generated_photos
from local_run.follow import follow
from tests.dev.local_aws.emr_client import eventually
from tests.e2e.conftest import System

PHOTOS = 300
"""More than the 256 components that the form comes up with."""
SEVEN = ("bucket", "input_prefix", "components", "minimum_variance", "workers", "budget_eur", "full_refresh")


@pytest.fixture(scope="module")
def browser() -> Iterator[BrowserContext]:
    """One for all pages: Airflow's script of 7 MB is fetched once."""
    if not shutil.which("chromium") and not shutil.which("apt-get"):
        pytest.skip("Chromium is missing, and so is apt, with which `make browser` installs it")
    expect.set_options(timeout=PAGE_MS)
    with sync_playwright() as playwright, chromium(playwright) as browser:
        yield browser.new_context(viewport={"width": 1200, "height": 1600})


@pytest.fixture(scope="module")
def photos(system: System, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = generated_photos.generate(tmp_path_factory.mktemp("form"), PHOTOS)
    system.upload(folder)
    return folder


@pytest.fixture
def page(system: System, browser: BrowserContext) -> Iterator[Page]:
    """Signed in, as after Airflow's login."""
    browser.add_cookies([{"name": "_token", "value": system.api.token, "url": system.stack.airflow.url}])
    page = browser.new_page()
    page.set_default_timeout(PAGE_MS)
    yield page
    page.close()


@pytest.fixture
def form(system: System, page: Page) -> Locator:
    """The form as it comes up."""
    page.goto(f"{system.stack.airflow.url}/dags/{DAG_ID}")
    page.get_by_role("button", name="Trigger").first.click()
    form = page.get_by_role("dialog")
    field(form, "bucket").wait_for()
    return form


def field(form: Locator, name: str) -> Locator:
    return form.locator(f"[name=element_{name}]")


def submit(form: Locator) -> dict[str, Any]:
    """Press the button; what Airflow's API answers the page."""
    with form.page.expect_response(lambda answer: answer.request.method == "POST") as answered:
        form.get_by_role("button", name="Trigger").click()
    return dict(answered.value.json())


def ended(system: System, page: Page, run_id: str) -> str:
    """Wait for the end of a run, and open its page; the run's state."""
    state = follow(system.api, DAG_ID, run_id, system.stack.children, Console(quiet=True))
    page.goto(f"{system.stack.airflow.url}/dags/{DAG_ID}/runs/{run_id}")
    return state


def test_the_form_opens_with_seven_fields_and_folds_the_others(form: Locator) -> None:
    names = [str(each.get_attribute("name")) for each in form.locator("[name^=element_]:visible").all()]
    assert {name.removeprefix("element_") for name in names} >= set(SEVEN) - {"full_refresh"}
    for title in ("Photos", "Result", "Cluster", "Cost and limits", "Expert"):
        expect(form.get_by_role("button", name=title, exact=True)).to_have_attribute("aria-expanded", "false")
    expect(field(form, "batch_size")).to_be_hidden()
    form.get_by_role("button", name="Expert").click()
    expect(field(form, "batch_size")).to_be_visible()


def test_a_number_that_airflow_changes_has_its_range_beside_it(form: Locator) -> None:
    field(form, "components").fill("5000")
    field(form, "components").blur()
    expect(field(form, "components")).to_have_value("1280")
    expect(form.get_by_text("components: above 0 to 1,280.")).to_be_visible()


def test_components_may_be_a_share_of_the_variance(form: Locator) -> None:
    for share in ("0.95", "0.9995", "1", "64"):
        field(form, "components").fill(share)
        field(form, "components").blur()
        expect(field(form, "components")).to_have_value(share)
    field(form, "components").fill("1.5")
    submit(form)
    expect(form.get_by_text("Invalid input for param components: 1.5").first).to_be_visible()


def test_only_a_required_field_that_is_empty_holds_the_button(form: Locator) -> None:
    button = form.get_by_role("button", name="Trigger")
    expect(button).to_be_enabled()
    field(form, "workers").fill("")
    expect(button).to_be_enabled()
    field(form, "components").fill("")
    expect(button).to_be_disabled()


def test_a_wrong_value_is_refused_with_its_name_and_a_sentence(form: Locator) -> None:
    field(form, "bucket").fill("Not a bucket")
    submit(form)
    expect(form.get_by_text("Invalid input for param bucket: 'Not a bucket'").first).to_be_visible()


def test_a_run_as_the_form_comes_up_is_green_and_shows_its_result(
    system: System, page: Page, form: Locator, photos: Path
) -> None:
    run_id = submit(form)["dag_run_id"]
    page.goto(f"{system.stack.airflow.url}/dags/{DAG_ID}/runs/{run_id}")
    page.get_by_role("link", name="Result", exact=True).click()
    inside = page.frame_locator("iframe")
    expect(inside.get_by_role("heading", name=f"Run {run_id} is")).to_be_visible()
    the_waiting_task_leads_to_its_steps_log(system, page, run_id)
    # The tab looks again by itself, until the result is there.
    assert follow(system.api, DAG_ID, run_id, system.stack.children, Console(quiet=True)) == "success"
    expect(inside.get_by_role("heading", name=f"Result of {run_id}")).to_be_visible()
    headline = inside.get_by_role("list", name="The run at a glance")
    expect(headline).to_contain_text(f"{PHOTOS} photos")
    expect(headline).to_contain_text("result current since")

    inside.locator("#variance").hover()
    expect(inside.locator("#variance-told")).to_contain_text(re.compile(r"\d+ components keep \d"))
    inside.locator("#map-label").select_option(label="Kiwi")
    points_at_a_photo(inside)
    expect(inside.locator("#map-told")).to_contain_text("Kiwi: Test/Kiwi/")
    shown = inside.locator("#map-photo")
    expect(shown).to_be_visible()
    expect(shown).to_have_js_property("naturalWidth", 100)
    keys_lead_from_photo_to_photo(inside)
    paint = first_paint_ms(page.frames[-1])
    print(f"First paint of the tab after {paint:.0f} ms")
    assert paint > 0
    with page.expect_download() as downloaded:
        inside.get_by_role("link", name="report.json").click()
    assert json.loads(Path(downloaded.value.path()).read_text())["run_id"] == run_id
    a_photo_that_is_tried_is_known(inside, next(photos.glob("Kiwi/*.jpg")))


def a_photo_that_is_tried_is_known(inside: FrameLocator, photo: Path) -> None:
    """Answered by the run's own classifier, in a process of its own."""
    inside.get_by_label("Try a photo").set_input_files(photo)
    inside.get_by_role("button", name="What is it?").click()
    expect(inside.get_by_role("heading", level=1)).to_contain_text("Kiwi")
    expect(inside.get_by_role("heading", name="Photos that look most like it")).to_be_visible()


def the_waiting_task_leads_to_its_steps_log(system: System, page: Page, run_id: str) -> None:
    task = f"{run_id}/taskInstances/wait_for_featurize"
    links = lambda: system.api.call("GET", f"/dags/{DAG_ID}/dagRuns/{task}/links").json()  # noqa: E731
    # Not as often as it can: what answers is what runs the tasks.
    eventually(lambda: links().get("extra_links", {}).get("Step log"), "the task waits for the step", 0.5)
    details = page.context.new_page()
    details.goto(f"{system.stack.airflow.url}/dags/{DAG_ID}/runs/{run_id}/tasks/wait_for_featurize/details")
    with details.expect_popup() as opened:
        details.get_by_role("link", name="Step log").click()
    expect(opened.value.get_by_text("=== controller ===")).to_be_visible()
    opened.value.close()
    details.close()


def points_at_a_photo(inside: FrameLocator) -> None:
    """Move the mouse over the map until a photo is near."""
    canvas = inside.locator("#map")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    told = inside.locator("#map-told")
    for across in range(5, int(box["width"]), 12):
        for down in range(5, int(box["height"]), 12):
            canvas.hover(position={"x": across, "y": down})
            if told.text_content():
                return
    pytest.fail("no photo is on the map")


def keys_lead_from_photo_to_photo(inside: FrameLocator) -> None:
    """Choose a label in the legend and photos on the map by the keyboard alone."""
    told, lemon = inside.locator("#map-told"), inside.get_by_role("button", name="Lemon", exact=True)
    lemon.press("Enter")
    expect(lemon).to_have_attribute("aria-pressed", "true")
    seen = []
    for key in ("ArrowRight", "ArrowRight", "ArrowUp", "ArrowLeft", "ArrowDown"):
        inside.locator("#map").press(key)
        expect(told).to_contain_text("Lemon: Test/Lemon/")
        seen.append(told.text_content())
    assert len(set(seen)) > 1
    lemon.press("Enter")
    expect(lemon).to_have_attribute("aria-pressed", "false")


def test_the_page_of_a_red_run_says_why(system: System, page: Page, form: Locator, photos: Path) -> None:
    field(form, "components").fill(str(PHOTOS))
    run_id = submit(form)["dag_run_id"]
    assert ended(system, page, run_id) == "failed"
    expect(page.get_by_text(f"lower components to at most {PHOTOS - 1}").first).to_be_visible()
    page.goto(f"{system.stack.airflow.url}/fruits/result?run_id={run_id}")
    expect(page.get_by_role("heading", name="Why it is red")).to_be_visible()
    expect(page.get_by_text("is still current")).to_be_visible()


def test_all_runs_stand_in_a_table_and_two_side_by_side(system: System, page: Page, photos: Path) -> None:
    page.goto(f"{system.stack.airflow.url}/fruits/runs")
    expect(page.locator("figure")).to_have_count(5)
    boxes = page.get_by_role("checkbox")
    boxes.nth(0).check()
    boxes.nth(1).check()
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_role("heading", name="Two runs side by side")).to_be_visible()
    expect(page.get_by_role("row", name=re.compile("^components"))).to_have_count(2)


def routes() -> list[tuple[str, str]]:
    """Method and path of each."""
    return [(*route.methods, route.path) for route in create_app().routes if isinstance(route, APIRoute)]


@pytest.mark.parametrize(("method", "path"), routes())
def test_a_page_is_shown_to_those_who_may_see_the_runs_and_to_nobody_else(
    system: System, method: str, path: str
) -> None:
    url = f"{system.stack.airflow.url}/fruits{path}?run_id=x&run_id=y&key=k&file=f"
    secret = (system.stack.airflow.home / "jwt_secret").read_text()

    def status(token: str | None) -> int:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.request(method, url, headers=headers).status_code

    assert status(None) == httpx.codes.UNAUTHORIZED
    assert status("not.a.token") == httpx.codes.FORBIDDEN
    assert status(system.api.token + "x") == httpx.codes.FORBIDDEN
    claims = jwt.decode(system.api.token, options={"verify_signature": False})
    roles = {role: jwt.encode(claims | {"role": role}, secret, "HS512") for role in ("VIEWER", None)}
    assert status(roles[None]) == httpx.codes.FORBIDDEN
    seen = (httpx.codes.OK, httpx.codes.NOT_FOUND) if method == "GET" else (httpx.codes.CONFLICT,)
    assert status(roles["VIEWER"]) in seen


def test_the_pages_have_no_door_beside_their_routes(system: System) -> None:
    for path in ("/docs", "/redoc", "/openapi.json", "/", "/static/page.js"):
        assert httpx.get(f"{system.stack.airflow.url}/fruits{path}").status_code == httpx.codes.NOT_FOUND
