"""Charts of a result as SVG. Foreign text in them is escaped; colours come from the page's style sheet."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from markupsafe import Markup

from fruit_contract.classifier import Bin, Coverage
from fruit_contract.report_schema import StepTime, TaskTime
from fruit_contract.variance import components_for

SHARES: Final = (0.80, 0.90, 0.95, 0.99)
_WIDTH: Final = 720
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 12, 12, 28
_LANE: Final = 22
_SECONDS_BELOW: Final = 120
"""A run shorter than this is told in seconds, any other in minutes."""
_HALF: Final = 400
"""Width of a chart that stands beside another: its text is scaled with it."""


@dataclass(frozen=True)
class Lane:
    """A task or a step on the time axis, in seconds from the start of the run."""

    name: str
    start: float
    seconds: float
    state: str
    """Airflow's word, or ``step``."""
    startup: float = 0.0
    """Of ``seconds``, those before its work."""


@dataclass(frozen=True)
class Bar:
    """A run in a chart over time."""

    value: float
    state: str
    said: str
    """What a person reads of it."""


@dataclass(frozen=True)
class Dot:
    """A point of a chart whose axes are shares from 0 to 1."""

    across: float
    up: float
    radius: float
    said: str


def components_for_shares(ratio: Sequence[float]) -> list[tuple[float, int | None]]:
    """For each of ``SHARES`` the fewest components that keep so much; None where all of them do not."""
    return [(share, components_for(ratio, share)) for share in SHARES]


def variance(ratio: Sequence[float], minimum: float | None) -> Markup:
    """Cumulative and by component, each a share of the whole variance, with the minimum as a line."""
    height, kept = 280, list(accumulate(ratio))
    inner_height = height - _TOP - _BOTTOM
    step = (_WIDTH - _LEFT - _RIGHT) / max(1, len(ratio))

    def x(component: float) -> float:
        return _LEFT + step * component

    def y(share: float) -> float:
        return _TOP + inner_height * (1 - share)

    line = " ".join(f"{x(k + 0.5):.1f},{y(total):.1f}" for k, total in enumerate(kept))
    largest = max(ratio, default=0) or 1
    # Bars are drawn against the largest one: beside the whole variance most would not show.
    bars = "".join(
        f"M{x(k + 0.1):.1f},{y(0):.1f}V{y(share / largest):.1f}H{x(k + 0.9):.1f}V{y(0):.1f}"
        for k, share in enumerate(ratio)
        if share > 0
    )
    parts = [
        *(_rule(y(share), f"{share:.0%}") for share in (0.0, 0.25, 0.5, 0.75, 1.0)),
        f'<path class="bar" d="{bars}"/>',
        f'<polyline class="line" points="{line}"/>',
    ]
    if minimum is not None:
        parts.append(f'<path class="limit" d="M{_LEFT},{y(minimum):.1f}H{_WIDTH - _RIGHT}"/>')
    parts += [
        f'<text x="{x(k):.0f}" y="{height - 8}" text-anchor="middle">{k}</text>' for k in _ticks(len(ratio))
    ]
    parts.append(f'<path class="mark" id="variance-mark" d="M0,{_TOP}V{y(0):.1f}" visibility="hidden"/>')
    said = f"{len(ratio)} components keep {kept[-1]:.1%} of the variance" if kept else "No component"
    return _svg(height, said, parts, f'id="variance" data-left="{_LEFT}" data-step="{step:.4f}"')


def lanes(rows: Sequence[Lane]) -> Markup:
    """One line each, from the start of the run to its end."""
    end = max((lane.start + lane.seconds for lane in rows), default=0) or 1
    left = 150

    def time(seconds: float) -> str:
        # In minutes most short runs would have no other marks than 0.0.
        return f"{seconds:.3g} s" if end < _SECONDS_BELOW else f"{seconds / 60:.1f} min"

    scale = (_WIDTH - left - _RIGHT) / end
    height = _TOP + _LANE * len(rows) + _BOTTOM
    parts: list[str] = []
    for number, lane in enumerate(rows):
        top = _TOP + _LANE * number
        parts.append(
            Markup('<text x="{}" y="{}" text-anchor="end">{}</text>').format(left - 8, top + 14, lane.name)
        )
        took = f"{lane.name}: {lane.state}, {lane.seconds:.1f} s from {lane.start:.1f} s on"
        if lane.startup:
            took += f", of them {lane.startup:.1f} s before its work"
            parts.append(_lane("startup", left + lane.start * scale, top, lane.startup * scale, took))
        begun, work = lane.start + lane.startup, lane.seconds - lane.startup
        parts.append(_lane(lane.state, left + begun * scale, top, work * scale, took))
    parts += [
        f'<text x="{left + end * scale * share:.0f}" y="{height - 8}" text-anchor="middle">'
        f"{time(end * share)}</text>"
        for share in (0, 0.5, 0.96)
    ]
    return _svg(height, f"{len(rows)} tasks and steps over {time(end)}", parts)


