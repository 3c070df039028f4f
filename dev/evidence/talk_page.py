"""The figures of docs/evidence/talk.md and docs/tour.md, as lines of Markdown, of the record alone."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from evidence import marked_text
from evidence.criteria import CRITERIA
from evidence.marked_text import table

PAGE: Final = marked_text.EVIDENCE / "talk.md"
TOUR: Final = marked_text.EVIDENCE.parent / "tour.md"
HERE: Final = "measured here"
LOCAL: Final = "local AWS"
MODEL: Final = "model of AWS"
PICTURES: Final = {
    "graph": "Airflow: the graph of the run",
    "result": "Airflow: the tab Result of the run, with the curve of the variance",
    "cluster": "The cluster as the run's report has it",
    "bucket": "The bucket on local AWS, after the run",
    "notebook": "The notebook on the run's result",
}
"""Those that the talk promises, by their names in docs/tour."""
_FIGURES: Final = ("figure", "value", "where from")
_ROLES: Final = {"MASTER": "primary", "CORE": "workers", "TASK": "further workers"}


def tour_lines(record: Mapping[str, Any]) -> Iterator[str]:
    """What the tour says of its first run."""
    run, photos = record["run"], record["photos"]
    minutes = _minutes(run["seconds"])
    yield f"- {photos['found']:,} photos in {minutes} minutes, {photos['rejected']:,} rejected."
    first, again = run["first_paints_ms"]
    yield f"- The tab painted after {first} ms, the server's first page, and {again} ms when loaded again."


def lines(record: Mapping[str, Any]) -> Iterator[str]:
    """The figures by subject, the pictures, the criteria."""
    run = record["run"]
    yield f"The run `{run['id']}` of {run['started_at'][:10]} ended as {run['state']}."
    for title, part in (
        ("Photos and time", _photos_and_time),
        ("Features and variance", _features),
        ("Classifier", _classifier),
        ("Cluster", _cluster),
        ("Cost", _cost),
        ("Region and encryption", _security),
        ("Bucket", _bucket),
        ("Pictures", _pictures),
        ("Nine criteria", _criteria),
    ):
        yield from ("", f"## {title}", "")
        yield from part(record)


def _photos_and_time(record: Mapping[str, Any]) -> Iterator[str]:
    photos, run = record["photos"], record["run"]
    speed, per_core = run["images_per_second"], run["images_per_second_per_core"]
    yield from table(
        _FIGURES,
        [
            ("photos", f"{photos['found']:,}, of {photos['labels']:,} labels", HERE),
            ("bytes of them", f"{photos['bytes']:,}", HERE),
            ("rows of the result, and rejected photos", _both(photos, "processed", "rejected"), HERE),
            ("minutes in all", _minutes(run["seconds"]), HERE),
            ("photos a second in the features step", f"{speed:.0f}, {per_core:.1f} a core", HERE),
            ("minutes of the cluster's life on EMR", f"{record['cost']['expected_minutes']:.0f}", MODEL),
        ],
    )
    yield from ("", "The stages follow each other, and sum to the run.", "")
    stages = [
        (
            stage["name"],
            _minutes(stage["seconds"]),
            "" if stage["step_seconds"] is None else _minutes(stage["step_seconds"]),
            LOCAL if stage["name"].startswith("Cluster") else HERE,
        )
        for stage in record["stages"]
    ]
    yield from table(("stage", "minutes", "of them Spark's step", "where from"), stages)


def _features(record: Mapping[str, Any]) -> Iterator[str]:
    pca, run = record["pca"], record["run"]
    model, minimum = run["model"], pca["minimum_variance"]
    yield from table(
        _FIGURES,
        [
            ("model", f"{model['name']} ({model['weights']}), {model['image_size']} px", HERE),
            ("features of a photo", f"{pca['feature_dim']:,}", HERE),
            ("model loads from the broadcast", str(run["model_loads"]), HERE),
            ("k, the components", str(pca["components"]), HERE),
            ("variance that they keep", f"{pca['explained_variance']:.2%}", HERE),
            (f"components that keep {minimum:.0%}", str(pca["components_for_minimum"]), HERE),
        ],
    )
    yield from ("", "![The variance by components](../tour/variance.png)")


def _classifier(record: Mapping[str, Any]) -> Iterator[str]:
    judged = record["classifier"]
    if judged is None:
        yield "No classifier was judged."
        return
    low, high = judged["interval"]
    yield from table(
        _FIGURES,
        [
            ("classifier", f"{judged['kind']}, {judged['labels']:,} labels", HERE),
            ("photos held out", f"{judged['test_photos']:,}, by {judged['split']}", HERE),
            ("right label", f"{judged['top1']:.1%} (95 % interval {low:.1%} to {high:.1%})", HERE),
            ("right label among five", f"{judged['top5']:.1%}", HERE),
        ],
    )


def _cluster(record: Mapping[str, Any]) -> Iterator[str]:
    cluster = record["cluster"]
    fleets = [
        (_ROLES[fleet["role"]], *_asked_and_got(fleet), fleet["without_spot"] or "", LOCAL)
        for fleet in cluster["fleets"]
    ]
    yield from table(("nodes", "asked for", "got", "without Spot", "where from"), fleets)
    yield ""
    yield from table(
        _FIGURES,
        [
            ("release", cluster["release"], LOCAL),
            ("applications", ", ".join(cluster["applications"]), LOCAL),
            ("end", f"{cluster['state']}, {cluster['reason']}", LOCAL),
            ("clusters alive afterwards", str(cluster["left_alive"]), LOCAL),
        ],
    )
    yield from (
        "",
        "Local AWS has no instances: a fleet gets what it asks for, and its steps run on this machine.",
    )


def _asked_and_got(fleet: Mapping[str, Any]) -> tuple[str, str]:
    asked = [f"{count} {market}" for market, count in fleet["asked"].items() if count]
    got = [f"{count} {kind}" for kind, count in fleet["got"].items()]
    return f"{', '.join(asked)}: {' or '.join(fleet['types'])}", ", ".join(got)


def _cost(record: Mapping[str, Any]) -> Iterator[str]:
    cost = record["cost"]
    rows = [(group["group"], *_amounts(group), MODEL) for group in cost["groups"]]
    rows.append(("all", *_amounts(cost), MODEL))
    names = ("expected", "at worst", "bill of the local cluster")
    yield from table(("service", *(f"{name}, {cost['currency']}" for name in names), "where from"), rows)
    left = cost["budget"] - cost["estimate"]
    yield ""
    yield f"The budget is {cost['budget']:g} {cost['currency']}: the worst case leaves {left:.2f} of it."
    yield f"Prices are AWS's of {cost['prices']['date']} ({cost['prices']['source']}), before tax."
    yield "The bill is of the local cluster's minutes, which starts faster than EMR's: AWS billed nothing."


def _amounts(sums: Mapping[str, Any]) -> tuple[str, ...]:
    amounts = (sums[name] for name in ("expected", "estimate", "actual"))
    return tuple("none" if amount is None else f"{amount:.3f}" for amount in amounts)


def _security(record: Mapping[str, Any]) -> Iterator[str]:
    seen = record["encryption"]
    bucket, objects, cluster = seen["bucket"], seen["objects"], seen["cluster"]
    at_rest = cluster["at_rest"] or {}
    algorithms = ", ".join(f"{count:,} {name}" for name, count in objects["algorithms"].items())
    yield from table(
        ("figure", "value", "asked with", "where from"),
        [
            ("region of the bucket", record["region"], "GetBucketLocation", LOCAL),
            ("default encryption", bucket["default_algorithm"] or "no", "GetBucketEncryption", LOCAL),
            ("closed without TLS", _yes(bucket["tls_only"]), "GetBucketPolicy", LOCAL),
            ("closed to the public", _yes(bucket["public_access_blocked"]), "GetPublicAccessBlock", LOCAL),
            ("versioning", bucket["versioning"] or "no", "GetBucketVersioning", LOCAL),
            (f"the run's {objects['checked']:,} objects", algorithms, "HeadObject", LOCAL),
            ("objects without encryption", f"{len(objects['unencrypted'])}", "HeadObject", LOCAL),
            *(
                (name, value, "DescribeSecurityConfiguration", LOCAL)
                for name, value in (
                    ("cluster: S3", at_rest.get("s3") or "no"),
                    ("cluster: local disks", at_rest.get("local_disk") or "no"),
                    ("cluster: in transit", _yes(cluster["in_transit"])),
                    ("cluster: IMDSv2 alone", _yes(cluster["imdsv2"])),
                )
            ),
        ],
    )
    yield ""
    yield "The security configuration is the template's, without certificates. With them it also"
    yield "encrypts between the nodes. Local AWS keeps these settings, and encrypts nothing itself."


def _bucket(record: Mapping[str, Any]) -> Iterator[str]:
    bucket = record["bucket"]
    yield f"`s3://{bucket['name']}` as ListObjectsV2 gave it after the run ({LOCAL})."
    yield "A folder of many folders tells only how many they are."
    yield ""
    rows = [
        (
            f"`{folder['prefix'] or '/'}`",
            f"{folder['objects']:,}",
            f"{folder['size']:,}",
            f"{folder['folders']:,}" if folder["folders"] else "",
        )
        for folder in bucket["tree"]
    ]
    yield from table(("prefix", "objects", "bytes", "folders"), rows)


def _pictures(record: Mapping[str, Any]) -> Iterator[str]:
    yield "All are of this run, and no picture shows a photo. [The tour](../tour.md) has more of them."
    for name, words in PICTURES.items():
        yield from ("", f"{words}:", "", f"![{words}](../tour/{name}.png)")


def _criteria(record: Mapping[str, Any]) -> Iterator[str]:
    yield "The talk's own criteria are not in this repository. These nine are derived from the mission,"
    yield "in this project's words: they quote nobody."
    yield ""
    rows = [
        (str(number), each.asked, each.in_run(record), _link(each.file), ", ".join(map(_test, each.tests)))
        for number, each in enumerate(CRITERIA, 1)
    ]
    yield from table(("", "criterion", "in this run", "file", "shown by"), rows)


def _link(file: str) -> str:
    return f"[{file.rpartition('/')[2]}](../../{file})"


def _test(name: str) -> str:
    file, _, function = name.partition("::")
    return f"[{function}](../../{file})"


def _both(counts: Mapping[str, int], *names: str) -> str:
    return ", ".join(f"{counts[name]:,}" for name in names)


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.1f}"
