"""No default, request, endpoint or client of this repository leaves the EU.

First what the defaults render to. Then every value that is written into code, settings, templates and
scripts. Comments, docstrings, sentences and what an answer is compared with are no values.
"""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from botocore.session import Session

from fruit_contract.layout import RunLayout
from fruit_pipeline.cluster import step_requests
from fruit_pipeline.cluster.artifacts import ArtifactUris
from fruit_pipeline.cluster.cluster_request import job_flow
from fruit_pipeline.security import residency
from fruit_pipeline.security.regions import EU_REGIONS, ResidencyError, check_arns, check_endpoint
from fruit_pipeline.settings.deployment import Deployment
from fruit_pipeline.settings.parameters import RunParameters, form
from tests.conftest import REPOSITORY
from tests.fruit_pipeline.conftest import MODEL, planned

FOLDERS: Final = ("plugins", "dags", "spark", "dev", "deploy", "notebooks", "requirements", ".ci", ".github")
DATA: Final = (".yaml", ".yml", ".json", ".ipynb")
LINES: Final = (".sh", ".toml", ".txt", ".in", ".cfg", ".ini", ".env", ".example")
REGION: Final = re.compile(
    # By form, so that a region that botocore does not know yet is found as well.
    r"(?<![A-Za-z0-9-])(?:(?:us|eu|ap|sa|ca|me|af|il|mx|cn)(?:-(?:gov|iso[a-z]?))?|eusc-[a-z]{2})"
    r"-(?:north|south|east|west|central)(?:east|west)?-\d(?!\d)"
)
HOST: Final = r"[\w.{}*$:-]*\.?(?:amazonaws\.(?:com(?:\.cn)?|eu)|api\.aws)(?![\w.-]*\w)"
ADDRESS: Final = re.compile(rf"(?<=://){HOST}")
NAMESPACE: Final = re.compile(r"xmlns=[\"'][^\"']*[\"']")
"""XML's names look like addresses; nobody calls there."""
SETTING: Final = re.compile(r"\S+=\S+|--\S*region\s+\S+|\S+://\S+")
"""What a sentence, or a script in a string, can set."""


def outside(name: str, value: str) -> set[str]:
    """Regions outside the EU, and endpoints that the pipeline would refuse, in the value of a name."""
    value = NAMESPACE.sub("", value)
    hosts = set(re.findall(HOST, value) if re.search("(?i)endpoint|url", name) else ADDRESS.findall(value))
    regions = {region for region in REGION.findall(value) if region not in EU_REGIONS}
    return regions | {host for host in hosts if not _is_inside(host)}


def _is_inside(host: str) -> bool:
    try:
        check_endpoint(f"https://{host}", "It")
    except ResidencyError:
        return False
    return True


def _settings(text: str) -> str:
    """A text that is one word is a value; of a longer one, what it sets."""
    return "\n".join(SETTING.findall(text)) if len(text.split()) > 1 else text


def python_values(source: str) -> Iterator[tuple[str, str]]:
    """Each string that code makes something of, with the names that it is given."""
    tree = ast.parse(source)
    parents = {child: parent for parent in ast.walk(tree) for child in ast.iter_child_nodes(parent)}
    for node in ast.walk(tree):
        above = list(_above(node, parents))
        if any(isinstance(each, ast.Compare | ast.JoinedStr) or _is_an_answer(each) for each in above):
            continue
        if isinstance(node, ast.JoinedStr):
            yield " ".join(map(_name, above)), _settings(ast.unparse(node)[2:-1])
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            docstring = isinstance(parents[node], ast.Expr)
            yield " ".join(map(_name, above)), "" if docstring else _settings(node.value)


def _above(node: ast.AST, parents: dict[ast.AST, ast.AST]) -> Iterator[ast.AST]:
    """What an expression is part of, as far as its statement; and the key under which a dict has it."""
    while (parent := parents.get(node)) is not None and not isinstance(node, ast.stmt):
        if isinstance(parent, ast.Dict) and node in parent.values:
            yield parent.keys[parent.values.index(node)] or parent
        yield parent
        node = parent


def _is_an_answer(node: ast.AST) -> bool:
    """S3 answers nothing for the location of a bucket in its first region: no request is made of that."""
    return isinstance(node, ast.BoolOp) and "LocationConstraint" in ast.unparse(node.values[0])


