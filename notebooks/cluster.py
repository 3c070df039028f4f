# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: PySpark
#     language: python
#     name: pysparkkernel
# ---

# %% [markdown]
# # From photos to components, step by step
#
# This notebook runs on the cluster: its PySpark kernel sends each cell to Spark by Livy. The run that put it
# here has filled in its own code, runtime and model. The first cell asks for a session with them. It comes
# first, and takes a minute. A session takes all workers: shut its kernel down before you start another.

# %%
# %%configure -f
"$session"

# %% [markdown]
# Choose here what you look at. No label means all labels. `SHARE` is the share of each label's photos that is
# taken, two at least. `COMPONENTS` is a number, or a share of the variance such as 0.95. No `RUN` means the
# newest. What lies in `OUTPUT` is replaced.

# %% tags=["choice"]
BUCKET, PREFIX = "$bucket", "$input_prefix"
LABELS = []
SHARE = 0.05
COMPONENTS = 256
MODEL, ENGINE, PRECISION, IMAGE_SIZE = "$model", "$engine", "$precision", "$image_size"
OUTPUT = "$output"
RUN = ""

# %% [markdown]
# ## Load
#
# The photos below the prefix are listed, and a sample is taken of each label: you learn how many there are.

# %% tags=["load"]
from collections import defaultdict

import matplotlib.pyplot as plt
import numpy as np
from pyspark.sql import SparkSession

from fruit_contract.layout import PCA_MODELS_PREFIX, PCA_OUTPUTS_PREFIX, label_of
from fruit_contract.variance import components_asked, components_for, is_share, most_components
from fruit_spark.features.feature_batches import FEATURES_DDL, featurize_work_list
from fruit_spark.features.feature_files import list_features, live_rows
from fruit_spark.model.model_broadcast import broadcast_model
from fruit_spark.model.model_source import read_model
from fruit_spark.pca.moments import moments_of
from fruit_spark.pca.solvers import fit_blocks, principal_components, write_projection
from fruit_spark.pca.stored_model import read_pca
from fruit_spark.photos.decode import decode_with_opencv
from fruit_spark.photos.fetch import fetch_image
from fruit_spark.photos.image_listing import list_images
from fruit_spark.session.without_pandas import map_in_arrow
from fruit_spark.step_errors import RejectedImage, StepError
from fruit_spark.storage import hadoop

# Livy has made it.
spark = SparkSession.builder.getOrCreate()
context = spark.sparkContext
if not 0 < SHARE <= 1:
    raise StepError(f"SHARE is {SHARE}: give a number above 0 and up to 1, such as 0.05.")
by_label = defaultdict(list)
for photo in list_images(f"s3://{BUCKET}/{PREFIX}"):
    by_label[label_of(photo.key)].append(photo)
unknown = sorted(set(LABELS) - set(by_label))
if unknown:
    known = ", ".join(sorted(by_label))
    raise StepError(f"No photo has the label {unknown[0]!r}: choose LABELS among {known}.")
sample = []
for label in sorted(LABELS or by_label):
    photos = by_label[label]
    # Spread over the label, and the same ones each time.
    taken = np.linspace(0, len(photos) - 1, min(len(photos), max(2, round(SHARE * len(photos)))))
    sample += [photos[int(place)] for place in taken]
    print(f"{label}: {len(taken)} of {len(photos)} photos")
print(f"{len(sample)} of {sum(map(len, by_label.values()))} photos in all")

# %% [markdown]
# Each photo is a row for Spark: its key, its address, its ETag and its size in bytes. No photo is read yet.

# %% tags=["rows"]
work = spark.createDataFrame(sample)
work.select("uri", "size").show(5, truncate=False)

# %% [markdown]
# Eight of the photos, as the model gets them: you see light, background, and how alike a label's photos are.

# %% tags=["photos"]
shown = [sample[int(place)] for place in np.linspace(0, len(sample) - 1, min(8, len(sample)))]
pictures = {}
for photo in shown:
    try:
        pictures[photo] = decode_with_opencv(fetch_image(photo), IMAGE_SIZE)
    except RejectedImage as reason:
        print(f"{photo.key} is rejected: {reason}")
if not pictures:
    raise StepError(f"None of these {len(shown)} photos can be decoded: choose other LABELS.")
figure, axes = plt.subplots(1, len(pictures), figsize=(12, 2), squeeze=False, layout="constrained")
for axis, (photo, pixels) in zip(axes[0], pictures.items(), strict=True):
    axis.set_title(label_of(photo.key), fontsize=8, parse_math=False)
    axis.axis("off")
    axis.imshow(pixels)
# %matplot plt

# %% [markdown]
# ## Preprocess
#
# A photo becomes a square of the model's size, in RGB, and its values become numbers from 0 to 1. The model's
# first layer takes them from there to the -1 to 1 of MobileNetV2.

# %% tags=["preprocess"]
photo, pixels = next(iter(pictures.items()))
ready = pixels / np.float32(255)
print(f"{photo.key} has {photo.size} bytes.")
print(f"It becomes {ready.shape} of {ready.dtype}, from {ready.min():.3f} to {ready.max():.3f}.")