def _lane(state: str, x: float, top: int, width: float, said: str) -> str:
    bar = '<rect class="lane {}" x="{:.1f}" y="{}" width="{:.1f}" height="14"><title>{}</title></rect>'
    return Markup(bar).format(state, x, top + 3, max(1, width), said)


def coverage(rows: Sequence[Coverage]) -> Markup:
    """Share of right answers (up) against the share of photos that are answered (across)."""
    dots = [
        Dot(
            each["answered"],
            each["right"],
            4,
            f"Probability {each['probability']:.2f} and more: {each['answered']:.1%} answered, "
            f"{each['right']:.1%} of them right",
        )
        for each in sorted(rows, key=lambda each: each["answered"])
        if each["right"] is not None
    ]
    return _shares(f"Accuracy against coverage at {len(dots)} probabilities", dots)


def reliability(bins: Sequence[Bin]) -> Markup:
    """Share of right answers (up) against the probability given (across); on the diagonal it is honest."""
    most = max((each["photos"] for each in bins), default=0) or 1
    dots = [
        Dot(
            each["confidence"],
            each["right"],
            2 + 6 * math.sqrt(each["photos"] / most),
            f"{each['photos']:,} photos: probability {each['confidence']:.1%}, right {each['right']:.1%}",
        )
        for each in sorted(bins, key=lambda each: each["confidence"])
        if each["photos"]
    ]
    return _shares(f"Reliability in {len(dots)} bins", dots, diagonal=True)


def _shares(said: str, dots: Sequence[Dot], *, diagonal: bool = False) -> Markup:
    """Dots on a line, where both axes go from 0 to 1."""
    height = 280

    def x(share: float) -> float:
        return _LEFT + (_HALF - _LEFT - 2 * _RIGHT) * share

    def y(share: float) -> float:
        return _TOP + (height - _TOP - _BOTTOM) * (1 - share)

    marks = (0.0, 0.25, 0.5, 0.75, 1.0)
    parts: list[str] = [_rule(y(share), f"{share:.0%}", _HALF) for share in marks]
    parts += [
        f'<text x="{x(share):.0f}" y="{height - 8}" text-anchor="middle">{share:.0%}</text>'
        for share in marks
    ]
    if diagonal:
        parts.append(f'<path class="limit" d="M{x(0):.1f},{y(0):.1f}L{x(1):.1f},{y(1):.1f}"/>')
    line = " ".join(f"{x(dot.across):.1f},{y(dot.up):.1f}" for dot in dots)
    parts.append(f'<polyline class="line" points="{line}"/>')
    parts += [
        f'<circle class="dot" cx="{x(dot.across):.1f}" cy="{y(dot.up):.1f}" r="{dot.radius:.1f}">'
        f"<title>{dot.said}</title></circle>"
        for dot in dots
    ]
    return _svg(height, said, parts, width=_HALF)


def bars_over_time(title: str, bars: Sequence[Bar]) -> Markup:
    """One bar a run, the oldest first, against the largest of them."""
    height, largest = 72, max((bar.value for bar in bars), default=0) or 1
    step = (_WIDTH - 2 * _RIGHT) / max(12, len(bars))
    parts = [
        Markup(
            '<rect class="run {}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}">'
            "<title>{}</title></rect>"
        ).format(
            bar.state,
            _RIGHT + place * step,
            height - 4 - (length := max(1.0, bar.value / largest * (height - 12))),
            step * 0.8,
            length,
            bar.said,
        )
        for place, bar in enumerate(bars)
    ]
    return _svg(height, f"{title} of {len(bars)} runs", parts)


def lanes_of(tasks: Sequence[TaskTime], steps: Sequence[StepTime]) -> list[Lane]:
    """The tasks and steps that ran, in the order in which they began."""
    ran: list[tuple[str, TaskTime | StepTime, str, float]] = [
        (task["name"], task, task["state"], 0.0) for task in tasks
    ]
    ran += [(f"step {step['name']}", step, "step", step.get("startup") or 0.0) for step in steps]
    rows = [
        Lane(name, time["started_after"], time["seconds"], state, min(startup, time["seconds"]))
        for name, time, state, startup in ran
        if time["started_after"] is not None and time["seconds"] is not None
    ]
    return sorted(rows, key=lambda lane: lane.start)


def _rule(y: float, word: str, width: int = _WIDTH) -> str:
    return (
        f'<path class="rule" d="M{_LEFT},{y:.1f}H{width - _RIGHT}"/>'
        f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{word}</text>'
    )


def _ticks(count: int) -> list[int]:
    """Round numbers below the axis, some six of them."""
    step = next((each for each in (1, 2, 5, 10, 20, 50, 100, 200, 500) if count / each <= 7), 1000)
    return list(range(step, count + 1, step))


def _svg(height: int, said: str, parts: Sequence[str], attributes: str = "", width: int = _WIDTH) -> Markup:
    body = "".join(parts)
    return Markup(
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{said}" {attributes}>{body}</svg>'
    )
