"""The worst case of a run is never less than its bill, and above the budget it is refused with the sum."""

from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fruit_contract.partitions import image_partitions, most_feature_files, output_partitions
from fruit_contract.s3_limits import READS_A_SECOND
from fruit_pipeline.cost import billing, estimate, sizing, speeds, substitutes
from fruit_pipeline.cost.budget import BudgetError, check_budget
from fruit_pipeline.cost.estimate import Workload
from fruit_pipeline.cost.invoice import NodeUse, invoice_lines, total_usd
from fruit_pipeline.cost.prices import PriceError
from fruit_pipeline.cost.step_times import Workers, featurize_seconds, reduce_seconds, train_seconds
from fruit_pipeline.settings import instance_types
from fruit_pipeline.settings.deployment import Deployment
from fruit_pipeline.settings.parameters import WORKER_TYPES, RunParameters
from tests.conftest import REPOSITORY
from tests.fruit_pipeline.cost.price_lists import snapshot_of

IRELAND = snapshot_of("eu-west-1", instance_types.OFFERED_TYPES)
untimed = settings(deadline=None)
"""A shared machine may be slow; no time is promised here."""
FRUITS_360 = Workload(images=87_000, image_bytes=2_000_000_000)


def fits(parameters: RunParameters, workload: Workload, budget: float) -> dict[str, float]:
    """What to lower, with the budget in the prices' own currency."""
    return estimate.fits(parameters.model_copy(update={"budget_eur": budget}), workload, IRELAND, 1.0)


def worst(parameters: RunParameters, workload: Workload = FRUITS_360) -> float:
    return total_usd(estimate.worst_lines(parameters, workload, IRELAND))


def test_the_recorded_cluster_fits_the_budget(deployment: Deployment) -> None:
    found = billing.in_eur(
        check_budget(RunParameters(), FRUITS_360, IRELAND, deployment.usd_per_eur), deployment
    )
    assert 0 < found["expected"] < found["estimate"] < 10


def test_the_groups_of_an_estimate_sum_to_it(deployment: Deployment) -> None:
    found = estimate.estimate(RunParameters(), FRUITS_360, IRELAND)
    eur, groups = billing.in_eur(found, deployment), billing.groups_in_eur(found, deployment)
    assert sum(each["estimate"] or 0.0 for each in groups) == pytest.approx(eur["estimate"])
    assert sum(each["expected"] or 0.0 for each in groups) == pytest.approx(eur["expected"])
    assert {each["group"] for each in groups} >= {"EC2 Spot", "EMR", "EBS", "S3"}


def test_the_documentation_names_the_estimates_of_the_default_run(deployment: Deployment) -> None:
    found = estimate.estimate(RunParameters(), FRUITS_360, IRELAND)
    eur = billing.in_eur(found, deployment)
    for page in ("README.md", "docs/guides/cost.md"):
        text = (REPOSITORY / page).read_text(encoding="utf-8")
        assert f"{eur['estimate']:.2f} EUR" in text
        assert f"{eur['expected']:.2f} EUR" in text
    assert f"{found.expected_hours * 60:.0f} minutes" in text


def test_a_run_above_the_budget_is_refused_with_the_sum_and_what_to_lower(deployment: Deployment) -> None:
    parameters = RunParameters(workers=20)
    with pytest.raises(BudgetError) as refused:
        check_budget(parameters, FRUITS_360, IRELAND, deployment.usd_per_eur)
    first, *lines = str(refused.value).splitlines()
    assert "more than budget_eur 10: lower max_hours to 1.4, or lower workers to 10" in first
    amounts = [float(line.split()[0]) for line in lines]
    assert sum(amounts) == pytest.approx(worst(parameters) / deployment.usd_per_eur, abs=0.005 * len(lines))
    assert {line.split()[2] for line in lines} == {"EC2", "EMR", "EBS", "S3"}


def test_what_the_refusal_proposes_fits_and_the_next_step_does_not() -> None:
    parameters = RunParameters(workers=20)
    proposed = fits(parameters, FRUITS_360, 10.0)
    assert set(proposed) == {"max_hours", "workers"}
    for name, step in (("max_hours", 0.1), ("workers", 1)):
        changed = parameters.model_copy(update={name: proposed[name]})
        assert estimate.expected_hours(changed, FRUITS_360) <= changed.max_hours
        assert worst(parameters.model_copy(update={name: proposed[name]})) <= 10
        assert worst(parameters.model_copy(update={name: proposed[name] + step})) > 10


