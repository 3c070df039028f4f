"""That a form was sent by one of these pages: a browser sends Airflow's cookie with those of others, too."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from fruit_pipeline.pages.result_page import PageError

_SITE: Final = "sec-fetch-site"


def check(headers: Mapping[str, str]) -> None:
    """``PageError`` unless a browser says that the form is of the site it goes to.

    ``Sec-Fetch-Site`` says so itself. Browsers leave it out over plain HTTP, and send ``Origin``.
    """
    if _SITE in headers:
        is_own = headers[_SITE] == "same-origin"
    else:
        is_own = urlsplit(headers.get("origin", "")).netloc in _own_hosts(headers)
    if not is_own:
        raise PageError("The form was sent from another site: open the tab Result, and send it there.")


def _own_hosts(headers: Mapping[str, str]) -> set[str]:
    """As the browser names it, and as Airflow's settings do: a proxy may change the first."""
    from airflow.configuration import conf

    return {headers.get("host", ""), urlsplit(conf.get("api", "base_url", fallback="")).netloc} - {""}
