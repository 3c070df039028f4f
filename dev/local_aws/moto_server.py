"""moto's server application: S3, SQS, IAM, CloudFormation, EC2 and the rest of moto."""

import json
import os
from collections.abc import Callable
from typing import Final

from moto.core.base_backend import BackendDict
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.wrappers import Response

from local_aws import moto_gaps
from local_aws.loopback import LoopbackServer, QuietHandler, WsgiApp
from local_aws.s3_direct import s3_directly

ACCOUNT_ID = "123456789012"
"""moto's own default account, used in every ARN."""


_NO_SUCH_SERVICE: Final = {
    "__type": "UnknownOperationException",
    "message": "Local AWS does not have this service.",
}


class _Handler(QuietHandler, MotoRequestHandler):
    """Of both: moto's keeps the names of an object's metadata as they were sent."""


def _application_of(service: str | None) -> WsgiApp:
    """moto's for one service. For one that it lacks moto would fail, and clients would ask again."""
    refusal = Response(json.dumps(_NO_SUCH_SERVICE), 400, content_type="application/x-amz-json-1.1")
    application: WsgiApp = refusal if service is None else create_backend_app(service)
    return application


def moto_server(port: int, wrap: Callable[[WsgiApp], WsgiApp]) -> LoopbackServer:
    """moto's application inside what ``wrap`` puts around it, ready to be started.

    Its state is one per process, as moto keeps it in modules.
    """
    moto_gaps.mend()
    # AWS's own policies, which `aws emr create-default-roles` and others attach to roles.
    os.environ["MOTO_IAM_LOAD_MANAGED_POLICIES"] = "true"
    application = wrap(s3_directly(DomainDispatcherApplication(_application_of)))
    server = LoopbackServer(application, port, _Handler)
    # moto composes some addresses (such as those of custom resources) from this variable.
    os.environ["MOTO_PORT"] = str(server.port)
    return server


def forget_everything() -> None:
    """Empty every backend of this process, so that the next server in it starts with nothing."""
    BackendDict.reset()
