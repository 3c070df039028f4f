"""Promise: messages of local SQS are neither lost nor doubled when several clients use a queue at once."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from moto.sqs.models import Message, SQSBackend

from local_aws import moto_gaps

CLIENTS = 8
SENT = 300
MEANWHILE = 50


@pytest.fixture
def sqs(restless: None) -> SQSBackend:
    """With a queue ``q``."""
    moto_gaps.mend()
    backend = SQSBackend("eu-west-1", "123456789012")
    backend.create_queue("q", {})
    return backend


def test_what_is_received_and_deleted_at_once_is_gone_and_what_is_sent_meanwhile_stays(
    sqs: SQSBackend,
) -> None:
    for number in range(SENT):
        sqs.send_message("q", str(number))

    def receive_all(_: int) -> list[Message]:
        received: list[Message] = []
        while some := sqs.receive_message("q", 10, 0, 120):
            received += some
        return received

    with ThreadPoolExecutor(CLIENTS) as clients:
        received = [message for some in clients.map(receive_all, range(CLIENTS)) for message in some]
    assert sorted(message.body for message in received) == sorted(str(number) for number in range(SENT))
    with ThreadPoolExecutor(CLIENTS) as clients:
        clients.map(lambda message: sqs.delete_message("q", message.receipt_handle), received)
        clients.map(lambda number: sqs.send_message("q", f"new {number}"), range(MEANWHILE))
    left = sorted(message.body for message in sqs.get_queue("q")._messages)
    assert left == sorted(f"new {number}" for number in range(MEANWHILE))