def test_a_budget_that_nothing_fits_proposes_only_to_raise_it(deployment: Deployment) -> None:
    with pytest.raises(BudgetError, match=r"budget_eur 0\.01: raise budget_eur to 3\."):
        check_budget(RunParameters(budget_eur=0.01), FRUITS_360, IRELAND, deployment.usd_per_eur)


def test_no_lifetime_is_proposed_that_the_photos_or_the_start_would_not_fit_in() -> None:
    many = Workload(images=4_500_000, image_bytes=0)
    parameters = RunParameters(workers=20)
    needed, rich = estimate.expected_hours(parameters, many), worst(parameters, many)
    assert 0.75 < needed < 1
    tight = total_usd(
        estimate.worst_lines(parameters.model_copy(update={"max_hours": needed - 0.01}), many, IRELAND)
    )
    assert "max_hours" not in fits(parameters, many, tight)
    assert fits(parameters, many, rich - 0.01)["max_hours"] >= needed
    few = Workload(images=1000, image_bytes=0)
    assert estimate.expected_hours(parameters, few) < 0.3

    def costs(hours: float) -> float:
        return worst(parameters.model_copy(update={"max_hours": hours}), few)

    # 45 minutes to start are 0.75 hours.
    assert fits(parameters, few, costs(0.8))["max_hours"] == 0.8
    assert "max_hours" not in fits(parameters, few, costs(0.7))


def test_a_life_longer_than_the_limit_is_told_as_it_is() -> None:
    parameters = RunParameters(max_hours=1)
    many = Workload(images=1_000_000, image_bytes=0)
    found = estimate.estimate(parameters, many, IRELAND)
    assert found.expected_hours == estimate.expected_hours(parameters, many) > 1.5
    assert total_usd(found.expected) < total_usd(found.worst)


def test_no_fleet_is_expected_to_read_more_than_s3_gives() -> None:
    many = Workload(images=10_000_000, image_bytes=10_000_000 * 6_000)
    least = 10_000_000 / READS_A_SECOND
    for workers, binds in ((50, False), (56, False), (57, True), (100, True)):
        asked = RunParameters(workers=workers)
        assert estimate.reads_bind(asked, many) is binds
        assert estimate.step_seconds(asked, many) > least
        assert ("minutes, at S3's 5,500 reads a second, with" in sizing.explained(asked, many)) is binds
    # The documentation names the number.
    assert "57 workers of 4 cores" in (REPOSITORY / "docs/reference/steps.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("images", "features", "outputs"), [(1000, 8, 1), (87_000, 88, 8), (10_000_000, 10_000, 200)]
)
def test_the_requests_are_those_of_the_files_that_the_steps_write(
    images: int, features: int, outputs: int
) -> None:
    cores = 8
    assert (image_partitions(images, cores), output_partitions(images, cores)) == (features, outputs)
    use = estimate.s3_use(RunParameters(), Workload(images, 0), hours=0)
    megabytes = images * (1280 + 256) * 4 / 5e6
    lists = images / 1000 + 8 * (features / 1000 + 1)
    assert features + outputs < use.puts <= 200 + lists + 3 * (features + outputs) + 1.1 * megabytes
    assert images < use.gets <= 300 + images + 20 * (features + outputs)


def test_photos_that_are_known_are_not_read_but_their_feature_files_are() -> None:
    new, all_new = Workload(1000, 0, reused=86_000), Workload(87_000, 0)
    few, many = (estimate.s3_use(RunParameters(), workload, hours=0) for workload in (new, all_new))
    files = image_partitions(1000, 8) + most_feature_files(87_000)
    assert 300 + 1000 + files < few.gets < many.gets / 5
    assert few.gb_months == many.gb_months
    # Reduced once more, all of them may be compacted: only the photos themselves are left out.
    vectors = 87_000 * 1280 * 4 / 2**20 / 5
    assert vectors < few.puts < 200 + 1.2 * vectors + 9 * files


def test_a_share_of_the_variance_is_counted_as_the_most_components_that_it_can_come_to() -> None:
    share, most, few = (
        estimate.s3_use(RunParameters(components=components), FRUITS_360, hours=0)
        for components in (0.95, 1280, 256)
    )
    assert share == most
    assert few.puts < most.puts


def test_a_run_that_only_reduces_makes_no_features() -> None:
    reads = [estimate.s3_use(RunParameters(), Workload(n, 0, reused=1000), hours=0).gets for n in (0, 1)]
    assert reads[0] < reads[1]


