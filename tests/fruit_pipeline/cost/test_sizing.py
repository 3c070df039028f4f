"""workers=auto takes the cheapest fleet that is done in time and within the budget, or says what would be."""

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fruit_pipeline.cost import estimate, prices, sizing, speeds
from fruit_pipeline.cost.estimate import Workload
from fruit_pipeline.cost.sizing import Offer, SizingError
from fruit_pipeline.settings import instance_types
from fruit_pipeline.settings.deployment import Deployment
from fruit_pipeline.settings.parameters import RunParameters
from tests.conftest import REPOSITORY
from tests.fruit_pipeline.cost.price_lists import snapshot_of

RATE = Deployment().usd_per_eur
IRELAND = snapshot_of("eu-west-1", instance_types.OFFERED_TYPES)
IMAGES = st.integers(1, 2_000_000)
few_examples = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture
def few_fleets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer fleets to weigh: every example would else weigh hundreds, several times."""
    monkeypatch.setattr(sizing, "MOST_WORKERS", 9)
    monkeypatch.setattr(sizing, "CHOSEN_FROM", ("m6g.xlarge", "m6g.2xlarge", "m7g.xlarge"))


def auto(**changes: Any) -> RunParameters:
    return RunParameters(**{"workers": "auto", **changes})


def photos(images: int) -> Workload:
    return Workload(images=images, image_bytes=images * 6_000)


def chosen(parameters: RunParameters, images: int) -> Offer:
    sized = sizing.choose(parameters, photos(images), IRELAND, RATE)
    (offer,) = sizing.offers(sized, photos(images), IRELAND)
    return offer


def cores(offer: Offer) -> int:
    fleet = offer.fleet
    return estimate.workers_of(RunParameters(worker_type=fleet.worker_type, workers=fleet.workers)).cores


def fitting(parameters: RunParameters, images: int) -> list[Offer]:
    longest = 60 * min(
        parameters.deadline_minutes / 60,
        parameters.max_hours,
        parameters.max_step_hours + (speeds.START_SECONDS + speeds.END_SECONDS) / 3600,
    )
    return [
        offer
        for offer in sizing.offers(parameters, photos(images), IRELAND)
        if offer.minutes <= longest and offer.worst_usd / RATE <= parameters.budget_eur
    ]


@st.composite
def questions(draw: st.DrawFn) -> RunParameters:
    return auto(
        deadline_minutes=draw(st.floats(5, 600)),
        budget_eur=draw(st.floats(0.1, 500)),
        max_hours=draw(st.floats(0.75, 24)),
        max_step_hours=draw(st.floats(0.1, 24)),
        engine=draw(st.sampled_from(["litert", "keras"])),
        image_size=draw(st.sampled_from([96, 128, 160, 192, 224])),
        spot=draw(st.sampled_from(["spot", "on-demand"])),
        worker_type=draw(st.sampled_from(["auto", "m6g.xlarge", "m6g.2xlarge", "r7g.xlarge"])),
    )


@pytest.mark.usefixtures("few_fleets")
@given(questions(), IMAGES)
@few_examples
def test_the_choice_is_in_time_and_within_the_budget_and_none_that_is_costs_less(
    parameters: RunParameters, images: int
) -> None:
    could = fitting(parameters, images)
    if not could:
        with pytest.raises(SizingError):
            chosen(parameters, images)
        return
    offer = chosen(parameters, images)
    assert offer in could
    assert offer.expected_usd == min(other.expected_usd for other in could)


@pytest.mark.usefixtures("few_fleets")
@given(IMAGES, st.floats(1.1, 25), st.sampled_from(["litert", "keras"]))
@few_examples
def test_more_images_never_get_a_fleet_that_is_slower_per_image(
    images: int, factor: float, engine: str
) -> None:
    parameters = auto(
        engine=engine, budget_eur=10_000, deadline_minutes=1440, max_hours=24, max_step_hours=24
    )
    more = round(images * factor) + 1
    few, many = chosen(parameters, images), chosen(parameters, more)
    assert many.minutes / more <= few.minutes / images


@pytest.mark.usefixtures("few_fleets")
@given(questions(), IMAGES)
@few_examples
def test_following_the_refusal_s_advice_lets_a_fleet_fit(parameters: RunParameters, images: int) -> None:
    if fitting(parameters, images):
        return
    with pytest.raises(SizingError) as refused:
        chosen(parameters, images)
    sentence = str(refused.value)
    assert sentence.count("\n") == 0
    advice = sentence.rpartition("; ")[2]
    ways = [] if "take fewer images" in advice else advice.rstrip(".").split(", or ")
    for way in ways:
        changes = {
            name: float(value) for name, value in re.findall(r"(?:raise|lower) (\w+) to ([\d.e+]+)", way)
        }
        assert changes
        assert fitting(RunParameters(**{**parameters.model_dump(), **changes}), images)


def test_fifty_photos_take_two_small_nodes_and_a_million_take_more() -> None:
    few = chosen(auto(), 50)
    assert (few.fleet.worker_type, few.fleet.workers) == ("m6g.xlarge", 2)
    many = chosen(auto(), 1_000_000)
    assert cores(many) > 2 * cores(few)
    assert many.minutes <= 60


def test_the_work_is_never_on_one_spot_node_unless_it_is_asked_for() -> None:
    """With it EC2 takes back the driver and all of the work at once."""
    for images in (50, 87_000, 1_000_000):
        assert chosen(auto(), images).fleet.workers >= 2
    assert chosen(auto(spot="on-demand"), 50).fleet.workers == 1
    assert chosen(auto(max_workers=1), 50).fleet.workers == 1


def test_a_tighter_deadline_takes_more_cores() -> None:
    tight, loose = (chosen(auto(deadline_minutes=minutes), 1_000_000) for minutes in (40, 120))
    assert cores(tight) > cores(loose)


def test_a_slower_engine_and_a_larger_image_take_longer_on_the_same_fleet() -> None:
    def minutes(**changes: Any) -> float:
        (offer,) = sizing.offers(RunParameters(**changes), photos(100_000), IRELAND)
        return offer.minutes

    assert minutes(image_size=96) < minutes(image_size=160) < minutes() < minutes(engine="keras")
    assert set(speeds.SHARE_OF_224) == {96, 128, 160, 192, 224}


def test_the_default_fleet_is_left_alone() -> None:
    assert sizing.choose(RunParameters(), photos(10**8), IRELAND, RATE) == RunParameters()


def test_a_given_number_of_workers_gets_the_cheapest_type_and_a_given_type_its_number() -> None:
    assert chosen(RunParameters(workers=3, worker_type="auto"), 1_000_000).fleet.workers == 3
    assert chosen(auto(worker_type="c7g.2xlarge"), 1_000_000).fleet.worker_type == "c7g.2xlarge"


def test_a_known_spot_price_decides_between_types() -> None:
    cheap = replace(IRELAND, spot={"m7g.4xlarge": 0.07})
    sized = sizing.choose(auto(budget_eur=20), photos(1_000_000), cheap, RATE)
    assert sized.worker_type == "m7g.4xlarge"


def test_graviton3_is_counted_as_faster_where_nothing_slower_may_come_and_chosen_for_it() -> None:
    of_two, of_three = (
        RunParameters(worker_type=f"{family}.xlarge", diversify=False) for family in ("m6g", "m7g")
    )
    rates = [estimate.images_per_core_second(parameters) for parameters in (of_two, of_three)]
    assert rates[1] / rates[0] == pytest.approx(speeds.GRAVITON3_FACTOR)
    may_be_an_m6g = RunParameters(worker_type="m7g.xlarge")
    assert estimate.images_per_core_second(may_be_an_m6g) == rates[0]
    # It costs 6 % more.
    assert chosen(auto(diversify=False), 1_000_000).fleet.worker_type.startswith("m7g.")
    assert chosen(auto(), 1_000_000).fleet.worker_type.startswith("m6g.")


def test_the_types_to_choose_from_are_those_the_region_has_a_price_for() -> None:
    known = sizing.types_in_question(auto(region="eu-west-3"))
    assert known
    assert set(known) <= set(prices.snapshot_on_demand("eu-west-3", sizing.CHOSEN_FROM))
    assert sizing.types_in_question(auto(region="eu-south-2")) == sizing.CHOSEN_FROM
    assert sizing.types_in_question(RunParameters()) == ("m6g.xlarge",)


@pytest.mark.parametrize(
    ("changes", "images", "sentence"),
    [
        (
            {"deadline_minutes": 10},
            1_000_000,
            r"No fleet handles 1,000,000 images within deadline_minutes 10 and budget_eur 10: "
            r"the fastest that budget_eur allows, 7 m6g.xlarge, takes 40 minutes; "
            r"raise deadline_minutes to 40\.",
        ),
        (
            {"budget_eur": 1},
            1_000_000,
            r"the cheapest that is in time, .* costs .* EUR at worst; .*budget_eur to",
        ),
        (
            {"deadline_minutes": 600, "max_step_hours": 0.1},
            1_000_000,
            r"within max_step_hours 0\.1 .*raise max_step_hours to 0\.5",
        ),
        (
            {"deadline_minutes": 5, "budget_eur": 0.01},
            1000,
            r"raise deadline_minutes to \d+ and raise budget_eur to \d+\.",
        ),
    ],
)
def test_a_refusal_names_the_nearest_fleet_and_the_parameter_to_change(
    changes: dict[str, Any], images: int, sentence: str
) -> None:
    with pytest.raises(SizingError, match=sentence):
        chosen(auto(**changes), images)


def test_the_arithmetic_is_told_with_its_figures() -> None:
    words = sizing.explained(RunParameters(), photos(113_400))
    assert words.startswith(
        "2 m6g.xlarge: 113,400 images at 25 a second and core on 7 cores; the steps take 14."
    )
    assert words.endswith("deadline_minutes is 60.")


def test_a_given_fleet_that_is_too_slow_for_its_lifetime_is_warned_of() -> None:
    assert sizing.warning(RunParameters(), photos(87_000)) is None
    slow = sizing.warning(RunParameters(max_hours=1), photos(1_000_000))
    assert slow is not None
    assert re.match(r"2 m6g\.xlarge is expected to need \d\.\d hours, and max_hours 1 ends", slow)


def test_the_documentation_s_examples_are_what_is_chosen() -> None:
    text = (REPOSITORY / "docs" / "guides" / "cost.md").read_text(encoding="utf-8")
    rows = re.findall(
        r"^\| ([\d,]+) \| (?:`(\w+)=(\d+)`)? ?\| (\d+ \S+) \| (\d+) \| (\S+) \| (\S+) \|$", text, re.M
    )
    assert len(rows) == 5
    for images, name, value, *told in rows:
        offer = chosen(auto(**({name: float(value)} if name else {})), int(images.replace(",", "")))
        eur = (f"{usd / RATE:.2f}" for usd in (offer.expected_usd, offer.worst_usd))
        assert [str(offer.fleet), f"{offer.minutes:.0f}", *eur] == told
