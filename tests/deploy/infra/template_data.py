"""The template as plain data: CloudFormation's short forms become ``{"Fn::Name": ...}``."""

from typing import Any

import yaml

from infra.stack import TEMPLATE


class _Loader(yaml.SafeLoader):
    """Knows CloudFormation's tags."""


def _short_form(loader: _Loader, suffix: str, node: yaml.Node) -> Any:
    name = suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}"
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
        return {name: value.split(".", 1) if suffix == "GetAtt" else value}
    if isinstance(node, yaml.SequenceNode):
        return {name: loader.construct_sequence(node, deep=True)}
    assert isinstance(node, yaml.MappingNode)
    return {name: loader.construct_mapping(node, deep=True)}


_Loader.add_multi_constructor("!", _short_form)


def load() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.load(TEMPLATE.read_text(), Loader=_Loader)
    return loaded


def made_by_request(resource: dict[str, Any]) -> bool:
    """Whether a resource hangs on a condition that is false by default."""
    return resource.get("Condition") in ("OpensSessions", "CreatesSessionEndpoints")


def security_configuration() -> dict[str, Any]:
    """The security configuration's document, as it is without certificates."""
    document: dict[str, Any] = load()["Resources"]["SecurityConfiguration"]["Properties"][
        "SecurityConfiguration"
    ]
    encryption = document["EncryptionConfiguration"]
    del encryption["InTransitEncryptionConfiguration"]
    encryption["EnableInTransitEncryption"] = False
    return document