# %% [markdown]
# ## Features
#
# The model's weights travel once to each executor, as a compressed broadcast. You learn how large they are.

# %% tags=["model"]
weights = read_model(spark, MODEL, ENGINE, PRECISION)
model = broadcast_model(context, weights.content, ENGINE, IMAGE_SIZE)
print(f"{weights.name}: {weights.weights}")
print(f"{len(weights.content) / 1e6:.1f} MB, of which {len(model.packed.value) / 1e6:.1f} MB are broadcast")

# %% [markdown]
# The executors read, decode and predict in one pass, and write the features. A photo that cannot be used is a
# row with its reason. You learn how many photos became a vector, of how many numbers.

# %% tags=["features"]
tasks = min(len(sample), 4 * context.defaultParallelism)
# All that S3 bears would be far more than a sample asks for.
featurize = featurize_work_list(model, 16, 100)
rows = map_in_arrow(work.repartition(tasks), featurize, FEATURES_DDL)
rows.write.mode("overwrite").parquet(hadoop.hadoop_uri(spark, f"{OUTPUT}features"))
stored = spark.read.parquet(hadoop.hadoop_uri(spark, f"{OUTPUT}features"))
rejected = stored.filter("reason is not null")
vectors = stored.filter("reason is null")
print(f"{vectors.count()} photos have features, {rejected.count()} were rejected")
vectors.selectExpr("label", "size(features) as numbers", "slice(features, 1, 4) as first_four").show(
    5, truncate=False
)
if rejected.count():
    rejected.select("path", "reason").show(5, truncate=False)

# %% [markdown]
# ## PCA
#
# One pass sums up mean and scatter of all vectors, in blocks; the driver then finds the directions. The curve
# tells how many components would do: where it is flat, one more adds little.

# %% tags=["variance"]
files = list_features(spark, [f"{OUTPUT}features"])
moments = moments_of(spark, files)
if moments is None or moments.rows < 2:
    raise StepError("A PCA needs the features of two photos at least: raise SHARE, or choose other LABELS.")
ratio = principal_components(moments).ratio[: most_components(moments.rows)]
kept = ratio.cumsum()
asked = components_asked(COMPONENTS)
components = components_for(ratio.tolist(), asked) if is_share(asked) else min(asked, len(ratio))
enough = components_for(ratio.tolist(), 0.9)
print(f"{components} components keep {kept[components - 1]:.4f} of the variance; {enough} keep 90 %")
plt.figure(figsize=(7, 3), layout="constrained")
plt.plot(np.arange(1, len(kept) + 1), kept)
plt.axhline(0.9, linestyle="--", color="tab:red")
plt.axvline(enough, linestyle=":", color="tab:green")
plt.xlabel("components")
plt.ylabel("explained variance")
plt.ylim(0, 1.02)
# %matplot plt

# %% [markdown]
# ## Save
#
# The features times the model's matrix are the components. They are saved as Parquet, and the model in Spark
# ML's own format.

# %% tags=["save"]
pca = fit_blocks(live_rows(spark, files, tasks), moments, components)
pca.write().overwrite().save(hadoop.hadoop_uri(spark, f"{OUTPUT}pca_model"))
write_projection(spark, files, pca.pc.toArray(), f"{OUTPUT}components", 1, moments.rows)
print(f"{OUTPUT} has features, components and the PCA model")

# %% [markdown]
# Read back, the result is whole: as many rows as vectors, each with its label and its components.

# %% tags=["read"]
result = spark.read.parquet(hadoop.hadoop_uri(spark, f"{OUTPUT}components"))
result.printSchema()
print(f"{result.count()} rows of {result.selectExpr('min(size(features))').first()[0]} components")
result.selectExpr("label", "path", "slice(features, 1, 4) as first_four").show(5)

# %% [markdown]
# ## Beside the whole run
#
# The run did the same with all its photos: compare how much its components keep with what the sample's do.

# %% tags=["run"]
results = f"s3://{BUCKET}/{PCA_OUTPUTS_PREFIX}"
ends = hadoop.hadoop_uri(spark, f"{results}{RUN or '*'}/_SUCCESS")
folders = hadoop.jvm(spark).org.apache.hadoop.fs.Path(ends)
found = folders.getFileSystem(context._jsc.hadoopConfiguration()).globStatus(folders) or []
if not found:
    print(f"There is no result at {results}{RUN}: choose another RUN, or wait for the end of one.")
else:
    newest = max(found, key=lambda each: each.getModificationTime()).getPath().getParent()
    run = newest.getName().partition("=")[2]
    whole = spark.read.parquet(newest.toString())
    fitted = read_pca(spark, f"s3://{BUCKET}/{PCA_MODELS_PREFIX}{run}/").model
    ratios = fitted.explainedVariance.toArray()
    print(f"Run {run}: {whole.count()} photos of {whole.select('label').distinct().count()} labels")
    print(f"{len(ratios)} components keep {ratios.sum():.4f} of the variance")
