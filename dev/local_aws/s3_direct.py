"""S3's requests by the shortest way to moto's own answer: past the Flask application around it.

What is judged, stored and told is moto's, the same for both ways. Flask's takes a request apart, finds its
route among five, and puts the answer together: as long as all that moto does itself. What another service, an
anonymous client, a signed address or a page of a browser asks goes there.
"""

from collections.abc import Callable, Iterable
from typing import Any

from flask import Response
from moto.moto_api import recorder
from moto.moto_server.werkzeug_app import BackendRequest
from moto.s3.responses import S3Response
from werkzeug.exceptions import HTTPException

from local_aws.loopback import WsgiApp


def s3_directly(app: WsgiApp) -> WsgiApp:
    """moto's application, with a shorter way for what is plainly S3's."""

    def answered(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if not _is_plain(environ):
            return app(environ, start_response)
        return _answer(environ)(environ, start_response)

    return answered


def _is_plain(environ: dict[str, Any]) -> bool:
    """Signed for S3 in a header, from no browser, and on a bucket or an object in path style."""
    path = environ["PATH_INFO"]
    return (
        "/s3/aws4_request" in environ.get("HTTP_AUTHORIZATION", "")
        and "HTTP_ORIGIN" not in environ
        and path != "/"
        # Flask merges slashes; and these are S3 Control and moto's own.
        and "//" not in path
        and not path.startswith(("/v20180820/", "/moto-api", "/latest/"))
    )


def _answer(environ: dict[str, Any]) -> Response | HTTPException:
    request = BackendRequest(environ)
    recorder._record_request(request)
    of_object = environ["PATH_INFO"].strip("/").count("/") > 0
    dispatch = S3Response.key_dispatch if of_object else S3Response.bucket_dispatch
    try:
        status, headers, content = dispatch(request, request.raw_url, dict(request.headers))
    except HTTPException as error:
        return error
    response = Response(content, status, headers)
    if request.method == "HEAD" and "content-length" in headers:
        response.headers["Content-Length"] = headers["content-length"]
    response.headers["Access-Control-Allow-Origin"] = "*"
    return response
