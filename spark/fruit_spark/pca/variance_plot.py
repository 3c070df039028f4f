"""The picture of what the components keep."""

import io

import numpy as np
import numpy.typing as npt

from fruit_contract.variance import components_for


def draw_variance(ratio: npt.NDArray[np.float64], minimum: float) -> bytes:
    """PNG: variance by component and cumulative, the minimum, and the k that reaches it.

    ``ratio`` is float64 [k], shares of the whole variance, largest first; ``minimum`` is 0 to 1.
    """
    # The object-oriented API draws without a display and without pyplot, which takes longer to import.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import PercentFormatter

    number = np.arange(1, len(ratio) + 1)
    cumulative = np.cumsum(ratio)
    enough = components_for(ratio.tolist(), minimum)
    figure = Figure(figsize=(9, 6.5), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 2])
    figure.suptitle(f"{len(ratio)} principal components keep {cumulative[-1]:.1%} of the variance")

    above.plot(number, cumulative, color="tab:blue", label="cumulative")
    above.axhline(minimum, color="tab:red", linestyle="--", label=f"minimum: {minimum:.0%}")
    if enough is not None:
        above.axvline(enough, color="tab:green", linestyle=":", label=f"reached with {enough} components")
        above.plot([enough], [cumulative[enough - 1]], "o", color="tab:green")
    else:
        above.plot([], [], " ", label=f"not reached with {len(ratio)} components")
    above.set_ylabel("cumulative explained variance")
    above.set_ylim(0, 1.02)
    above.legend(loc="lower right")

    below.bar(number, ratio, width=1.0, color="tab:blue")
    # The first components keep a hundred times what the last ones keep.
    if ratio[ratio > 0].size:
        below.set_yscale("log")
    below.set_ylabel("explained variance\nby component (log)")
    below.set_xlabel("component")
    for axes in (above, below):
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=None))
        axes.grid(alpha=0.3)
    content = io.BytesIO()
    # No date and no version inside: the same variance gives the same bytes.
    figure.savefig(content, format="png", metadata={"Software": None})
    return content.getvalue()
