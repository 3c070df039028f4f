"""A run's budget: its worst case is held against it before anything costs money."""

import math

from fruit_pipeline.cost.estimate import Estimate, Workload, estimate, fits, is_affordable
from fruit_pipeline.cost.invoice import total_usd
from fruit_pipeline.cost.prices import Prices
from fruit_pipeline.errors import PipelineError
from fruit_pipeline.settings.parameters import RunParameters


class BudgetError(PipelineError):
    """The worst case of the run costs more than its budget."""


def check_budget(
    parameters: RunParameters, workload: Workload, prices: Prices, usd_per_eur: float
) -> Estimate:
    """The estimate of the run, whose fleet is known, when its worst case is within the budget."""
    sums = estimate(parameters, workload, prices)
    worst_usd = total_usd(sums.worst)
    if is_affordable(worst_usd, parameters, usd_per_eur):
        return sums
    worst = worst_usd / usd_per_eur
    lower = fits(parameters, workload, prices, usd_per_eur)
    changes = [f"lower {name} to {value:g}" for name, value in lower.items()]
    lines = "".join(f"\n  {line.usd / usd_per_eur:8.2f} EUR  {line.service}" for line in sums.worst)
    raise BudgetError(
        f"The worst case costs {worst:.2f} EUR, more than budget_eur {parameters.budget_eur:g}: "
        f"{', or '.join([*changes, f'raise budget_eur to {math.ceil(worst)}'])}. "
        f"At {usd_per_eur} USD per EUR it is{lines}"
    )
