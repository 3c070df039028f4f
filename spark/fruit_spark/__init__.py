"""The two Spark steps: images to MobileNetV2 features, and features to principal components.

``spark/featurize.py`` and ``spark/reduce.py`` are their entry points. The package needs pyspark,
numpy and pyarrow; OpenCV, LiteRT, obstore, TensorFlow, Pillow and matplotlib are imported only by
what uses them. pandas is not needed.
"""
