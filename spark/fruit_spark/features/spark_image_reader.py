"""The alternative reader: Spark's own ``image`` source.

It lists and decodes on the JVM (Java's ImageIO) and knows nothing of the plan. What it cannot do, and
the fast reader can: it does not apply the EXIF orientation, reads 16-bit grey wrongly, rejects
CMYK and WebP, cannot tell a changed object from the planned one, does not check dimensions before it
decodes, and skips names that begin with ``_`` or ``.``. Every image of the work list still gets its
row: one that the source did not deliver is rejected with that reason.
"""

import urllib.parse
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from fruit_contract.layout import label_of
from fruit_spark.features.feature_batches import FEATURES_DDL, featurize_spark_images
from fruit_spark.session.without_pandas import map_in_arrow
from fruit_spark.storage.hadoop import hadoop_uri

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from fruit_spark.model.model_broadcast import BroadcastModel

NOT_DELIVERED: Final = "not delivered by Spark's image source: gone, or a name it skips"


def place(uri: str) -> str:
    """Where an image is, whichever way its address is spelled: ``//bucket/key`` or a local path.

    >>> place("s3a://bucket/Test/a b.jpg"), place("file:/photos/a.jpg"), place("/photos/a.jpg")
    ('//bucket/Test/a b.jpg', '/photos/a.jpg', '/photos/a.jpg')
    """
    scheme, separator, rest = uri.partition(":")
    if not separator or scheme not in ("s3", "s3a", "file"):
        return uri
    return f"/{rest.lstrip('/')}" if scheme == "file" else rest


def place_of_origin(origin: str) -> str:
    """The same for the image source's ``origin``, which is URI-encoded (and leaves ``+`` as it is)."""
    return place(urllib.parse.unquote(origin))


def common_folder(uris: Iterable[str]) -> str:
    """The deepest folder that holds every image: what the source is told to list."""
    first, *others = sorted({uri.rpartition("/")[0] for uri in uris}) or [""]
    if not others:
        return first
    last = others[-1]  # of sorted folders, the first and the last differ the most
    parts = []
    for one, another in zip(first.split("/"), last.split("/"), strict=False):
        if one != another:
            break
        parts.append(one)
    return "/".join(parts)


def escape_glob(path: str) -> str:
    """Keep Hadoop from reading ``[``, ``{``, ``*``, ``?`` in a folder's name as a pattern."""
    return "".join(f"\\{character}" if character in "\\[]{}*?" else character for character in path)


def featurize_with_spark_images(
    spark: "SparkSession", work_list: "DataFrame", model: "BroadcastModel", batch_size: int
) -> "DataFrame":
    """Every row of the work list with its features or its reason; schema as FEATURES_DDL."""
    from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention
    from pyspark.sql.types import StringType

    ends = work_list.agg(F.min("uri"), F.max("uri")).first()
    folder = common_folder([end for end in (ends or ()) if end is not None])
    images = (
        spark.read.format("image")
        .option("recursiveFileLookup", "true")
        .load(escape_glob(hadoop_uri(spark, folder)))
    )
    decoded_place = F.udf(place_of_origin, StringType())
    fields = [F.col(f"image.{name}").alias(name) for name in ("height", "width", "nChannels", "data")]
    delivered = images.select(decoded_place("image.origin").alias("path"), *fields)
    features = map_in_arrow(delivered, featurize_spark_images(model, batch_size), FEATURES_DDL)
    planned = work_list.select("uri", F.udf(place, StringType())("uri").alias("place"))
    joined = planned.join(features.withColumnRenamed("path", "place"), "place", "left")
    missing = F.col("features").isNull() & F.col("reason").isNull()
    return joined.select(
        F.col("uri").alias("path"),
        F.udf(label_of, StringType())("uri").alias("label"),
        "features",
        F.when(missing, F.lit(NOT_DELIVERED)).otherwise(F.col("reason")).alias("reason"),
        "taken",
    )
