"""Spark's event log: the stages of an application and how long their tasks took."""

import json
from dataclasses import dataclass
from pathlib import Path
from statistics import median


@dataclass(frozen=True)
class Stage:
    """A completed stage: its seconds, and the seconds of each of its tasks that succeeded."""

    seconds: float
    tasks: tuple[float, ...]

    @property
    def straggling(self) -> float:
        """By how much the longest task outlasted the median one, as a share of the stage's time."""
        return (max(self.tasks) - median(self.tasks)) / self.seconds if self.tasks else 0.0


def read_stages(folder: Path) -> list[Stage]:
    """The stages in the one event log below ``folder``, in the order in which they ended."""
    [log] = [path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(".crc")]
    stages: list[Stage] = []
    tasks: dict[tuple[int, int], list[float]] = {}
    with log.open() as lines:
        for line in lines:
            event = json.loads(line)
            if event["Event"] == "SparkListenerTaskEnd" and event["Task End Reason"]["Reason"] == "Success":
                info = event["Task Info"]
                key = event["Stage ID"], event["Stage Attempt ID"]
                tasks.setdefault(key, []).append((info["Finish Time"] - info["Launch Time"]) / 1000)
            elif event["Event"] == "SparkListenerStageCompleted":
                info = event["Stage Info"]
                if "Submission Time" in info and "Completion Time" in info:
                    key = info["Stage ID"], info["Stage Attempt ID"]
                    seconds = (info["Completion Time"] - info["Submission Time"]) / 1000
                    stages.append(Stage(seconds, tuple(tasks.get(key, []))))
    return stages
