"""What several records of one row say together: accuracy, stability and time, over seeds.

Accuracies are in percent, 100 minus the error of the last epoch. The same record gives the same
numbers everywhere, and a record that lacks something costs only the number that needs it.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from . import quantities as q
from .records import Record, items, mapping

SEEDS = 3
"""Seeds below which nothing is decided."""

FAR = 3.0
"""Standard errors beyond which two means differ."""

BySeed = Mapping[int, float]


@dataclass(frozen=True)
class Gap:
    """A difference of two means, its standard error (None with one seed), and the fewer seeds."""

    mean: float
    error: float | None
    seeds: int

    @property
    def sign(self) -> int | None:
        """1 or -1 where the means differ by more than FAR standard errors, 0 where not.

        None with fewer than SEEDS seeds: two of them can lie close together by luck.
        """
        if self.seeds < SEEDS or self.error is None:
            return None
        return 0 if abs(self.mean) <= FAR * self.error else 1 if self.mean > 0 else -1


def readout_of(records: Sequence[Record]) -> str | None:
    """The readout with the lowest validation error, averaged over records that have it."""
    means = {}
    for name in ("goodness", "linear"):
        found = [_error(record, "validation_error", name) for record in records]
        known = [error for error in found if error is not None]
        if known:
            means[name] = statistics.fmean(known)
    return min(means, key=means.__getitem__) if means else None


def accuracies(records: Sequence[Record], readout: str | None = None) -> dict[int, float]:
    """Test accuracy by seed, by a readout or by the one that is best on validation."""
    name = readout or readout_of(records)
    found = {}
    for record in records:
        error = _error(record, "test_error", name or "")
        if error is not None:
            found[int(record["seed"])] = 100 * (1 - error)
    return found


def gap(ours: BySeed, theirs: BySeed) -> Gap | None:
    """Our mean minus theirs; the standard error is that of two independent means."""
    if not ours or not theirs:
        return None
    seeds = min(len(ours), len(theirs))
    mean = statistics.fmean(ours.values()) - statistics.fmean(theirs.values())
    if seeds < 2:
        return Gap(mean, None, seeds)
    spread = sum(statistics.variance(values.values()) / len(values) for values in (ours, theirs))
    return Gap(mean, math.sqrt(spread), seeds)


def paired(ours: BySeed, theirs: BySeed) -> list[float]:
    """Ours minus theirs, seed by seed, of the seeds that both have."""
    return [ours[seed] - theirs[seed] for seed in sorted(ours.keys() & theirs.keys())]


def of_pairs(differences: Sequence[float]) -> Gap | None:
    """The mean of differences by seed, with its standard error."""
    if not differences:
        return None
    count = len(differences)
    error = statistics.stdev(differences) / math.sqrt(count) if count > 1 else None
    return Gap(statistics.fmean(differences), error, count)


def unrest(record: Record, readout: str) -> float | None:
    """How much validation accuracy jumps from one measurement to the next, in points.

    The standard deviation of its changes over the last half of the last stage in which what the
    readout reads was learning: of the readout's own stage for the linear one, of the last cell's
    for goodness, which needs no readout. None with fewer than two changes.
    """
    curves = mapping(record, "curves")
    stages = items(curves, "stage")
    values = _validation(record, readout)
    moving = [
        (stage, value)
        for stage, value in zip(stages, values, strict=False)
        if value is not None and not (readout == "goodness" and stage == "readout")
    ]
    last = [value for stage, value in moving if stage == moving[-1][0]]
    half = last[len(last) // 2 :]
    changes = [b - a for a, b in pairwise(half)]
    return statistics.stdev(changes) if len(changes) > 1 else None


def seconds_to(record: Record, readout: str, share: float = 0.99) -> float | None:
    """Training seconds until validation accuracy is first at ``share`` of its own best."""
    spent = q.numbers(mapping(record, "curves").get("seconds"))
    values = _validation(record, readout)
    known = [value for value in values if value is not None]
    if not known or len(spent) != len(values):
        return None
    total = 0.0
    for value, seconds in zip(values, spent, strict=True):
        total += seconds or 0.0
        if value is not None and value >= share * max(known):
            return total
    return None


def cost(records: Sequence[Record], key: str) -> list[float]:
    """A number of ``record["cost"]``, of every record that has it."""
    found = [q.number(mapping(record, "cost").get(key)) for record in records]
    return [value for value in found if value is not None]


def machine_of(record: Record) -> tuple[Any, ...]:
    """What must be equal where times are compared."""
    about = mapping(record, "machine")
    return tuple(about.get(key) for key in ("device", "processor", "threads", "precision"))


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Mean and sample standard deviation in words.

    >>> spread([98.1, 98.3]), spread([98.1]), spread([])
    ('98.20 ± 0.14', '98.10', '–')
    """
    if not values:
        return q.NONE
    mean = f"{statistics.fmean(values):.{digits}f}"
    return f"{mean} ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else mean


def signed(found: Gap | None, digits: int = 2) -> str:
    """A difference with its standard error in words.

    >>> signed(Gap(-0.5, 0.1, 3)), signed(Gap(0.5, None, 1)), signed(None)
    ('−0.50 ± 0.10', '+0.50', '–')
    """
    if found is None:
        return q.NONE
    text = f"{found.mean:+.{digits}f}".replace("-", "−")
    return text if found.error is None else f"{text} ± {found.error:.{digits}f}"


def _validation(record: Record, readout: str) -> list[float | None]:
    """Validation accuracy by epoch, None where it was not measured."""
    curves = mapping(mapping(record, "curves"), "readouts")
    errors = q.numbers(mapping(curves, readout).get("validation"))
    return [None if error is None else 100 * (1 - error) for error in errors]


def _error(record: Record, split: str, readout: str) -> float | None:
    return q.number(mapping(record, split).get(readout))


def curve(records: Sequence[Record], readout: str) -> list[list[float | None]]:
    """Validation accuracies of every record, by epoch."""
    return [_validation(record, readout) for record in records]
