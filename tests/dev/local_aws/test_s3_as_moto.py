"""Promise: every answer of S3 is the one that moto alone gives, and clients of others can work with it.

The judge of the first is moto's own server in a process of its own, as it is installed.
"""

import http.client
import io
import json
import re
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator, Mapping
from hashlib import md5, sha256
from itertools import count
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode
from xml.etree import ElementTree as ET

import boto3
import obstore
import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st
from moto import settings
from obstore.store import S3Store
from pyarrow import fs

from local_aws.control import Control
from local_aws.faults import Fault, Throttle
from local_aws.server import LocalAws
from tests.dev.local_aws.emr_client import client

MOTO = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"""
SIGNED = {
    "Authorization": "AWS4-HMAC-SHA256 Credential=testing/20260101/eu-west-1/s3/aws4_request, "
    "SignedHeaders=host, Signature=0",
    "x-amz-content-sha256": "UNSIGNED-PAYLOAD",
}
IRELAND = (
    "<CreateBucketConfiguration><LocationConstraint>eu-west-1</LocationConstraint>"
    "</CreateBucketConfiguration>"
)
VERSIONED = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
NAMES = count()
DRAWN = [b"\xff", b"other bytes", b"", b"7\r\n"]
"""Bodies: what is drawn once is drawn again, so that conditions hold and ranges lie inside."""


class Ask(NamedTuple):
    """A request on an object, or without a key on the bucket."""

    method: str
    key: str = ""
    query: Mapping[str, str] = {}
    headers: Mapping[str, str] = {}
    body: bytes = b""


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


class Server:
    """One connection, kept as long as the server keeps it."""

    def __init__(self, port: int) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def ask(self, bucket: str, ask: Ask) -> Answer:
        path = f"/{bucket}/{quote(ask.key, safe='/~')}" if ask.key else f"/{bucket}"
        query = f"?{urlencode(ask.query)}" if ask.query else ""
        try:
            self.connection.request(ask.method, path + query, ask.body, {**SIGNED, **ask.headers})
            response = self.connection.getresponse()
            body = response.read()
        except BaseException:
            self.connection.close()
            raise
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, body)


@pytest.fixture(scope="module")
def moto() -> Iterator[Server]:
    program = [sys.executable, "-c", MOTO]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield Server(int(process.stdout.readline()))
        process.communicate()


@pytest.fixture(scope="module")
def ours(aws: LocalAws) -> Server:
    return Server(int(aws.aws_url.rpartition(":")[2]))


def comparable(answer: Answer) -> Answer:
    """Without what is another each time: ids, times, and how the connection goes on."""
    ids = rb"<(RequestId|VersionId|UploadId|LastModified)>[^<]*<"
    headers = dict(answer.headers)
    for name in (
        "x-amzn-requestid",
        "x-amz-version-id",
        "x-amz-copy-source-version-id",
        "last-modified",
        "date",
    ):
        headers[name] = "there" if name in headers else "not there"
    headers.pop("connection", None)
    return Answer(answer.status, headers, re.sub(ids, rb"<\1><", answer.body))


keys = st.text(st.sampled_from("ab/+ %#&<>\"'=;?~é日😀."), min_size=1, max_size=6).filter(
    lambda key: not key.startswith("/")
)
few_keys = st.one_of(keys, st.sampled_from(["a", "a/b", "a/c/d", "a b", "a+b/é", "b//c", "b/"]))
bodies = st.sampled_from(DRAWN)
a_range = st.sampled_from(
    ["bytes=0-0", "bytes=1-", "bytes=-3", "bytes=5-2", "bytes=99-", "bytes=0-1,3-4", "rows=1"]
)
etag = bodies.map(lambda body: f'"{md5(body, usedforsecurity=False).hexdigest()}"')
time = st.sampled_from(["Thu, 01 Jan 2015 00:00:00 GMT", "Fri, 01 Jan 2100 00:00:00 GMT"])
conditions = st.fixed_dictionaries(
    {},
    optional={
        "Range": a_range,
        "If-Match": etag,
        "If-None-Match": etag,
        "If-Modified-Since": time,
        "If-Unmodified-Since": time,
        "x-amz-checksum-mode": st.just("ENABLED"),
        "Content-Type": st.just("application/x-www-form-urlencoded"),
    },
)
of_an_object = st.fixed_dictionaries(
    {},
    optional={
        "versionId": st.sampled_from(["null", "no-such-version"]),
        "partNumber": st.sampled_from(["1", "2"]),
        "response-content-type": st.just("text/plain"),
        "x-id": st.just("GetObject"),
    },
) | st.sampled_from([{"tagging": ""}, {"acl": ""}, {"uploadId": "none"}])
written = st.fixed_dictionaries(
    {},
    optional={
        "Content-Type": st.sampled_from(["image/jpeg", "application/x-www-form-urlencoded", "text/html"]),
        "Cache-Control": st.just("no-store"),
        "Content-Encoding": st.just("gzip"),
        "x-amz-meta-a": st.sampled_from(["b", "b, c", " é "]),
        "x-amz-meta-under_score": st.just("d"),
        "x-amz-storage-class": st.sampled_from(["STANDARD_IA", "GLACIER", "NONE_SUCH"]),
        "x-amz-acl": st.just("public-read"),
        "x-amz-tagging": st.sampled_from(["k=v", "aws:k=v"]),
        "x-amz-server-side-encryption": st.sampled_from(["AES256", "aws:kms"]),
        "x-amz-website-redirect-location": st.just("/elsewhere"),
        "If-None-Match": st.just("*"),
        "If-Match": etag,
    },
)


@st.composite
def puts(draw: st.DrawFn) -> Ask:
    headers, body = dict(draw(written)), draw(bodies)
    checksum = b64encode(sha256(body).digest()).decode()
    if draw(st.booleans()):
        headers |= {"x-amz-sdk-checksum-algorithm": "SHA256", "x-amz-checksum-sha256": checksum}
    elif draw(st.booleans()):  # as botocore sends a stream
        headers |= {
            "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
            "x-amz-trailer": "x-amz-checksum-sha256",
            "x-amz-sdk-checksum-algorithm": "SHA256",
            "x-amz-decoded-content-length": str(len(body)),
            "Content-Encoding": "aws-chunked",
        }
        chunk = b"%x\r\n%s\r\n" % (len(body), body) if body else b""
        body = b"%s0\r\nx-amz-checksum-sha256:%s\r\n\r\n" % (chunk, checksum.encode())
    return Ask("PUT", draw(few_keys), {}, headers, body)


reads = st.builds(
    lambda *drawn: Ask(*drawn), st.sampled_from(["GET", "HEAD"]), few_keys, of_an_object, conditions
)
copies = st.builds(
    lambda key, source: Ask("PUT", key, {}, {"x-amz-copy-source": f"/@BUCKET/{quote(source)}"}),
    few_keys,
    few_keys,
)
listings = st.builds(
    lambda kind, query: Ask("GET", "", kind | query),
    st.sampled_from([{"list-type": "2"}, {"list-type": "2", "encoding-type": "url"}]),
    st.fixed_dictionaries(
        {},
        optional={
            "prefix": st.sampled_from(["", "a", "a/", "a+", "b/", "é"]),
            "delimiter": st.sampled_from(["/", "/", ""]),
            "max-keys": st.sampled_from(["0", "1", "2", "3", "1000"]),
            "start-after": st.sampled_from(["", "a", "a/", "a/b", "b"]),
            "fetch-owner": st.just("true"),
        },
    ),
)
old_listings = st.builds(
    lambda query: Ask("GET", "", query),
    st.fixed_dictionaries(
        {}, optional={"prefix": st.just("a"), "delimiter": st.just("/"), "max-keys": st.just("2")}
    ),
)
deletions = st.builds(lambda key: Ask("DELETE", key), few_keys)
asks = st.lists(
    st.one_of(puts(), puts(), reads, reads, copies, listings, listings, old_listings, deletions), max_size=16
)


@given(asks=asks, versioned=st.booleans())
def test_every_answer_is_moto_s(ours: Server, moto: Server, asks: list[Ask], versioned: bool) -> None:
    bucket = f"the-same-{next(NAMES)}"
    first = [Ask("PUT", "", {}, {}, IRELAND.encode())]
    first += [Ask("PUT", "", {"versioning": ""}, {}, VERSIONED.encode())] * versioned
    first += [Ask("PUT", key, {}, {}, b"other bytes") for key in ("a", "a/b", "a/c/d", "b/")]
    for ask in first + asks:
        if versioned and ask.method == "DELETE":
            continue  # moto lists folders of deleted objects, and ours does not: see test_local_s3
        ask = ask._replace(
            headers={name: value.replace("@BUCKET", bucket) for name, value in ask.headers.items()}
        )
        while True:
            mine, theirs = (comparable(server.ask(bucket, ask)) for server in (ours, moto))
            assert mine == theirs, ask
            token = (
                ET.fromstring(mine.body).findtext("{*}NextContinuationToken")
                if "list-type" in ask.query
                else None
            )
            if token is None:
                break
            ask = ask._replace(query={**ask.query, "continuation-token": token})


def test_one_connection_serves_all(ours: Server, control: Control, bucket: str) -> None:
    control.add_fault(Fault(service="s3", operation="PutObject", key_prefix="refused", effect=Throttle()))
    asked: list[Any] = []
    ours.connection.connect()
    there = ours.connection.sock
    for ask in (
        Ask("PUT", "a", {}, {}, b"bytes"),
        Ask("PUT", "refused", {}, {}, b"GET / HTTP/1.1\r\n\r\n" * 100_000),
        Ask("HEAD", "a"),
        Ask("GET", "a", {}, {"If-None-Match": '"4b3a6218bb3e3a7303e8a171a60fcf92"'}),
        Ask("GET", "none"),
        Ask("DELETE", "a"),
        Ask("GET", "", {"list-type": "2"}),
    ):
        asked.append(ours.ask(bucket, ask).status)
        assert ours.connection.sock is there
    assert asked == [200, 503, 200, 304, 404, 204, 200]


PHOTOS = {
    key: key.encode() * 999 for key in ("Test/a/1.jpg", "Test/a b+c%20/é😀&<.jpg", "Test/\U0010ffff/~.jpg")
}


def boto3_s3(aws: LocalAws, bucket: str) -> tuple[Any, Any, Any]:
    s3 = client(aws, "s3")
    return (
        # A stream, which botocore sends in chunks with its checksum behind them.
        lambda key, data: s3.put_object(
            Bucket=bucket, Key=key, Body=io.BytesIO(data), ChecksumAlgorithm="CRC32"
        ),
        lambda key: s3.get_object(Bucket=bucket, Key=key)["Body"].read(),
        lambda: [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket, Prefix="Test/")["Contents"]],
    )


def obstore_s3(aws: LocalAws, bucket: str) -> tuple[Any, Any, Any]:
    store = S3Store(
        bucket,
        endpoint=aws.aws_url,
        region="eu-west-1",
        access_key_id="testing",
        secret_access_key="testing",
        client_options={"allow_http": True},
    )
    return (
        lambda key, data: obstore.put(store, key, data),
        lambda key: bytes(obstore.get(store, key).bytes()),
        lambda: [entry["path"] for page in obstore.list(store, "Test/") for entry in page],
    )


def arrow_s3(aws: LocalAws, bucket: str) -> tuple[Any, Any, Any]:
    s3 = fs.S3FileSystem(
        endpoint_override=aws.aws_url, region="eu-west-1", access_key="testing", secret_key="testing"
    )

    def put(key: str, data: bytes) -> None:
        with s3.open_output_stream(f"{bucket}/{key}") as stream:
            stream.write(data)

    def get(key: str) -> bytes:
        with s3.open_input_file(f"{bucket}/{key}") as file:  # a range
            return bytes(file.read())

    selector = fs.FileSelector(f"{bucket}/Test", recursive=True)
    return (
        put,
        get,
        lambda: [
            entry.path.removeprefix(f"{bucket}/")
            for entry in s3.get_file_info(selector)
            if entry.type == fs.FileType.File
        ],
    )


CLIENTS = {"boto3": boto3_s3, "obstore": obstore_s3, "pyarrow": arrow_s3}


@pytest.mark.parametrize("writer", CLIENTS)
def test_what_one_client_writes_every_other_lists_and_reads(aws: LocalAws, bucket: str, writer: str) -> None:
    put, _, _ = CLIENTS[writer](aws, bucket)
    for key, data in PHOTOS.items():
        put(key, data)
    for reader in CLIENTS.values():
        _, get, list_keys = reader(aws, bucket)
        assert sorted(list_keys()) == sorted(PHOTOS)
        assert {key: get(key) for key in PHOTOS} == PHOTOS


def test_a_policy_is_obeyed_where_moto_goes_by_policies(
    aws: LocalAws, s3: BaseClient, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    iam = client(aws, "iam")
    iam.create_user(UserName="reader")
    statement = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/open/*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName="reader", PolicyName="open", PolicyDocument=policy)
    key = iam.create_access_key(UserName="reader")["AccessKey"]
    for name in ("open/a", "closed/a"):
        s3.put_object(Bucket=bucket, Key=name, Body=b"x")
    monkeypatch.setattr(settings, "INITIAL_NO_AUTH_ACTION_COUNT", 0)
    reader = boto3.client(
        "s3",
        endpoint_url=aws.aws_url,
        region_name="eu-west-1",
        aws_access_key_id=key["AccessKeyId"],
        aws_secret_access_key=key["SecretAccessKey"],
    )
    assert reader.get_object(Bucket=bucket, Key="open/a")["Body"].read() == b"x"
    for refused in (
        lambda: reader.get_object(Bucket=bucket, Key="closed/a"),
        lambda: reader.put_object(Bucket=bucket, Key="open/b", Body=b"x"),
        lambda: reader.list_objects_v2(Bucket=bucket),
    ):
        with pytest.raises(ClientError, match="AccessDenied"):
            refused()
