# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Explore a result
#
# Name the result in the next cell, and run all cells. A folder is one of the repository. `s3://bucket` is a
# bucket on AWS, or on local AWS if `make up` ran before `make notebook`. `PHOTOS` says where the photos of a
# folder's result are.

# %%
RESULT = "out/latest"
PHOTOS = ".state/images/*"

# %% [markdown]
# The pointer leads to the current result: you learn which run made it, and of how many photos.

# %% tags=["opened"]
import duckdb
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import display

from exploring.opening import open_result

pd.set_option("display.max_colwidth", 120)
plt.rcParams["text.parse_math"] = False  # a label is no formula
result = open_result(RESULT, PHOTOS)
rows, rejected, report = result.rows, result.rejected, result.report
pd.Series(
    {
        "run": report["run_id"],
        "rows": rows.count_rows(),
        "components": len(result.variance),
        "rejected": rejected.count_rows(),
        "explained variance": round(result.variance.sum(), 6),
        "top-1 of the classifier": result.trained["judged"]["top1"] if result.trained else "not judged",
    },
    name=result.address,
).to_frame()

# %% [markdown]
# ## Rows
#
# PyArrow shows the columns and their types, without reading a row.

# %% tags=["schema"]
print(rows.schema.to_string(show_schema_metadata=False))

# %% [markdown]
# pandas shows the first rows. A photo has its address, its label, and its components.

# %% tags=["head"]
rows.head(5).to_pandas()

# %% [markdown]
# DuckDB reads no more than a query asks for: here, whether every row has all components, and its label.

# %% tags=["shape"]
duckdb.sql("""
    SELECT count(*) AS rows, count(DISTINCT label) AS labels,
           min(len(features)) AS fewest_components, max(len(features)) AS most_components,
           count(*) FILTER (WHERE label = '') AS without_label
    FROM rows
""").df()

# %% [markdown]
# ## Variance
#
# The curve tells how many components would do: where it is flat, one more adds little.

# %% tags=["variance"]
kept = result.variance.cumsum()
figure, axis = plt.subplots(figsize=(7, 3))
axis.plot(np.arange(1, len(kept) + 1), kept, marker=".")
axis.set(xlabel="components", ylabel="explained variance", ylim=(0, 1))
axis.grid(alpha=0.3)
plt.show()
shares = [share for share in (0.5, 0.8, 0.9, 0.95) if share <= kept[-1]]
enough = {f"{share:.0%}": int(np.searchsorted(kept, share)) + 1 for share in shares}
print(f"{len(kept)} components keep {kept[-1]:.4f}. Enough for a share: {enough}")

# %% [markdown]
# ## Maps
#
# Two components as a map: labels that lie apart are easy to tell, and those that overlap are not. At most
# 5,000 photos are drawn, and the ten largest labels have a colour.

# %% tags=["map"]
sample = duckdb.sql("""
    SELECT path, label, features[1:3] AS place FROM rows USING SAMPLE reservoir(5000 ROWS) REPEATABLE (1)
""").df()
place = np.stack(sample.pop("place"))
largest = sample["label"].value_counts().index[:10]


def draw(axis, dimensions):
    for label in largest:
        chosen = (sample["label"] == label).to_numpy()
        axis.scatter(*place[chosen, :dimensions].T, s=8, label=label)
    others = ~sample["label"].isin(largest).to_numpy()
    axis.scatter(*place[others, :dimensions].T, s=3, color="lightgrey", label="others", zorder=0)
    axis.set(xlabel="component 1", ylabel="component 2")
    axis.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.1, 0.5))


if place.shape[1] < 2:
    print("The result has one component: a map needs two.")
else:
    draw(plt.figure(figsize=(7, 5)).add_subplot(), 2)
    plt.show()

# %% [markdown]
# The third component may part labels that the first two lay on each other.

# %% tags=["map-3"]
if place.shape[1] < 3:
    print(f"The result has {place.shape[1]} of the three components that this map needs.")
else:
    axis = plt.figure(figsize=(7, 6)).add_subplot(projection="3d")
    draw(axis, 3)
    axis.set_zlabel("component 3")
    plt.show()

# %% [markdown]
# ## Labels
#
# Photos by label: a label with few photos is learnt badly, and judged badly.

