"""Speeds and times that the estimates use: what is measured, and what is assumed.

The estimate before a run counts with these.
"""

from typing import Final

IMAGES_PER_CORE_SECOND: Final = {"litert": 90.0, "keras": 34.0}
"""MobileNetV2 at 224 pixels on one x86 core, measured: LiteRT alone; Keras in Spark, 68 on two cores."""
SHARE_OF_224: Final = {96: 0.25, 128: 0.38, 160: 0.55, 192: 0.79, 224: 1.0}
"""Time of an image by its side in pixels, over that at 224: measured with LiteRT on one x86 core, medians
of six rounds, and a little more than the ratio of areas. Keras is assumed to scale alike."""
DECODED_BYTES_PER_CORE_SECOND: Final = 35e6
"""Decode and resize on one x86 core, measured: 0.17 ms for a JPEG of 6 kB."""
REDUCED_ROWS_PER_CORE_SECOND: Final = 2500.0
"""PCA by blocks, measured: 20,000 rows in 3.9 s on two x86 cores."""
SPARK_SOLVER_SECONDS: Final = 40.0
"""What pyspark.ml's own PCA takes beside, for its decomposition in Java, measured on x86."""
GRAVITON_SHARE: Final = 0.3
"""What a Graviton vCPU does of the x86 core that was measured: an assumption, on the safe side.

XNNPACK's own table has MobileNetV2 1.0 in float32 at 53 ms on one core of a Pixel 2 (Cortex-A73, 2.35 GHz),
19 images a second; Graviton2's Neoverse N1 has twice the SIMD width at 2.5 GHz, so 19 to 40. This is 27.
"""
START_SECONDS: Final = 480.0
"""From RunJobFlow to the first step: an assumption, from what EMR usually takes."""
STEP_SECONDS: Final = 45.0
"""Submitting a step, starting Spark and shipping the runtime, for each: an assumption."""
END_SECONDS: Final = 120.0
"""From the last step to the end of the instances: an assumption."""
OVERTIME_SECONDS: Final = 600.0
"""What a node can be billed beyond the hard lifetime: its launch before its kernel counts, the shutdown's
whole minutes, and until EC2 says that it is gone. An assumption, on the safe side."""
