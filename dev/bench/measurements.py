"""Every measurement, as plain numbers by name: what is started, on what, in which order."""

import gzip
import itertools
import json
import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import fmean
from typing import Any, Final

import numpy as np
import pyarrow.parquet as pq

from bench.bench_photos import local_work_list, prepare_photos, write_work_list
from bench.feature_tables import write_features
from bench.first_prediction import seconds_to_first_prediction
from bench.object_store import BUCKET, object_store
from bench.raw_litert import images_per_second
from bench.sizes import Sizes
from bench.spark_process import CORES, LOCAL, ROOT, Java, Run, spark_environment, submit
from fruit_spark.model.engines import Features

MODEL: Final = ROOT / ".cache" / "model"
AIRFLOW_PYTHON: Final = ROOT / ".venv" / "airflow" / "bin" / "python"
FEATURIZE: Final = ROOT / "spark" / "featurize.py"
APPLICATIONS: Final = ROOT / "dev" / "bench" / "applications"
PEERS: Final = ROOT / "dev" / "bench" / "peers.py"
LATENCY: Final = 0.020
"""Mean seconds added to a request: what S3 usually takes to answer for a small object."""
MANY_PARTITIONS: Final = 1_000
FEW_PARTITIONS: Final = 4
LEAST_COSINE: Final = 0.995
MEAN_COSINE: Final = 0.999
"""Between a peer's features and ours, for every photo and on average. The peers resize with Pillow, which
rounds a fifth of the pixels to the next of 256 steps: that alone gives 0.9984 at worst, 0.9994 on average."""
NO_OPTIONS: Final = "-Dbench=default"
"""The JVM as Spark starts it, with its optimizing compiler: where the peer's work is done in Java."""

Measured = dict[str, Any]


