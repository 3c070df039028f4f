"""A run played on this machine's own Airflow and local AWS, and Chromium to look at it."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Browser, BrowserContext, Frame, Playwright, sync_playwright
from rich.console import Console

from fruit_contract.layout import DAG_ID, INPUT_PREFIX
from local_run import bucket_sync, generated_photos, local_account
from local_run.airflow_server import AirflowApi
from local_run.follow import follow
from local_run.local_stack import Paths, Stack, StackPlan, running

REPOSITORY: Final = Path(__file__).resolve().parents[2]
_REGION: Final = "eu-west-1"
_SECURITY_CONFIGURATION: Final = "fruits-as-deployed"
BUCKET: Final = f"fruits-classification-p9-local-{_REGION}"
PAGE_MS: Final = 180_000
"""How long a page may take for one thing: the machine plays the run beside it."""


@dataclass(frozen=True)
class Played:
    """The running system, and a browser that is signed in."""

    api: AirflowApi
    browser: BrowserContext
    url: str
    stack: Stack
    console: Console

    def run(self, run_id: str, parameters: Mapping[str, Any]) -> str:
        """Trigger a run and wait for its end; its address in the UI. ``SystemExit`` unless it is green."""
        self.api.trigger(DAG_ID, run_id, {"bucket": BUCKET, **parameters})
        state = follow(self.api, DAG_ID, run_id, self.stack.children, self.console)
        if state != "success":
            raise SystemExit(f"error: The run is {state}: fix it first, then take its picture.")
        return f"{self.url}/dags/{DAG_ID}/runs/{run_id}"


def chromium(playwright: Playwright) -> Browser:
    """Debian's Chromium, without a window; ``SystemExit`` where it is not installed."""
    path = shutil.which("chromium")
    if path is None:
        raise SystemExit("error: Chromium was not found: run `make browser`.")
    # What it keeps beside its profile goes into the checkout, and not into the home folder.
    own = str(REPOSITORY / ".cache" / "chromium")
    environment: dict[str, str | float | bool] = {**os.environ, "XDG_CONFIG_HOME": own, "XDG_CACHE_HOME": own}
    return playwright.chromium.launch(executable_path=path, args=["--no-sandbox"], env=environment)


def first_paint_ms(frame: Frame) -> float:
    """From the request for a page until something of it is on the screen, by the browser's own clock."""
    paints = "performance.getEntriesByName('first-contentful-paint').map((paint) => paint.startTime)"
    (moment,) = frame.evaluate(paints)
    return float(moment)


@contextmanager
def played(images: Path | None, count: int, width: int, height: int) -> Iterator[Played]:
    """A system with the photos of a folder, or with generated ones; it is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="played-") as folder:
        paths, console = Paths(REPOSITORY, Path(folder), Path(folder) / "out"), Console()
        settings = {"FRUITS_SECURITY_CONFIGURATION": _SECURITY_CONFIGURATION}
        stack = Stack(StackPlan(paths, BUCKET, 1000.0, settings=settings), console)
        stack.airflow.migrate()
        with sync_playwright() as playwright, chromium(playwright) as browser, running(stack):
            api, s3 = stack.start_airflow(), stack.client("s3")
            local_account.create_bucket(s3, BUCKET, _REGION)
            local_account.create_roles(stack.client("iam"), stack.deployment)
            local_account.create_security_configuration(stack.client("emr"), _SECURITY_CONFIGURATION)
            photos = images or generated_photos.generate(paths.state / "images", count)
            bucket_sync.mirror(s3, photos, BUCKET, INPUT_PREFIX, console)
            api.wait_until_ready(DAG_ID)
            context = browser.new_context(viewport={"width": width, "height": height})
            context.set_default_timeout(PAGE_MS)
            context.add_cookies([{"name": "_token", "value": api.token, "url": stack.airflow.url}])
            yield Played(api, context, stack.airflow.url, stack, console)
