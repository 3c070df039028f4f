"""Describe a .tflite for those who load it: names of tensors, a signature, and TFLite Model Metadata.

The metadata is a flatbuffer of its own in the model, and the labels are a file in a zip behind it: see
``metadata_schema.fbs`` of the project tflite-support, version 1.1.0. Its fields are named here in its order.
"""

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

LABELS_NAME: Final = "labels.txt"
SIGNATURE: Final = "serving_default"
_METADATA_NAME: Final = "TFLITE_METADATA"
_IDENTIFIER: Final = b"M001"
_OLDEST_PARSER: Final = "1.0.0"
_TABLES: Final = {
    "AssociatedFile": ("name", "description", "type", "locale"),
    "ImageProperties": ("color_space", "default_size"),
    "Content": ("content_properties_type", "content_properties", "range"),
    "NormalizationOptions": ("mean", "std"),
    "ScoreThresholdingOptions": ("global_score_threshold",),
    "ProcessUnit": ("options_type", "options"),
    "TensorMetadata": (
        *("name", "description", "dimension_names", "content", "process_units", "stats", "associated_files"),
    ),
    "SubGraphMetadata": ("name", "description", "input_tensor_metadata", "output_tensor_metadata"),
    "ModelMetadata": (
        *("name", "description", "version", "subgraph_metadata", "author", "license", "associated_files"),
        "min_parser_version",
    ),
}
_AXIS_LABELS, _RGB, _IMAGE, _NORMALIZATION, _THRESHOLDING = 2, 1, 2, 1, 3
"""Values of the schema's enumerations and unions."""


@dataclass(frozen=True)
class Description:
    """What a classifier of photos is. Its input is RGB divided by 255, its outputs are two."""

    name: str
    version: str
    text: str
    """Of the whole model."""
    residual: str
    """Of the second output."""
    labels: Sequence[str]
    least_probability: float


class _Table:
    """A table of the schema, with those of its fields that are set."""

    def __init__(self, kind: str, **fields: Any) -> None:
        self._names, self._fields = _TABLES[kind], fields

    def write(self, builder: Any) -> int:
        """Where it begins. Whatever it refers to is written before it, as flatbuffers have it."""
        written = {name: _write(builder, value) for name, value in self._fields.items()}
        builder.StartObject(len(self._names))
        for name, value in written.items():
            slot = self._names.index(name)
            given = self._fields[name]
            if isinstance(given, float):
                builder.PrependFloat32Slot(slot, value, 0.0)
            elif isinstance(given, int):
                builder.PrependUint8Slot(slot, value, 0)
            else:
                builder.PrependUOffsetTRelativeSlot(slot, value, 0)
        return int(builder.EndObject())


def _write(builder: Any, value: Any) -> Any:
    """Where text, a table, or a list of numbers or tables was written; a number is itself."""
    if isinstance(value, str):
        return builder.CreateString(value)
    if isinstance(value, _Table):
        return value.write(builder)
    if not isinstance(value, list):
        return value
    if isinstance(value[0], float):
        return builder.CreateNumpyVector(np.array(value, np.float32))
    parts = [_write(builder, each) for each in value]
    builder.StartVector(4, len(parts), 4)
    for part in reversed(parts):
        builder.PrependUOffsetTRelative(part)
    return builder.EndVector()


def metadata(described: Description) -> bytes:
    """The flatbuffer: a photo in; probabilities with their labels, and the residual, out."""
    import flatbuffers

    photo = _Table(
        "TensorMetadata",
        name="photo",
        description="RGB, upright, stretched to the square, each value divided by 255.",
        content=_Table(
            "Content",
            content_properties_type=_IMAGE,
            content_properties=_Table("ImageProperties", color_space=_RGB),
        ),
        process_units=[
            _Table(
                "ProcessUnit",
                options_type=_NORMALIZATION,
                options=_Table("NormalizationOptions", mean=[0.0], std=[255.0]),
            )
        ],
    )
    probabilities = _Table(
        "TensorMetadata",
        name="probabilities",
        description="Of the labels, in the order of the file.",
        process_units=[
            _Table(
                "ProcessUnit",
                options_type=_THRESHOLDING,
                options=_Table(
                    "ScoreThresholdingOptions", global_score_threshold=float(described.least_probability)
                ),
            )
        ],
        associated_files=[
            _Table("AssociatedFile", name=LABELS_NAME, description="A label in each line.", type=_AXIS_LABELS)
        ],
    )
    residual = _Table("TensorMetadata", name="residual", description=described.residual)
    whole = _Table(
        "ModelMetadata",
        name=described.name,
        description=described.text,
        version=described.version,
        subgraph_metadata=[
            _Table(
                "SubGraphMetadata",
                input_tensor_metadata=[photo],
                output_tensor_metadata=[probabilities, residual],
            )
        ],
        min_parser_version=_OLDEST_PARSER,
    )
    builder = flatbuffers.Builder(1024)
    builder.Finish(whole.write(builder), file_identifier=_IDENTIFIER)
    return bytes(builder.Output())


def describe(tflite: bytes, described: Description) -> bytes:
    """The same model with named tensors, a signature, its metadata, and its labels in a zip behind it.

    It has one input, and two outputs of which the probabilities are [1, labels].
    """
    from tensorflow.lite.python import schema_py_generated as schema
    from tensorflow.lite.tools import flatbuffer_utils

    model = flatbuffer_utils.read_model_from_bytearray(bytearray(tflite))
    graph = model.subgraphs[0]
    graph.outputs = sorted(graph.outputs, key=lambda at: -len(graph.tensors[at].shape))
    signature = schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = SIGNATURE, 0
    signature.inputs = _named(graph, graph.inputs, ["photo"])
    signature.outputs = _named(graph, graph.outputs, ["probabilities", "residual"])
    model.signatureDefs = [signature]

    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = np.frombuffer(metadata(described), np.uint8)
    entry.name, entry.buffer = _METADATA_NAME, len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or []), entry]

    file = io.BytesIO(bytes(flatbuffer_utils.convert_object_to_bytearray(model)))
    # Stored as it is, and without the time: readers on a phone do not inflate, and equal models stay equal.
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(zipfile.ZipInfo(LABELS_NAME), "\n".join(described.labels))
    return file.getvalue()


def _named(graph: Any, tensors: Sequence[int], names: Sequence[str]) -> list[Any]:
    """Entries of a signature for tensors, which get their names there as well."""
    from tensorflow.lite.python import schema_py_generated as schema

    entries = []
    for at, name in zip(tensors, names, strict=True):
        graph.tensors[at].name = name
        entry = schema.TensorMapT()
        entry.name, entry.tensorIndex = name, at
        entries.append(entry)
    return entries