def _name(node: ast.AST) -> str:
    match node:
        case (
            ast.keyword(arg=str(name))
            | ast.Constant(value=str(name))
            | ast.AnnAssign(target=ast.Name(id=name))
        ):
            return name
        case ast.Assign(targets=targets):
            return " ".join(map(ast.unparse, targets))
        case ast.arguments():
            return " ".join(each.arg for each in (*node.args, *node.kwonlyargs))
    return ""


def data_values(source: str) -> Iterator[tuple[str, str]]:
    """Each scalar of YAML or JSON, with its key; a template's own tags do not matter."""
    for document in yaml.compose_all(source, yaml.CSafeLoader):
        yield from _scalars(document, "")


def _scalars(node: Any, name: str) -> Iterator[tuple[str, str]]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _scalars(value, key.value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from _scalars(value, name)
    elif node is not None:
        yield name, _settings(node.value)


def line_values(source: str) -> Iterator[tuple[str, str]]:
    """Each line of a script or of settings, without its comment; its name is what stands before the =."""
    for line in source.splitlines():
        value = re.sub(r"(^|\s)#.*", "", line)
        yield value.partition("=")[0], value


def found_in(path: Path, source: str) -> set[str]:
    kinds = {".py": python_values, **dict.fromkeys(DATA, data_values)}
    return {found for value in kinds.get(path.suffix, line_values)(source) for found in outside(*value)}


def files() -> Iterator[Path]:
    folders = [path for folder in FOLDERS for path in (REPOSITORY / folder).rglob("*")]
    for path in sorted([*REPOSITORY.iterdir(), *folders]):
        named = path.name in ("Makefile", "run", ".env") or path.name.startswith("Dockerfile")
        if path.is_file() and (named or path.suffix in (".py", *DATA, *LINES)):
            yield path


# --- what the test itself can see ------------------------------------------------------------------

VIRGINIA: Final = {"us-east-1"}
S3: Final = {"s3.amazonaws.com"}
PLANTED: Final = [
    ("a.py", 'boto3.client("s3", region_name="us-east-1")', VIRGINIA),
    ("a.py", 'REGION = "eu-west-2"', {"eu-west-2"}),
    ("a.py", 'def run(region: str = "us-east-1") -> None: ...', VIRGINIA),
    ("a.py", 'class Run:\n    region: str = Field(default="us-east-1")', VIRGINIA),
    ("a.py", 'region = os.environ.get("AWS_REGION") or "us-east-1"', VIRGINIA),
    (
        "a.py",
        'regions = ["eu-west-1", "eusc-de-east-1", "us-gov-west-1"]',
        {"eusc-de-east-1", "us-gov-west-1"},
    ),
    ("a.py", 'subprocess.run(["aws", "--region", "cn-north-1"])', {"cn-north-1"}),
    ("a.py", 'os.system("aws s3 ls --region us-east-1")', VIRGINIA),
    ("a.py", 'client("s3", endpoint_url="https://s3.amazonaws.com")', S3),
    ("a.py", 'S3FileSystem(endpoint_override="s3.amazonaws.com")', S3),
    ("a.py", '{"AWS_ENDPOINT_URL_S3": "s3.amazonaws.com"}', S3),
    ("a.py", 'get(f"https://{bucket}.s3.amazonaws.com/{key}")', {"{bucket}.s3.amazonaws.com"}),
    ("a.py", 'get("https://sts.us-west-2.amazonaws.com")', {"us-west-2", "sts.us-west-2.amazonaws.com"}),
    ("a.py", 'client("s3", endpoint_url="https://s3.eu-west-1.amazonaws.com")', set()),
    (
        "a.py",
        '"""Not in us-east-1."""\nif region == "us-east-1":  # Virginia\n    raise Error("It is us-east-1.")',
        set(),
    ),
    ("a.py", '{"Principal": {"Service": "s3.amazonaws.com"}}', set()),
    ("a.yaml", "environment: {AWS_REGION: eu-west-2}", {"eu-west-2"}),
    ("a.yaml", "AvailabilityZone: us-west-2a", {"us-west-2"}),
    ("a.yaml", "image: 1.dkr.ecr.us-east-1.amazonaws.com/x", VIRGINIA),
    ("a.yaml", "Url: !Sub https://s3.amazonaws.com/${Bucket}", S3),
    ("a.yaml", "command: |\n  set -e\n  export AWS_REGION=us-east-1", VIRGINIA),
    ("a.yaml", "Service: s3.amazonaws.com  # not us-east-1", set()),
    ("a.json", '{"endpoint": "sts.amazonaws.com"}', {"sts.amazonaws.com"}),
    ("a.sh", "aws s3 ls --region us-east-1  # eu-west-1", VIRGINIA),
    ("a.sh", "curl https://s3.amazonaws.com/bucket", S3),
    (".env", "AWS_REGION=us-east-1", VIRGINIA),
    (".env", "AIRFLOW_CONN_AWS_DEFAULT=aws://?region_name=us-east-1", VIRGINIA),
    ("Makefile", "REGION ?= us-east-1", VIRGINIA),
    ("Makefile", "# not us-east-1", set()),
]


@pytest.mark.parametrize(("name", "text", "found"), PLANTED)
def test_what_is_written_outside_the_eu_is_found(name: str, text: str, found: set[str]) -> None:
    assert found_in(Path(name), text) == found


def test_every_region_that_botocore_knows_is_recognised() -> None:
    session = Session()
    known = {
        region
        for partition in session.get_available_partitions()
        for service in ("s3", "emr", "ec2")
        for region in session.get_available_regions(service, partition, allow_non_regional=False)
    }
    assert len(known) > 30
    assert {region for region in known if not REGION.fullmatch(region)} == set()


# --- what the defaults render to --------------------------------------------------------------------


def rendered() -> Iterator[tuple[str, Any]]:
    """Every default, and every request that is made of the defaults."""
    deployment, parameters = Deployment(), RunParameters()
    layout = RunLayout(parameters.bucket, "run-1")
    uris = ArtifactUris(*(f"s3://{parameters.bucket}/artifacts/{name}" for name in "abcdefg"))
    yield "Deployment", json.loads(deployment.model_dump_json())
    yield "RunParameters", parameters.model_dump()
    yield "the form", {name: parameter.serialize() for name, parameter in form().items()}
    yield "the job flow", job_flow(parameters, deployment, uris.hard_lifetime, "fruit_features", "run-1")
    yield "the featurize step", step_requests.featurize_step(parameters, layout, uris, planned())
    yield "the reduce step", step_requests.reduce_step(parameters, layout, uris, planned())
    yield "the train step", step_requests.train_step(parameters, layout, uris, planned(), MODEL)


@pytest.mark.parametrize(("name", "document"), rendered(), ids=[name for name, _ in rendered()])
def test_no_default_and_no_request_leaves_the_eu(name: str, document: Any) -> None:
    text = json.dumps(document)
    assert found_in(Path("rendered.json"), text) == set(), f"{name} names what lies outside the EU"
    check_arns([text], name)


def test_everything_a_run_touches_lies_in_its_own_bucket() -> None:
    # The form's values are the parameters'; besides them it has words, with an address for an example.
    named = residency.buckets_in(*(document for name, document in rendered() if name != "the form"))
    assert named == {Deployment().bucket}


def test_the_default_region_is_in_the_eu() -> None:
    assert Deployment.model_fields["region"].default in EU_REGIONS
    assert RunParameters().region in EU_REGIONS


# --- what is written --------------------------------------------------------------------------------


def test_no_value_in_any_file_is_a_region_or_an_endpoint_outside_the_eu() -> None:
    found = {
        (path.relative_to(REPOSITORY).as_posix(), name)
        for path in files()
        for name in found_in(path, path.read_text(errors="replace"))
    }
    assert found == set(), "keep to the EU"


def test_the_files_that_matter_are_walked() -> None:
    walked = {path.relative_to(REPOSITORY).as_posix() for path in files()}
    assert {
        "Makefile",
        ".env",
        "docker-compose.yaml",
        "pyproject.toml",
        ".ci/run",
        "dags/fruit_features.py",
        "plugins/fruit_pipeline/settings/deployment.py",
        "plugins/fruit_pipeline/cost/price_snapshot.json",
        "spark/featurize.py",
        "spark/bootstrap/hard_lifetime.sh",
        "dev/local_run/local_stack.py",
        "dev/local_aws/server.py",
        "deploy/infra/template.yaml",
        "deploy/docker/aws.env.example",
    } <= walked