def test_what_earlier_clusters_of_the_run_cost_counts_against_its_budget(deployment: Deployment) -> None:
    spent = replace(FRUITS_360, spent_usd=9 * deployment.usd_per_eur)
    fresh = check_budget(RunParameters(), FRUITS_360, IRELAND, deployment.usd_per_eur)
    with pytest.raises(BudgetError, match=r"than budget_eur 10: (?s:.*) 9\.00 EUR  Earlier clusters of"):
        check_budget(RunParameters(), spent, IRELAND, deployment.usd_per_eur)
    found = check_budget(RunParameters(budget_eur=20), spent, IRELAND, deployment.usd_per_eur)
    assert total_usd(found.worst) == pytest.approx(total_usd(fresh.worst) + spent.spent_usd)
    assert total_usd(found.expected) == pytest.approx(total_usd(fresh.expected) + spent.spent_usd)


@untimed
@given(st.integers(1, 30), st.floats(0.75, 23), st.floats(0.001, 1))
def test_the_worst_case_grows_with_workers_and_hours(workers: int, hours: float, more: float) -> None:
    least = worst(RunParameters(workers=workers, max_hours=hours))
    assert worst(RunParameters(workers=workers + 1, max_hours=hours)) > least
    assert worst(RunParameters(workers=workers, max_hours=hours + more)) > least


@untimed
@given(st.integers(1, 10**7), st.integers(1, 10**6), st.integers(0, 10**12))
def test_both_sums_grow_with_the_photos(images: int, more: int, size: int) -> None:
    few = estimate.estimate(RunParameters(), Workload(images, size), IRELAND)
    many = estimate.estimate(RunParameters(), Workload(images + more, size), IRELAND)
    assert total_usd(many.worst) > total_usd(few.worst)
    assert total_usd(many.expected) > total_usd(few.expected)


@untimed
@given(
    st.data(),
    st.sampled_from(instance_types.OFFERED_TYPES),
    st.sampled_from(WORKER_TYPES),
    st.integers(1, 5),
    st.none() | st.integers(5, 8),
    st.floats(0.75, 16),
    st.integers(0, 480),
    st.integers(1, 10**6),
    st.sampled_from(["spot", "on-demand"]),
)
def test_no_bill_of_a_cluster_within_its_lifetime_is_above_the_worst_case(
    data: Any,
    primary: str,
    worker: str,
    workers: int,
    most: int | None,
    hours: float,
    interactive: int,
    images: int,
    spot: str,
) -> None:
    """Whatever types EMR chose, and however many workers scaling added."""
    parameters = RunParameters(
        primary_type=primary,
        worker_type=worker,
        workers=workers,
        max_workers=most,
        max_hours=hours,
        interactive_minutes=interactive,
        spot=spot,
        diversify=data.draw(st.booleans()),
    )
    workload = Workload(images, images * 6000)
    came = st.sampled_from(substitutes.worker_types(parameters))
    types = [
        data.draw(st.sampled_from(substitutes.primary_types(parameters))),
        *(data.draw(came) for _ in range(most or workers)),
    ]
    lifetime = parameters.lifetime_hours * 3600
    lost_after = data.draw(st.floats(0, lifetime)) if parameters.may_be_replaced else None
    # The second cluster, on demand, has what the first has left.
    clusters = [lifetime] if lost_after is None else [lost_after, lifetime - lost_after]
    share = data.draw(st.floats(0.1, 1))
    asked = replace(IRELAND, spot={name: share * IRELAND.on_demand[name] for name in types})
    nodes = []
    for number, seconds in enumerate(clusters):
        market = (
            "ON_DEMAND"
            if number or spot == "on-demand"
            else data.draw(st.sampled_from(["SPOT", "ON_DEMAND"]))
        )
        lives = st.floats(0, seconds + speeds.OVERTIME_SECONDS)
        nodes += [NodeUse(name, market, data.draw(lives)) for name in types]
    hours = sum(seconds + speeds.OVERTIME_SECONDS for seconds in clusters) / 3600
    attempts = estimate.TASK_ATTEMPTS * len(clusters)
    bill = invoice_lines(
        nodes, estimate.s3_use(parameters, workload, hours, attempts, parameters.most_workers), asked
    )
    assert total_usd(bill) <= worst(parameters, workload) + 1e-9


def test_the_worst_case_is_that_of_both_clusters_to_the_last_minute() -> None:
    parameters = RunParameters()
    each = parameters.lifetime_hours * 3600 / 2 + speeds.OVERTIME_SECONDS
    nodes = [NodeUse("r6g.xlarge", market, each) for market in ("SPOT", "ON_DEMAND") for _ in range(3)]
    use = estimate.s3_use(parameters, FRUITS_360, 2 * each / 3600, 2 * estimate.TASK_ATTEMPTS)
    bill = total_usd(invoice_lines(nodes, use, replace(IRELAND, spot={})))
    assert bill == pytest.approx(worst(parameters))
    assert worst(RunParameters(on_spot_loss="fail")) < bill


