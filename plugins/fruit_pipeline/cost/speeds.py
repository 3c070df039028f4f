"""Speeds and times that the estimates use: what is measured, and what is assumed.

What is measured, was on one x86 core beside which LiteRT alone computed ``RAW_IMAGES_PER_SECOND``.
:mod:`fruit_pipeline.cost.step_times` makes of it the time on another core.
"""

from typing import Final

RAW_IMAGES_PER_SECOND: Final = 145.0
"""LiteRT alone, float32 at 224 pixels, on that core: ``make scale-measure``, as all that is measured."""
GRAVITON_IMAGES_PER_SECOND: Final = 27.0
"""The same on a Graviton vCPU: an assumption, on the safe side.

XNNPACK's own table has MobileNetV2 1.0 in float32 at 53 ms on one core of a Pixel 2 (Cortex-A73, 2.35 GHz),
19 images a second; Graviton2's Neoverse N1 has twice the SIMD width at 2.5 GHz, so 19 to 40. This is 27.
"""
GRAVITON3_FACTOR: Final = 1.25
"""What a core of Graviton3 (m7g, c7g, r7g) does over one of Graviton2: AWS's figure of 2022, not measured."""
OF_LITERT: Final = {"litert": 1.0, "keras": 0.38}
"""Speed of an engine, over that of LiteRT. Keras was measured in Spark, 34 a second where LiteRT had 90."""
SHARE_OF_224: Final = {96: 0.25, 128: 0.38, 160: 0.55, 192: 0.79, 224: 1.0}
"""Time of an image by its side in pixels, over that at 224: measured with LiteRT on one x86 core, medians
of six rounds, and a little more than the ratio of areas. Keras is assumed to scale alike."""
PHOTO_SECONDS: Final = 0.0003
"""Of a photo beside the model, its GET and its bytes: to the decoder and back, its row, its part of a file.
Measured: 20,000 photos over 5,000 in docs/evidence/performance.md."""
FETCH_SECONDS: Final = 0.0002
"""A GET by obstore, of the client's core. Measured alone: 0.35 ms where LiteRT had 90 images a second."""
DECODED_BYTES_PER_SECOND: Final = 56e6
"""Decode and resize. Measured alone: 0.17 ms for a JPEG of 6 kB where LiteRT had 90 images a second."""
LAUNCH_SECONDS: Final = 5.2
"""Of a step, from spark-submit to its first task and from its last one to the end. Measured, as above."""
EXECUTOR_SECONDS: Final = 1.3
"""Start of an executor's JVM. Measured with that of a Python worker: 1,000 photos on 1, 2 and 4 executors."""
PYTHON_SECONDS: Final = 0.8
"""Start of a Python worker, with what it imports, its model and its decoder."""
REDUCED_ROWS_PER_SECOND: Final = 13_500.0
"""PCA by blocks and the projection. Measured: 87,000 rows over a quarter of them, as above."""
SOLVE_SECONDS: Final = 1.3
"""Of PCA by blocks, the merge and the decomposition, which do not grow with the rows. Measured likewise."""
SPARK_SOLVER_SECONDS: Final = 40.0
"""What pyspark.ml's own PCA takes beside, for its decomposition in Java, measured."""
LEARNT_SECONDS: Final = 5.0
"""Of a classifier, what does not grow with the rows: judging, pictures, saving. Measured on 8,905 photos."""
TRAINED_ROWS_PER_SECOND: Final = {"linear": 7_000.0, "forest": 46.0, "network": 180.0}
"""A classifier learnt and judged, by its kind. Measured: linear 89,050 rows over a tenth of them; the others
8,905 photos of 61 labels, learnt three times as a run does it."""
START_SECONDS: Final = 480.0
"""From RunJobFlow to the first step: an assumption, from what EMR usually takes."""
STEP_SECONDS: Final = 20.0
"""Submitting a step and shipping the runtime, for each, beside Spark's own start: an assumption."""
END_SECONDS: Final = 120.0
"""From the last step to the end of the instances: an assumption."""
OVERTIME_SECONDS: Final = 600.0
"""What a node can be billed beyond the hard lifetime: its launch before its kernel counts, the shutdown's
whole minutes, and until EC2 says that it is gone. An assumption, on the safe side."""
