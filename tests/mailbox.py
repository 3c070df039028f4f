"""Somebody who is told: a queue that subscribes to a topic, read through real clients."""

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Mailbox:
    """``notify`` is what ``FRUITS_NOTIFY`` must be for its letters to come."""

    sqs: Any
    queue_url: str
    notify: str

    @classmethod
    def subscribed(cls, sns: Any, sqs: Any, name: str) -> "Mailbox":
        """A topic and a queue of this name."""
        topic = sns.create_topic(Name=name)["TopicArn"]
        queue_url = sqs.create_queue(QueueName=name)["QueueUrl"]
        named = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=named["Attributes"]["QueueArn"])
        return cls(sqs, queue_url, topic)

    def bodies(self) -> list[str]:
        """What has come since the last look, and is not there at the next."""
        found: list[str] = []
        while got := self.sqs.receive_message(QueueUrl=self.queue_url, MaxNumberOfMessages=10).get(
            "Messages"
        ):
            for each in got:
                found.append(each["Body"])
                self.sqs.delete_message(QueueUrl=self.queue_url, ReceiptHandle=each["ReceiptHandle"])
        return found

    def letters(self) -> list[tuple[str, str]]:
        """Subject and message of each, as a mail would have them."""
        return [(body["Subject"], body["Message"]) for body in map(json.loads, self.bodies())]