def test_the_worst_case_takes_the_dearest_types_the_largest_fleet_and_the_interactive_time() -> None:
    alone = RunParameters(diversify=False)
    text = " ".join(line.service for line in estimate.worst_lines(RunParameters(), FRUITS_360, IRELAND))
    assert "r6g.xlarge, 3 nodes" in text
    assert worst(alone) < worst(RunParameters())
    assert worst(RunParameters(max_workers=5)) == pytest.approx(worst(RunParameters(workers=5)))
    assert worst(RunParameters(interactive_minutes=60)) == pytest.approx(worst(RunParameters(max_hours=4)))


def test_the_expected_cost_is_of_what_was_asked_for() -> None:
    asked = estimate.estimate(RunParameters(diversify=False), FRUITS_360, IRELAND).expected
    diverse = estimate.estimate(RunParameters(max_workers=9), FRUITS_360, IRELAND).expected
    assert total_usd(diverse) == pytest.approx(total_usd(asked))


def test_interactive_time_is_expected_to_be_used() -> None:
    without = estimate.estimate(RunParameters(), FRUITS_360, IRELAND)
    hour = estimate.estimate(RunParameters(interactive_minutes=60), FRUITS_360, IRELAND)
    assert hour.expected_hours == pytest.approx(without.expected_hours + 1)
    assert total_usd(hour.expected) > 2 * total_usd(without.expected)


def test_a_fleet_that_may_grow_is_made_to_fit_by_its_maximum() -> None:
    parameters = RunParameters(workers=2, max_workers=20)
    proposed = fits(parameters, FRUITS_360, 10.0)
    assert set(proposed) == {"max_hours", "max_workers"}
    assert worst(parameters.model_copy(update={"max_workers": int(proposed["max_workers"])})) <= 10


def test_the_expected_hours_are_those_of_the_steps_and_of_what_is_around_them() -> None:
    parameters = RunParameters(worker_type="m6g.xlarge", workers=2)
    photos = Workload(images=600_000, image_bytes=0)
    hours = estimate.expected_hours(parameters, photos)
    # One core of the eight is the driver's.
    workers = Workers(executors=2, tasks=8, cores=7, raw_images_per_second=27)
    steps = featurize_seconds(workers, photos.images, 0) + reduce_seconds(workers, photos.rows)
    steps += train_seconds(workers, photos.rows, "linear")
    around = speeds.START_SECONDS + 3 * speeds.STEP_SECONDS + speeds.END_SECONDS
    assert 3600 * hours == pytest.approx(steps + around)
    untrained = estimate.expected_hours(RunParameters(classifier="none"), photos)
    assert untrained < hours < estimate.expected_hours(RunParameters(classifier="forest"), photos)
    assert estimate.expected_hours(RunParameters(engine="keras"), photos) > 2 * hours


def test_a_known_spot_price_is_expected_and_an_unknown_one_assumed() -> None:
    assumed = estimate.estimate(RunParameters(), FRUITS_360, IRELAND).expected
    known = replace(IRELAND, spot={"m6g.xlarge": 0.04})
    cheaper = estimate.estimate(RunParameters(), FRUITS_360, known)
    assert total_usd(cheaper.expected) < total_usd(assumed) < total_usd(cheaper.worst)
    assert total_usd(cheaper.worst) == pytest.approx(worst(RunParameters()))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -1])
def test_counts_that_are_none_are_refused(bad: Any) -> None:
    with pytest.raises(PriceError, match=r"images is .*: it must be a number, 0 or more"):
        Workload(images=bad, image_bytes=0)


def test_no_images_are_refused(deployment: Deployment) -> None:
    with pytest.raises(PriceError, match="There are no images to estimate a cost for"):
        check_budget(RunParameters(), Workload(0, 0), IRELAND, deployment.usd_per_eur)


def test_a_type_without_a_price_is_refused(deployment: Deployment) -> None:
    with pytest.raises(PriceError, match=r"The price of r7g\.xlarge in eu-west-3 is not in the snapshot"):
        check_budget(
            RunParameters(worker_type="r7g.xlarge"),
            FRUITS_360,
            snapshot_of("eu-west-3", instance_types.OFFERED_TYPES),
            deployment.usd_per_eur,
        )


def test_an_old_exchange_rate_is_warned_of() -> None:
    deployment = Deployment(usd_per_eur_date=date(2025, 3, 1))
    assert billing.rate_warning(deployment, date(2025, 4, 1)) is None
    assert "set FRUITS_USD_PER_EUR and FRUITS_USD_PER_EUR_DATE" in str(
        billing.rate_warning(deployment, date(2026, 1, 1))
    )
