"""The provider's trigger for a step, which also logs how far the step is.

Airflow stores the class path and the arguments of each trigger that waits. A change of either must still
load what an earlier release has stored: an argument that is added needs a default.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.providers.amazon.aws.triggers.emr import EmrStepSensorTrigger
from airflow.triggers.base import TriggerEvent

from fruit_pipeline.aws import retries
from fruit_pipeline.results.progress import read_async

log = logging.getLogger(__name__)

_SHORTEST_PAUSE_SECONDS = 1


class StepProgressTrigger(EmrStepSensorTrigger):
    """Waits for a step as the provider's does. Whatever comes of its progress changes nothing in that.

    :param progress: S3 address where the step says how far it is; None where it does not
    :param since: ISO 8601 time; what was said before is of an earlier step
    """

    def __init__(self, progress: str | None = None, since: str | None = None, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.serialized_fields |= {"progress": progress, "since": since}
        self.progress, self.since = progress, since

    async def run(self) -> AsyncIterator[TriggerEvent]:
        telling = asyncio.create_task(self._tell())
        try:
            async for event in super().run():
                yield event
        finally:
            telling.cancel()

    async def _tell(self) -> None:
        """Log the progress when it has changed, once a poll at most."""
        if self.progress is None or self.since is None:
            return
        since, said = datetime.fromisoformat(self.since), ""
        pause = max(_SHORTEST_PAUSE_SECONDS, self.waiter_delay)
        while True:
            try:
                async with await self._s3().get_async_conn() as s3:
                    while True:
                        progress = await read_async(s3, self.progress, since)
                        if progress and str(progress) != said:
                            said = str(progress)
                            log.info(said)
                        await asyncio.sleep(pause)
            except Exception as error:  # such as no credentials: the waiting itself will say so
                log.debug("The progress cannot be read: %s", error)
            await asyncio.sleep(pause)

    def _s3(self) -> S3Hook:
        """With the trigger's connection and region; each call is tried once, as the next poll tries again."""
        return S3Hook(
            aws_conn_id=self.aws_conn_id,
            region_name=self.region_name,
            verify=self.verify,
            config=retries.ONCE,
        )