# %% tags=["labels"]
labels = duckdb.sql(
    "SELECT label, count(*) AS photos FROM rows GROUP BY label ORDER BY photos DESC, label"
).df()
labels.head(20)

# %% [markdown]
# How the first component is distributed in each label: a wide box is a label whose photos differ much.

# %% tags=["distributions"]
first = pd.Series(place[:, 0]).groupby(sample["label"].to_numpy())
boxes = {label: first.get_group(label) for label in largest}
figure, axis = plt.subplots(figsize=(7, 4))
axis.boxplot(list(boxes.values()), tick_labels=list(boxes), orientation="horizontal")
axis.set(xlabel="component 1")
plt.show()

# %% [markdown]
# ## Nearest photos
#
# What the features take for alike: the photos whose components point most nearly where those of one photo do.
# Put any path of the result in `asked`.

# %% tags=["nearest"]
asked = sample["path"].min()
nearest = duckdb.execute(
    """
    WITH asked AS (SELECT features FROM rows WHERE path = $asked)
    SELECT list_cosine_similarity(rows.features, asked.features) AS cosine, label, path
    FROM rows, asked ORDER BY cosine DESC, path LIMIT 6
    """,
    {"asked": asked},
).df()
nearest

# %% [markdown]
# The same photos as pictures show whether that is likeness of fruit, or of light and background.

# %% tags=["pictures"]
pictures = [result.photos.picture(path) for path in nearest["path"]]
if not any(pictures):
    print(f"None of these photos is in {PHOTOS!r}: name the folder that has them, one sub-folder per label.")
else:
    figure, axes = plt.subplots(1, len(pictures), figsize=(12, 2.6), squeeze=False)
    for axis, picture, row in zip(axes[0], pictures, nearest.itertuples(), strict=True):
        axis.set_title(f"{row.label}\n{row.cosine:.2f}", fontsize=8)
        axis.axis("off")
        if picture:
            axis.imshow(picture)
    plt.show()

# %% [markdown]
# ## Classifier
#
# How good it is on photos that it has not learnt from, beside what two simple guesses reach there.

# %% tags=["judgement"]
names = ["split", "test_photos", "top1", "interval", "top5", "macro_f1", "majority", "nearest_mean"]
if result.trained:
    display(pd.Series({name: result.trained["judged"][name] for name in names}, name="judged").to_frame())
else:
    print(result.not_judged)

# %% [markdown]
# Which labels it takes for which: look at photos of these pairs first.

# %% tags=["confusions"]
if not result.trained:
    print(result.not_judged)
elif not result.trained["confusions"]:
    print("No photo was given a wrong label.")
else:
    display(pd.DataFrame(result.trained["confusions"]).head(20))

# %% [markdown]
# ## Rejected photos
#
# Why photos have no row: a reason that is frequent is often one fault of a camera or an upload.

# %% tags=["rejected"]
reasons = duckdb.sql("""
    SELECT reason, count(*) AS photos, min(path) AS example
    FROM rejected GROUP BY reason ORDER BY photos DESC, reason
""").df()
if len(reasons):
    display(reasons)
else:
    print("No photo was rejected.")

# %% [markdown]
# ## Cost and time
#
# What the runs cost and found. A folder knows its own run alone; a bucket knows all.

# %% tags=["runs"]
columns = ["run_id", "state", "started_at", "minutes", "photos", "new", "rejected", "explained_variance"]
pd.DataFrame(result.runs, columns=[*columns, "top1", "eur"]).head(20)

# %% [markdown]
# The bill by group beside what was estimated, in EUR: a large difference is worth a look at the fleet.

# %% tags=["cost"]
groups = report["cost"].get("groups")
if groups:
    display(pd.DataFrame(groups))
else:
    print("The report has no bill by group.")

# %% [markdown]
# Where the time went: a step that is long is work, and a wait that is long is not.

# %% tags=["time"]
tasks = pd.DataFrame(report["tasks"]).dropna(subset=["started_after", "seconds"])
figure, axis = plt.subplots(figsize=(7, 0.25 * len(tasks) + 1))
axis.barh(tasks["name"], tasks["seconds"], left=tasks["started_after"])
axis.set(xlabel="seconds since the start of the run")
axis.invert_yaxis()
plt.show()
