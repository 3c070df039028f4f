"""The former class path of the watcher's trigger, which Airflow has stored. Remove it with release 0.3."""

from fruit_pipeline.drops.queue_trigger import PhotoEventsTrigger

__all__ = ["PhotoEventsTrigger"]
