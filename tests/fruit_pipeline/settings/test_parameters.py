"""A wrong parameter is one sentence with its name, its value and what to do."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fruit_contract.model_files import IMAGE_SIZES
from fruit_pipeline.settings.parameters import Fleet, ParameterError, RunParameters, form


def test_the_defaults_are_the_recorded_project() -> None:
    values = RunParameters()
    assert (values.primary_type, values.worker_type, values.workers, values.spot) == (
        "m6g.xlarge",
        "m6g.xlarge",
        2,
        "spot",
    )
    assert (values.region, values.components, values.minimum_variance) == ("eu-west-1", 256, 0.90)
    assert (values.max_hours, values.budget_eur) == (3.0, 10.0)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["colour=red"], "Parameter 'colour' is unknown: use one of bucket, input_prefix"),
        *(
            (
                [f"components={value}"],
                f"Parameter components is {value!r}: give a whole number from 1 to 1,280, or a share of the "
                "variance to keep, above 0 and below 1, such as 0.95",
            )
            for value in ("0", "-1", "1.5", "1281", "many", "nan", "inf", "")
        ),
        (
            ["components=0.5"],
            "Parameter components is 0.5, a share of the variance below minimum_variance 0.9: raise it, or "
            "lower minimum_variance.",
        ),
        (["image_size=100"], "Parameter image_size is '100'"),
        (["region=us-east-1"], "Parameter region is 'us-east-1'"),
        (["minimum_variance=1.5"], "Parameter minimum_variance is '1.5'"),
        (["worker_type=p4d.24xlarge"], "Parameter worker_type is 'p4d.24xlarge'"),
        (["workers=0"], "Parameter workers is '0': it must be a whole number from 1 to 100, or auto"),
        (["workers=some"], "Parameter workers is 'some': it must be a whole number from 1 to 100, or auto"),
        (["deadline_minutes=0"], "Parameter deadline_minutes is '0'"),
        *(
            ([word], f"{word!r} is not a parameter: write name=value, such as components=64.")
            for word in ("components", "x", "é", " ", "", "=", "==", "=5", "=x=y", "=é", "= ")
        ),
        (["components=64", "=5"], "'=5' is not a parameter"),
        (["==="], "'===' is not a parameter"),
        *(
            ([f"{name}=1"], f"Parameter {name!r} is unknown: use one of bucket, input_prefix")
            for name in (" ", "é", "self", "values")
        ),
        (
            ["components=64", "workers=2", "components=32"],
            "Parameter 'components' is given twice, as '64' and as '32': give it once.",
        ),
        (["bucket=b", "bucket=b"], "Parameter 'bucket' is given twice, as 'b' and as 'b': give it once."),
        (
            ["bucket=Not_A_Bucket"],
            "Parameter bucket is 'Not_A_Bucket': it must be lower-case letters, digits, dots and hyphens, "
            "with a letter or digit at both ends.",
        ),
        *(
            (
                [f"input_prefix={prefix}"],
                f"Parameter input_prefix is {prefix!r}: it must be one line that ends with / and does not "
                "begin with one.",
            )
            for prefix in ("Test", "/", "/Test/", "Te\nst/")
        ),
        (["classifier=svm"], "Parameter classifier is 'svm'"),
        (["split=person"], "Parameter split is 'person'"),
        (
            ["session_pattern=(r"],
            "Parameter session_pattern is '(r': it is no regular expression (missing ), unterminated",
        ),
        (["session_pattern=r{{2}}"], "Parameter session_pattern is 'r{{2}}': it has two braces side by side"),
        (["precision=int8"], "Parameter precision is 'int8'"),
        (["worker_type=c6g.large"], "Parameter worker_type is 'c6g.large'"),
        (["max_workers=101"], "Parameter max_workers is '101'"),
        (
            ["workers=3", "max_workers=2"],
            "max_workers is 2, fewer than workers=3: raise it, or leave it empty.",
        ),
        (
            ["max_hours=20", "interactive_minutes=300"],
            "interactive_minutes is 300: with max_hours 20 the cluster could live longer than 24 hours",
        ),
        (
            ["release_label=emr-6.14.0"],
            "Parameter release_label is 'emr-6.14.0': it must be emr-7.10.0 or a later one of emr-7, one "
            "of emr-spark-8, or emr-6.15.0",
        ),
        (
            ["release_label=emr-spark-8.1.0", "interactive_minutes=30"],
            "Parameter interactive_minutes is 30, and emr-spark-8.1.0 has no JupyterHub: set it to 0, or "
            "choose release_label emr-7.13.0.",
        ),
        (
            ["precision=float16", "engine=keras"],
            "The keras engine has no float16 model: use precision float32, or engine litert.",
        ),
    ],
)
def test_a_wrong_parameter_is_named_with_its_value(words: list[str], sentence: str) -> None:
    with pytest.raises(ParameterError) as caught:
        RunParameters.parsed(words)
    said = str(caught.value)
    assert sentence in said
    assert said.endswith(".")
    assert not said.endswith("..")
    assert "^" not in said, "a regular expression"


_TEXT = st.text() | st.text("=x 0\udcff")
_NAMES = st.sampled_from(list(RunParameters.model_fields))


@given(words=st.lists(_TEXT | st.builds("{}={}".format, _NAMES, _TEXT), max_size=4))
def test_any_words_are_parameters_or_a_parameter_error(words: list[str]) -> None:
    with suppress(ParameterError):
        RunParameters.parsed(words)


def test_no_parameter_shows_its_regular_expression() -> None:
    fields = RunParameters.model_fields
    patterned = {name for name, field in fields.items() if "pattern=" in repr(field)}
    assert patterned >= {"bucket", "input_prefix", "inventory"}
    for name in patterned:
        with pytest.raises(ParameterError, match=f"^Parameter {name} is '__é': it must be [^^]*\\.$"):
            RunParameters.checked({name: "__é"})


def test_an_empty_name_from_airflow_is_unknown_too() -> None:
    with pytest.raises(ParameterError, match=r"^Parameter '' is unknown: use one of bucket"):
        RunParameters.checked({"": 5})


def test_a_parameter_is_called_as_the_person_knows_it() -> None:
    with pytest.raises(ParameterError, match=r"^PREFIX= is 'Test': .*; Parameter components is '0'"):
        RunParameters.checked({"components": "0", "input_prefix": "Test"}, {"input_prefix": "PREFIX="})


@pytest.mark.parametrize("name", ["inventory", "max_workers", "session_pattern"])
@pytest.mark.parametrize("empty", ["", None])
def test_an_optional_parameter_may_be_left_empty(name: str, empty: str | None) -> None:
    assert getattr(RunParameters.checked({name: empty}), name) is None


def test_an_inventory_is_named_by_its_manifest() -> None:
    assert RunParameters.parsed(["inventory=s3://lists/a/b/manifest.json"]).inventory is not None
    with pytest.raises(ParameterError, match="Parameter inventory is 's3://lists/a/b/'"):
        RunParameters.parsed(["inventory=s3://lists/a/b/"])


def test_every_wrong_parameter_is_named_at_once() -> None:
    with pytest.raises(ParameterError, match=r"components.*; .*workers"):
        RunParameters.parsed(["components=0", "workers=0"])


def test_words_become_typed_values() -> None:
    values = RunParameters.parsed(
        ["components=64", "image_size=160", "minimum_variance=0.5", "input_prefix=Photos of 2026/"]
    )
    assert (values.components, values.image_size, values.minimum_variance, values.input_prefix) == (
        64,
        160,
        0.5,
        "Photos of 2026/",
    )


@pytest.mark.parametrize(
    ("given", "kept"),
    [("0.95", 0.95), (0.95, 0.95), (1, 1), ("1", 1), (64.0, 64), ("64.0", 64), (1280, 1280)],
)
def test_components_are_a_whole_number_or_a_share(given: object, kept: float) -> None:
    found = RunParameters.checked({"components": given}).components
    assert (found, type(found)) == (kept, type(kept))


@pytest.mark.parametrize("value", [True, None, [64]])
def test_what_is_no_number_is_no_number_of_components(value: object) -> None:
    with pytest.raises(ParameterError, match=r"^Parameter components is .*: give a whole number"):
        RunParameters.checked({"components": value})


def test_a_share_that_is_the_minimum_itself_is_accepted() -> None:
    assert RunParameters.parsed(["components=0.5", "minimum_variance=0.5"]).components == 0.5


@pytest.mark.parametrize(
    "prefix", ["", "Results/", "Results/pca_output/", "artifacts/", "logs/", "logs/j/", "jupyter/"]
)
def test_no_prefix_holds_what_the_pipeline_writes(prefix: str) -> None:
    with pytest.raises(ParameterError, match=f"^Parameter input_prefix is '{prefix}': it holds what "):
        RunParameters.checked({"input_prefix": prefix})
    with pytest.raises(ValueError, match="Failed validating 'pattern'"):
        form()["input_prefix"].resolve(prefix)


@pytest.mark.parametrize("prefix", ["Test/", "results/", "Results of 2026/", "My/Results/", "log/"])
def test_a_prefix_beside_what_the_pipeline_writes_is_taken(prefix: str) -> None:
    assert RunParameters.checked({"input_prefix": prefix}).input_prefix == prefix
    assert form()["input_prefix"].resolve(prefix) == prefix


def test_both_sides_take_the_same_image_sizes() -> None:
    def is_taken(size: int) -> bool:
        try:
            RunParameters(image_size=size)
        except ValueError:
            return False
        return True

    assert tuple(size for size in range(1, 400) if is_taken(size)) == IMAGE_SIZES


def test_the_form_has_every_parameter_with_limits_and_words() -> None:
    fields = form()
    assert list(fields) == list(RunParameters.model_fields)
    for name, param in fields.items():
        assert param.schema["description_md"], f"parameter {name} has no description"
        assert {"type", "enum"} & param.schema.keys(), f"parameter {name} has no type"
        param.resolve()


def test_the_number_and_the_type_of_the_workers_can_be_left_to_choose() -> None:
    assert RunParameters().is_sized
    assert RunParameters.parsed(["workers=7"]).workers == 7
    for words in (["workers=auto"], ["worker_type=auto"], ["workers=auto", "worker_type=auto"]):
        values = RunParameters.parsed(words)
        assert not values.is_sized
        with pytest.raises(ParameterError, match="names no fleet"):
            _ = values.fleet
        assert values.with_fleet(Fleet("m6g.xlarge", 3)).fleet == Fleet("m6g.xlarge", 3)


@pytest.mark.parametrize("given", [1, 100, "auto"])
def test_the_form_takes_a_number_of_workers_or_auto(given: object) -> None:
    assert form()["workers"].resolve(given) == given
    assert RunParameters.checked({"workers": given}).workers == given


def test_an_empty_number_of_workers_is_auto() -> None:
    assert form()["workers"].resolve(None) is None
    assert RunParameters.checked({"workers": None}).workers == "auto"
    assert RunParameters.parsed(["workers="]).workers == "auto"


@pytest.mark.parametrize("given", [0, 101, 1.5, "many", "2", True, ""])
def test_the_form_refuses_any_other_number_of_workers(given: object) -> None:
    with pytest.raises(ValueError, match="Failed validating"):
        form()["workers"].resolve(given)


@pytest.mark.parametrize("given", [1, 64.0, 1280, 0.95, 0.001])
def test_the_form_takes_a_number_of_components_or_a_share(given: float) -> None:
    assert form()["components"].resolve(given) == given


@pytest.mark.parametrize("given", [0, -1, 1.5, 4000, 1280.5, "64", True, None])
def test_the_form_refuses_any_other_number_of_components_and_says_both_ways(given: object) -> None:
    with pytest.raises(ValueError, match=r"Number of [\s\S]* share") as caught:
        form()["components"].resolve(given)
    assert repr(given) in str(caught.value)


def test_a_fleet_scales_only_where_it_may_grow() -> None:
    assert not RunParameters().scales
    assert not RunParameters.parsed(["max_workers="]).scales
    assert not RunParameters(workers=4, max_workers=4).scales
    growing = RunParameters(workers=2, max_workers=5)
    assert (growing.scales, growing.most_workers) == (True, 5)
    assert form()["max_workers"].resolve(7) == 7
    assert RunParameters(workers="auto", max_workers=3).max_workers == 3


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (
            {"spot": "spot-or-on-demand", "spot_timeout_minutes": 60},
            "spot_timeout_minutes is 60, .* on-demand nodes would never come.* max_start_minutes 45",
        ),
        (
            {"primary_market": "spot-or-on-demand", "spot_timeout_minutes": 60},
            "spot_timeout_minutes is 60, .* on-demand nodes would never come",
        ),
        (
            {"spot": "on-demand", "primary_market": "spot", "spot_timeout_minutes": 181},
            "spot_timeout_minutes is 181, .* at most 180, or raise max_hours 3",
        ),
        ({"spot_timeout_minutes": 181}, "spot_timeout_minutes is 181, .* at most 180, or raise max_hours 3"),
        ({"max_hours": 0.5}, r"max_start_minutes is 45, .* at most 30, or raise max_hours 0\.5"),
    ],
)
def test_limits_that_contain_one_another_the_wrong_way_round_are_refused(
    given: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ParameterError, match=sentence):
        RunParameters.checked(given)


def test_limits_as_long_as_what_contains_them_are_accepted() -> None:
    limits = {"spot_timeout_minutes": 60, "max_start_minutes": 60, "max_hours": 1}
    RunParameters.checked({"spot": "spot-or-on-demand", **limits})
    RunParameters.checked({"spot": "on-demand", "spot_timeout_minutes": 1440})
