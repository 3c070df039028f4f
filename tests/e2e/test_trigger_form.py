"""The form that starts a run, in a real browser: it can be submitted as it comes up, and says what is wrong.

Airflow's own page decides whether its button can be pressed; no schema of ours tells that.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect, sync_playwright
from rich.console import Console

from evidence.dag_picture import PAGE_MS, chromium
from fruit_contract.layout import DAG_ID
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
    expect(form.get_by_text("components: from 1 to 1,280.")).to_be_visible()


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


def test_a_run_as_the_form_comes_up_is_green(system: System, page: Page, form: Locator, photos: Path) -> None:
    """Meanwhile one click on the details of the task that waits opens the log of the step that runs."""
    run_id = submit(form)["dag_run_id"]
    task = f"{run_id}/taskInstances/wait_for_featurize"
    links = lambda: system.api.call("GET", f"/dags/{DAG_ID}/dagRuns/{task}/links").json()  # noqa: E731
    waits = lambda: system.api.call("GET", f"/dags/{DAG_ID}/dagRuns/{task}").json()["state"]  # noqa: E731
    eventually(lambda: links().get("extra_links", {}).get("Step log"), "the task waits for the step")
    page.goto(f"{system.stack.airflow.url}/dags/{DAG_ID}/runs/{run_id}/tasks/wait_for_featurize/details")
    with page.expect_popup() as opened:
        page.get_by_role("link", name="Step log").click()
    expect(opened.value.get_by_text("=== controller ===")).to_be_visible()
    assert waits() in ("running", "deferred", "scheduled", "queued"), "the step still runs"
    opened.value.close()
    assert ended(system, page, run_id) == "success"
    expect(page.get_by_text("Success", exact=True).first).to_be_visible()


def test_the_page_of_a_red_run_says_why(system: System, page: Page, form: Locator, photos: Path) -> None:
    field(form, "components").fill(str(PHOTOS))
    run_id = submit(form)["dag_run_id"]
    assert ended(system, page, run_id) == "failed"
    expect(page.get_by_text(f"lower components to at most {PHOTOS - 1}").first).to_be_visible()
