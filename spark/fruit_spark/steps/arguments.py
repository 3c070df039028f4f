"""The command lines of the steps. argparse, because the runtime on the cluster stays small."""

import argparse
import json
import sys
from typing import Final, NoReturn, get_args

from fruit_contract.classifier import CLASSIFIERS, SPLITS
from fruit_contract.model_files import IMAGE_SIZES, PRECISIONS, model_file
from fruit_contract.variance import UNSCALED, Scaling, components_asked, falls_short
from fruit_spark.model.engines import ENGINES
from fruit_spark.pca.solvers import SOLVERS
from fruit_spark.steps.featurize_job import FeaturizeSettings
from fruit_spark.steps.last_words import print_error
from fruit_spark.steps.reduce_job import ReduceSettings
from fruit_spark.steps.train_job import TrainSettings

REFUSED: Final = 2
"""The exit code: the step was not begun."""
ADDRESS = "local path, file://, s3:// or s3a://"


class Parser(argparse.ArgumentParser):
    """What is wrong with the words is one sentence, which EMR shows as well."""

    def error(self, message: str) -> NoReturn:
        print_error(f"error: {self.prog}: {message}")
        sys.exit(REFUSED)


def at_least_one(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return number


def fraction(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1")
    return number


def number_or_share(text: str) -> float:
    try:
        return components_asked(text)
    except ValueError as problem:
        raise argparse.ArgumentTypeError(f"{text!r} will not do: {problem}") from None


def featurize_parser() -> Parser:
    parser = Parser(
        prog="featurize.py",
        description="Images to MobileNetV2 features (1,280 float32 each). An image that cannot be used "
        "becomes a row with a reason; the step fails only if all are rejected.",
        epilog=f"An address is a {ADDRESS}. Repeated, the step keeps what an earlier attempt finished.",
        allow_abbrev=False,
    )
    images = parser.add_mutually_exclusive_group(required=True)
    images.add_argument(
        "--work-list", metavar="ADDRESS", help="Parquet of key, uri, etag, size: the images to do"
    )
    images.add_argument("--input", metavar="ADDRESS", help="folder or prefix whose images are listed instead")
    parser.add_argument(
        "--features", metavar="ADDRESS", required=True, help="Parquet written: path, label, features, reason"
    )
    parser.add_argument("--rejected", metavar="ADDRESS", required=True, help="Parquet written: path, reason")
    parser.add_argument(
        "--metrics", metavar="ADDRESS", required=True, help="JSON file written: counts, speed, model"
    )
    parser.add_argument(
        "--model",
        metavar="ADDRESS",
        required=True,
        help="folder of the model artifact, or one .tflite, .keras or .h5",
    )
    parser.add_argument(
        "--image-size", type=int, choices=IMAGE_SIZES, default=224, help="pixels on a side. Default: 224"
    )
    parser.add_argument(
        "--batch-size",
        type=at_least_one,
        default=32,
        help="images predicted and written at a time. Default: 32",
    )
    parser.add_argument(
        "--engine",
        choices=sorted(ENGINES),
        default="litert",
        help="keras is the slow reference. Default: litert",
    )
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="float32",
        help="of the weights; float16 halves the broadcast and, on Graviton, computes in half precision "
        "(litert only). Default: float32",
    )
    parser.add_argument(
        "--reader",
        choices=("fast", "spark-image"),
        default="fast",
        help="fast fetches concurrently, ahead of the model; spark-image is Spark's own source, decoded by "
        "Java (no EXIF orientation, CMYK or WebP). Default: fast",
    )
    parser.add_argument(
        "--progress", metavar="ADDRESS", help="JSON file written meanwhile: how many images are done"
    )
    parser.add_argument(
        "--allow-no-features",
        action="store_true",
        help="succeed when all images are rejected: the result has others beside them",
    )
    parser.add_argument(
        "--partitions", type=at_least_one, default=None, help="tasks. Default: from the images and the cores"
    )
    _add_time_limit(parser)
    return parser


def featurize_settings(arguments: list[str]) -> FeaturizeSettings:
    parser = featurize_parser()
    asked = parser.parse_args(arguments)
    try:
        model_file(asked.engine, asked.precision)
    except ValueError as problem:
        parser.error(str(problem))
    return FeaturizeSettings(**vars(asked))


def reduce_parser() -> Parser:
    parser = Parser(
        prog="reduce.py",
        description="Features to principal components, with the PCA model, the explained variance and its "
        "plot. Fails when the components keep less than the minimum variance.",
        epilog=f"An address is a {ADDRESS}. As in Spark ML, the fit subtracts the mean and the transform "
        "does not.",
        allow_abbrev=False,
    )
    _add_features(parser)
    parser.add_argument(
        "--output", metavar="ADDRESS", required=True, help="Parquet written: path, label, features"
    )
    parser.add_argument(
        "--model-output", metavar="ADDRESS", required=True, help="PCAModel written, in Spark ML's format"
    )
    parser.add_argument(
        "--metrics", metavar="ADDRESS", required=True, help="JSON file written: variance, rows"
    )
    parser.add_argument("--plot", metavar="ADDRESS", required=True, help="PNG written: variance by component")
    parser.add_argument(
        "--overview", metavar="ADDRESS", help="JSON file written: counts by label, a sample, rejections"
    )
    parser.add_argument(
        "--neighbours", metavar="ADDRESS", help="folder written: Parquet of key and short vector"
    )
    parser.add_argument(
        "--components",
        type=number_or_share,
        default=256,
        help="how many to keep, 1 to 1280; or, below 1, the share of the variance to keep. Default: 256",
    )
    parser.add_argument(
        "--fewer-components",
        action="store_true",
        help="keep the most that the images allow, where they are too few for --components",
    )
    parser.add_argument(
        "--min-variance", type=fraction, default=0.90, help="least explained variance, 0 to 1. Default: 0.90"
    )
    parser.add_argument(
        "--solver",
        choices=sorted(SOLVERS),
        default="blocks",
        help="blocks multiplies in blocks on the executors; spark is pyspark.ml's own PCA. Default: blocks",
    )
    parser.add_argument(
        "--scaling",
        choices=get_args(Scaling),
        default=UNSCALED,
        help="standard divides each feature by its standard deviation before the PCA. Default: none",
    )
    drafted = parser.add_argument_group("a result that builds on an earlier one")
    _add_draft(drafted)
    drafted.add_argument(
        "--rejected", metavar="ADDRESS", help="Parquet of the featurize step; earlier runs' are added"
    )
    drafted.add_argument("--manifest", metavar="ADDRESS", help="folder written: the manifest of the result")
    drafted.add_argument(
        "--compacted", metavar="ADDRESS", help="folder below --features, written when it is time to compact"
    )
    drafted.add_argument(
        "--current-model",
        metavar="ADDRESS",
        help="a PCAModel to use again if it explains the variance of what is new as well, to 1 point",
    )
    _add_time_limit(parser)
    return parser


def train_parser() -> Parser:
    parser = Parser(
        prog="train.py",
        description="Components and labels to a classifier, judged on photos that were held out. Where there "
        "are too few labels or photos, the metrics say so, and nothing else is written.",
        epilog=f"An address is a {ADDRESS}.",
        allow_abbrev=False,
    )
    _add_features(parser)
    _add_draft(parser)
    parser.add_argument(
        "--pca-model", metavar="ADDRESS", required=True, help="the PCA model of the reduce step"
    )
    parser.add_argument("--output", metavar="ADDRESS", required=True, help="folder written: the classifier")
    parser.add_argument("--metrics", metavar="ADDRESS", required=True, help="JSON file written: its figures")
    parser.add_argument(
        "--confusion", metavar="ADDRESS", required=True, help="PNG written: what was taken for what"
    )
    parser.add_argument(
        "--reliability", metavar="ADDRESS", required=True, help="PNG written: how often it is right when sure"
    )
    parser.add_argument("--run-key", default="", help="of the run, for the classifier's card")
    parser.add_argument(
        "--model-facts", metavar="JSON", type=json.loads, required=True, help="the model of the features"
    )
    parser.add_argument(
        "--classifier",
        choices=[kind for kind in CLASSIFIERS if kind != "none"],
        default="linear",
        help="linear is exact, in one pass; forest and network are Spark ML's. Default: linear",
    )
    parser.add_argument(
        "--split",
        choices=SPLITS,
        default="session",
        help="what is held out to judge by: whole sessions, photos below a folder named Test, or photos at "
        "random. Default: session",
    )
    parser.add_argument(
        "--session-pattern",
        metavar="REGEX",
        help="what in a key names its session. Default: Fruits-360's films; else hour and camera by EXIF; "
        "else the folder above the label's",
    )
    parser.add_argument(
        "--current", metavar="ADDRESS", help="the classifier to compare with, and to measure drift from"
    )
    _add_time_limit(parser)
    return parser


def train_settings(arguments: list[str]) -> TrainSettings:
    return TrainSettings(**vars(train_parser().parse_args(arguments)))


def _add_features(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--features",
        metavar="ADDRESS",
        required=True,
        help="Parquet of the featurize step; with --draft the folder that holds the folders of such steps",
    )


def _add_draft(options: "argparse._ActionsContainer") -> None:
    """Of a parser, or of a group in one."""
    options.add_argument(
        "--draft", metavar="ADDRESS", help="Parquet, the planned manifest: which rows of which folders count"
    )
    options.add_argument("--source", help="the folder below --features that holds what is new")
    options.add_argument(
        "--root", default="", help="what stands before a key in a path, such as s3://bucket/"
    )


def _add_time_limit(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--time-limit",
        metavar="SECONDS",
        type=at_least_one,
        default=None,
        help="the step ends itself, with an error, after this long. Default: none",
    )


def reduce_settings(arguments: list[str]) -> ReduceSettings:
    parser = reduce_parser()
    asked = parser.parse_args(arguments)
    if asked.draft:
        needed = ("source", "rejected", "manifest", "compacted")
        missing = [f"--{name}" for name in needed if getattr(asked, name) is None]
        if missing:
            parser.error(f"--draft needs {', '.join(missing)} too")
    if falls_short(asked.components, asked.min_variance):
        parser.error(
            f"--components {asked.components} is a share of the variance below --min-variance "
            f"{asked.min_variance:g}: raise it, or lower --min-variance"
        )
    return ReduceSettings(**vars(asked))
