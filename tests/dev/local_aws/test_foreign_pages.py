"""Local AWS answers programs and its own pages: no page of another site reads or changes anything."""

import http.client
from urllib.parse import urlsplit

import pytest
from botocore.client import BaseClient

from local_aws.control import Control
from local_aws.server import LocalAws

FOREIGN = [
    {"Origin": "https://site.example"},
    {"Origin": "http://site.example", "Host": "site.example"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:1"},
    {"Host": "site.example"},
    {"Host": "127.0.0.1.site.example"},
    {"Host": ""},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
]
"""What a browser says of a page of another site, and of one whose name means this machine."""


def answer(url: str, method: str, path: str, headers: dict[str, str]) -> tuple[int, http.client.HTTPMessage]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=30)
    try:
        connection.putrequest(method, path, skip_host="Host" in headers)
        for name, value in {"Content-Length": "2", **headers}.items():
            connection.putheader(name, value)
        connection.endheaders(b"{}")
        got = connection.getresponse()
        return got.status, got.headers
    finally:
        connection.close()


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_a_page_of_another_site_gets_nothing(
    aws: LocalAws, s3: BaseClient, bucket: str, control: Control, headers: dict[str, str]
) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=b"x", ACL="public-read-write")
    asked = [
        (aws.aws_url, "GET", f"/{bucket}/a"),
        (aws.aws_url, "OPTIONS", f"/{bucket}/a"),
        (aws.aws_url, "PUT", f"/{bucket}/b"),
        (aws.aws_url, "POST", "/moto-api/reset"),
        (aws.emr_url, "POST", "/_control/faults"),
        (aws.emr_url, "PUT", "/_control/clock"),
        (aws.emr_url, "POST", "/"),
        (aws.emr_url, "GET", "/s3/buckets/b"),
    ]
    for url, method, path in asked:
        status, got = answer(url, method, path, headers)
        assert status == 403, (method, path)
        assert [name for name in got if name.lower().startswith("access-control-")] == []
    assert [each["Key"] for each in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["a"]


@pytest.mark.parametrize("headers", [{}, {"Sec-Fetch-Site": "none"}, {"Sec-Fetch-Site": "same-origin"}])
def test_programs_and_its_own_pages_are_answered(aws: LocalAws, headers: dict[str, str]) -> None:
    for name in ("127.0.0.1", "localhost"):
        for url, path in ((aws.aws_url, "/moto-api/"), (aws.emr_url, "/_control/faults")):
            host = f"{name}:{urlsplit(url).port}"
            status, _ = answer(url, "GET", path, {"Host": host, "Origin": f"http://{host}", **headers})
            assert status == 200


A_LINK = {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
"""What a browser says when a person follows a link of Airflow's page."""


def test_a_link_leads_to_the_page_of_a_log(aws: LocalAws) -> None:
    status, got = answer(aws.emr_url, "GET", "/s3/buckets/b", A_LINK)
    assert status == 404, "no step has this log"
    assert [name for name in got if name.lower().startswith("access-control-")] == []


@pytest.mark.parametrize(
    "headers",
    [
        A_LINK | {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"},
        A_LINK | {"Sec-Fetch-Dest": "iframe"},
        A_LINK | {"Host": "site.example"},
    ],
    ids=["a script", "a frame", "another name"],
)
def test_nothing_but_a_link_leads_there(aws: LocalAws, headers: dict[str, str]) -> None:
    assert answer(aws.emr_url, "GET", "/s3/buckets/b", headers)[0] == 403


def test_a_link_leads_nowhere_else(aws: LocalAws) -> None:
    for url, method, path in (
        (aws.aws_url, "GET", "/moto-api/"),
        (aws.emr_url, "GET", "/_control/faults"),
        (aws.emr_url, "POST", "/s3/buckets/b"),
    ):
        assert answer(url, method, path, A_LINK)[0] == 403