class Bench:
    """The inputs in one folder, and one method a measurement."""

    def __init__(self, folder: Path, sizes: Sizes, source: Path | None) -> None:
        self._folder, self._sizes = folder, sizes
        self._photos = prepare_photos(folder / "photos", sizes.photos, source)
        self._outputs = itertools.count()

    def measurements(self) -> dict[str, Callable[[], Measured]]:
        """In the order in which they are made."""
        return {
            "featurize": self.featurize,
            "read_stage": self.read_stage,
            "latency": self.latency,
            "reduce": self.reduce,
            "partitions": self.partitions,
            "first_prediction": self.first_prediction,
            "resume": self.resume,
            "plan": self.plan,
        }

    def featurize(self) -> Measured:
        """Ours on all photos and on a quarter, LiteRT alone, and both peers on fewer photos."""
        sizes = self._sizes
        raw: list[float] = []
        ours: list[Run] = []
        quarter: list[Run] = []
        peers: dict[str, list[Measured]] = {name: [] for name in self._peers()}
        for _ in range(sizes.repeats):
            raw.append(self._raw())
            ours.append(self._ours(self._photos))
            quarter.append(self._ours(self._photos[: sizes.photos // 4]))
            for name, count in self._peers().items():
                half, whole = (self._peer(name, photos, ours[-1]) for photos in (count // 2, count))
                peers[name].append({"seconds": whole, "half_seconds": half})
        raw.append(self._raw())
        return {
            "raw_images_per_second": raw,
            "photos": sizes.photos,
            "ours": [_facts(run) for run in ours],
            "quarter": [_facts(run) for run in quarter],
            "peers": {name: {"photos": count, "runs": peers[name]} for name, count in self._peers().items()},
        }

    def read_stage(self) -> Measured:
        """The fast reader against S3A's binaryFile, both from the same slow store."""
        photos, few = self._subset(self._sizes.read), self._subset(self._sizes.few, "warm")
        root = self._folder / "store"
        root.mkdir()
        photos.rename(root / "photos")
        few.rename(root / "few")
        with object_store(root, LATENCY) as endpoint:
            run = submit(
                APPLICATIONS / "read_stage.py",
                {
                    "--photos": f"s3a://{BUCKET}/photos/",
                    "--few": f"s3a://{BUCKET}/few/",
                    "--repeats": self._sizes.repeats,
                },
                environment=_s3(endpoint),
                result=self._new("read.json"),
            )
        return run.result

    def latency(self) -> Measured:
        """The featurize stage from a store that answers late, and from the same store answering at once."""
        photos = self._photos[: self._sizes.latency]
        root = self._folder / "photos"
        keys = [str(path.relative_to(root)) for path in photos]
        work_list = write_work_list(
            self._new("work.parquet"),
            [
                (key, f"s3://{BUCKET}/{key}", "", path.stat().st_size)
                for key, path in zip(keys, photos, strict=True)
            ],
        )
        seconds: dict[str, list[float]] = {"with": [], "without": []}
        with object_store(root, LATENCY) as slow, object_store(root, 0) as quick:
            for _ in range(self._sizes.repeats):
                for name, endpoint in (("with", slow), ("without", quick)):
                    run = self._featurize(work_list, environment=_s3(endpoint))
                    seconds[name].append(run.main_stage.seconds)
        return {"photos": len(photos), "stage_seconds": seconds}

    def reduce(self) -> Measured:
        """Fit, and transform with the write of it, of our PCA and of pyspark.ml's."""
        sizes = self._sizes
        tables = {
            "features": (sizes.rows, 20),
            "quarter": (sizes.rows // 4, 5),
            "few": (max(sizes.rows // 20, 2 * sizes.components), 2),
        }
        written = {
            f"--{name}": write_features(self._new(name), rows, files)
            for name, (rows, files) in tables.items()
        }
        sizes_given = {"--components": sizes.components, "--rows": sizes.rows, "--repeats": sizes.repeats}
        run = submit(
            APPLICATIONS / "reduce_stages.py",
            {**written, **sizes_given, "--output": self._new("reduced")},
            java=Java(NO_OPTIONS),
            result=self._new("reduce.json"),
        )
        return {"rows": sizes.rows, "components": sizes.components, **run.result}

    def partitions(self) -> Measured:
        """Our fit on the same rows in few and in many files; executors apart from the driver."""
        tables = {
            files: write_features(self._new("partitioned"), self._sizes.rows, files)
            for files in (FEW_PARTITIONS, MANY_PARTITIONS)
        }
        runs: dict[int, list[Run]] = {files: [] for files in tables}
        for _ in range(self._sizes.repeats):
            for files, features in tables.items():
                runs[files].append(
                    submit(
                        APPLICATIONS / "fit.py",
                        {"--features": features, "--components": self._sizes.components},
                        master="local-cluster[2,1,1024]",
                        java=Java(NO_OPTIONS),
                        result=self._new("fit.json"),
                    )
                )
        return {"rows": self._sizes.rows} | {
            name: {
                "partitions": files,
                "seconds": [run.result["seconds"] for run in runs[files]],
                "driver_peak_mib": [run.driver_peak for run in runs[files]],
            }
            for name, files in (("few", FEW_PARTITIONS), ("many", MANY_PARTITIONS))
        }

    def first_prediction(self) -> Measured:
        """A fresh Python worker, from its start to its first features; five times."""
        packed = self._new("model.gz")
        packed.write_bytes(gzip.compress((MODEL / "mobilenetv2.tflite").read_bytes(), 1))
        environment = spark_environment()
        seconds = [seconds_to_first_prediction(packed, photo, environment) for photo in self._photos[:5]]
        return {"seconds": seconds}

    def resume(self) -> Measured:
        """A step killed when four fifths of its files are there, and repeated."""
        photos = self._photos[: self._sizes.resume]
        work_list = local_work_list(self._new("work.parquet"), photos)
        output = self._new("resumed")
        tasks = 5 * CORES
        arguments = {"--partitions": tasks}

        def finished() -> list[Path]:
            return list((output / "features").glob("*.parquet"))

        self._featurize(
            work_list, output=output, arguments=arguments, kill_when=lambda: len(finished()) >= 0.8 * tasks
        )
        kept = sum(pq.read_metadata(file).num_rows for file in finished())
        again = self._featurize(work_list, output=output, arguments=arguments)
        paths = pq.read_table(output / "features", columns=["path"]).column("path")
        return {
            "photos": len(photos),
            "in_finished_files": kept,
            "recomputed": len(photos) - int(again.result["reused"]),  # type: ignore[call-overload]
            "rows": len(paths),
            "different_rows": len(paths.unique()),
        }

    def plan(self) -> Measured:
        """The plan over generated keys, in a process of its own and in Airflow's environment."""
        command = [str(AIRFLOW_PYTHON), "-m", "bench.listings", "--keys", str(self._sizes.keys)]
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if ended.returncode:
            raise RuntimeError(f"bench.listings ended with {ended.returncode}:\n{ended.stderr[-2000:]}")
        measured: Measured = json.loads(ended.stdout)
        return measured

    def _peers(self) -> dict[str, int]:
        return {"notebook": self._sizes.notebook, "scalar_udf": self._sizes.scalar}

    def _raw(self) -> float:
        return images_per_second(MODEL / "mobilenetv2.tflite", self._photos, self._sizes.raw, CORES)

    def _ours(self, photos: list[Path]) -> Run:
        return self._featurize(local_work_list(self._new("work.parquet"), photos))

    def _featurize(
        self,
        work_list: Path,
        *,
        output: Path | None = None,
        arguments: Mapping[str, object] | None = None,
        master: str = LOCAL,
        environment: Mapping[str, str] | None = None,
        kill_when: Callable[[], bool] | None = None,
    ) -> Run:
        """The featurize step itself; its metrics become the result of the run."""
        output = output or self._new("featurized")
        metrics = output / "featurize.json"
        given: dict[str, object] = {
            "--work-list": work_list,
            "--features": output / "features",
            "--rejected": output / "rejected",
            "--metrics": metrics,
            "--model": MODEL,
            **(arguments or {}),
        }
        run = submit(FEATURIZE, given, master=master, environment=environment, kill_when=kill_when)
        if kill_when is None:
            run.result.update(json.loads(metrics.read_text()), output=str(output / "features"))
            if run.result["rejected"] or run.result["processed"] != run.result["found"]:
                raise RuntimeError(f"{run.result['rejected']} of the benchmark's own photos were rejected.")
        return run

    def _peer(self, name: str, count: int, ours: Run) -> float:
        """A peer's seconds, which count only once its features have been found to be ours."""
        output = self._new(name)
        # The scalar UDF keeps its model: one task a core is all that it needs.
        tasks = count // self._sizes.notebook_task if name == "notebook" else CORES
        run = submit(
            PEERS,
            {
                "--peer": name,
                "--images": self._subset(count),
                "--output": output,
                "--model": MODEL / "mobilenetv2.keras",
                "--partitions": tasks,
            },
        )
        alike = cosines(features_by_photo(output), features_by_photo(Path(str(ours.result["output"]))))
        least, mean = min(alike), fmean(alike)
        if len(alike) != count or least < LEAST_COSINE or mean < MEAN_COSINE:
            raise RuntimeError(
                f"The features of {name} are not ours: {len(alike)} of {count} photos, cosines of "
                f"{least:.4f} at worst and {mean:.4f} on average."
            )
        return run.seconds

    def _subset(self, count: int, name: str = "subset") -> Path:
        """A folder with the first ``count`` photos."""
        folder = self._new(name)
        for photo in self._photos[:count]:
            link = folder / photo.relative_to(self._folder / "photos")
            link.parent.mkdir(parents=True, exist_ok=True)
            os.link(photo, link)
        return folder

    def _new(self, name: str) -> Path:
        return self._folder / f"{next(self._outputs):03d}-{name}"


def _facts(run: Run) -> Measured:
    stage = run.main_stage
    return {
        "seconds": run.seconds,
        "stage_seconds": stage.seconds,
        "straggling": stage.straggling,
        "worker_peak_mib": run.worker_peak,
        "model_loads": run.result["model_loads"],
    }


def _s3(endpoint: str) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "bench",
        "AWS_SECRET_ACCESS_KEY": "bench",
        "AWS_REGION": "eu-west-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def features_by_photo(folder: Path) -> dict[str, Features]:
    """Features by ``label/name``: the one part of its address that every side writes alike."""
    table = pq.read_table(folder, columns=["path", "features"])
    names = ["/".join(path.split("/")[-2:]) for path in table.column("path").to_pylist()]
    values = table.column("features").combine_chunks().flatten().to_numpy()
    return dict(zip(names, values.reshape(len(names), -1), strict=True))


def cosines(some: Mapping[str, Features], all_of_them: Mapping[str, Features]) -> list[float]:
    """Of the photos in ``some``, each with its own in ``all_of_them``; ``KeyError`` where one is missing."""
    return [
        float(one @ all_of_them[name] / np.linalg.norm(one) / np.linalg.norm(all_of_them[name]))
        for name, one in some.items()
    ]
