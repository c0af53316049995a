"""The page of ``onward bench cost``: two tables and two figures from records.

Everything is read from records: seconds, passes, FLOPs and memory are theirs; *to the target* takes
of each what the epochs up to it took.
"""

import statistics
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from ..record import Record
from ..report import measures as m
from ..report import quantities as q
from ..report.records import mapping
from .drawing import drawing, svg
from .tables import Records

Names = Mapping[str, Mapping[str, str]]
"""Protocol -> method -> the folder of its records."""

TITLES = {
    "ff": "Forward-Forward",
    "ff-pairs": "Forward-Forward, pairs",
    "uff": "denoising cells (UFF)",
    "bp": "backprop",
    "bp-recompute": "backprop, checkpointing",
    "bp-pieces": "backprop, accumulation",
}
SHADES = ("#0072b2", "#56b4e9", "#009e73", "#d55e00", "#e69f00", "#cc79a7")
COLOURS = dict(zip(TITLES, SHADES, strict=True))


@dataclass(frozen=True)
class Reached:
    """What a run had spent when its validation error first stayed at or below the target."""

    epoch: int
    seconds: float
    passes: float
    flops: float


def reached(record: Record, readout: str, percent: float) -> Reached | None:
    """The first epoch from which on the error is at or below the target; None if there is none.

    Epochs in which nothing was measured are passed over. Passes and FLOPs are the run's, by the
    share of its epochs: all its epochs are alike (schedules of one stage).
    """
    curves = mapping(record, "curves")
    errors = q.numbers(mapping(mapping(curves, "readouts"), readout).get("validation"))
    seconds = q.numbers(curves.get("seconds"))
    known = [(epoch, e) for epoch, e in enumerate(errors, 1) if e is not None]
    stays: int | None = None
    for epoch, error in reversed(known):
        if 100 * error > percent + 1e-9:
            break
        stays = epoch
    if stays is None or len(seconds) != len(errors):
        return None
    share, cost = stays / len(errors), mapping(record, "cost")
    return Reached(
        stays,
        sum(s or 0.0 for s in seconds[:stays]),
        share * (q.number(cost.get("data_passes")) or 0.0),
        share * (q.number(cost.get("flops")) or 0.0),
    )


def page(
    name: str, names: Names, passes: int, percent: float, records: Records, there: Collection[str]
) -> str:
    """The page, with what there is."""
    parts = ["# What training costs\n", _preface(names, records)]
    if "passes" in names:
        parts.append(_equal_passes(names["passes"], passes, records))
    if "target" in names:
        parts.append(_to_target(names["target"], percent, records))
    pictures = sorted(figure for figure in there if figure.endswith(".svg"))
    parts += [f"![{figure[:-4]}]({name}/{figure})\n" for figure in pictures]
    return "\n".join(parts)


def _preface(names: Names, records: Records) -> str:
    asked = {row for rows in names.values() for row in rows.values()}
    found = [record for row in asked for record in records.get(row, ())]
    machines = sorted({_machine(record) for record in found})
    missing = sorted(asked - records.keys())
    lines = [
        "Written by `onward bench cost` from records; docs/cost.md says what is counted, and how.",
        "Mean ± sample standard deviation over seeds; a ratio is to backprop's mean.",
        "",
        *(f"* {machine}" for machine in machines),
    ]
    if len(machines) > 1:
        lines.append(
            "* Runs are of more than one machine: compare their times with care. A ratio stands "
            "only where all\n  runs of both methods are of one."
        )
    if missing:
        lines.append(f"* Not run yet: {', '.join(missing)}.")
    return "\n".join([*lines, ""])


def _machine(record: Record) -> str:
    about = mapping(record, "machine")
    where = about.get("device") if about.get("device") != "cpu" else about.get("processor")
    return f"{where}, {about.get('threads')} threads, {about.get('precision')}"


def _equal_passes(rows: Mapping[str, str], passes: int, records: Records) -> str:
    """Everybody's cost of as many passes over the training samples."""
    backprop = records.get(rows["bp"], ())
    base = _mean(m.cost(backprop, "train_seconds"))
    told = []
    for method, row in rows.items():
        if not (found := records.get(row)):
            continue
        spent = m.cost(found, "train_seconds")
        told.append(
            [
                TITLES[method],
                _errors(found),
                m.spread(spent, 1),
                _ratio(_mean(spent), base if _one_machine(found, backprop) else None),
                _told(found, "samples_per_second", q.rate),
                _told(found, "data_passes", lambda v: f"{v:.4g}"),
                _told(found, "flops", q.flops),
                # More than all is no share: the limit was taken while the machine was busy.
                _said([v for v in m.cost(found, "share_of_limit") if v <= 1], _percent),
                _told(found, "peak_memory_bytes", q.memory),
                _told(found, "bytes_between_stations", q.memory),
                _told(found, "energy_joules", q.energy),
                str(len(found)),
            ]
        )
    head = ["method", "test error, %", "training, s", "/ backprop", "samples/s", "rows forward"]
    head += ["arithmetic", "of the machine's limit", "peak memory", "between cells", "energy"]
    return _section(
        f"Matched passes: {passes} over the training samples",
        "Settings are each recipe's own but for the number of epochs. *Rows forward* counts every "
        "version of a\nsample that goes through the row, in passes of the training set.",
        [*head, "seeds"],
        told,
    )


def _to_target(rows: Mapping[str, str], percent: float, records: Records) -> str:
    """Everybody's cost of an error, at their own best settings."""
    ends = {method: _ends(records.get(row, ()), percent) for method, row in rows.items()}
    base = _mean([end.seconds for end in ends["bp"]])
    backprop = records.get(rows["bp"], ())
    told = []
    for method, row in rows.items():
        if not (found := records.get(row)):
            continue
        end = ends[method]
        told.append(
            [
                TITLES[method],
                f"{len(end)} of {len(found)}",
                m.spread([e.seconds for e in end], 1),
                _ratio(
                    _mean([e.seconds for e in end]), base if _one_machine(found, backprop) else None
                ),
                f"{m.spread([e.epoch for e in end], 1)} of {found[0]['epochs']}",
                _said([e.passes for e in end], lambda v: f"{v:.4g}"),
                _said([e.flops for e in end], q.flops),
                _told(found, "peak_memory_bytes", q.memory),
                _errors(found),
            ]
        )
    head = ["method", "seeds that reach it", "training, s", "/ backprop", "epoch", "rows forward"]
    head += ["arithmetic", "peak memory", "test error at the end, %"]
    return _section(
        f"Own convergence: to {percent:g} % validation error",
        "Forward-Forward and backprop on MNIST with settings chosen to be there soon, all others "
        "with their recipes', until the\nvalidation error first stays at or below the target, by "
        "the readout that is best on validation data. Seeds that do\nnot reach it are left out of "
        "the means, so read them first.",
        head,
        told,
    )


def _ends(found: Sequence[Record], percent: float) -> list[Reached]:
    readout = m.readout_of(found) or "linear"
    return [end for record in found if (end := reached(record, readout, percent)) is not None]


def figures(names: Names, percent: float, records: Records) -> Mapping[str, bytes]:
    """Validation error against training seconds, and test error against peak memory."""
    found = {}
    rows = names.get("target", names.get("passes", {}))
    if drawn := _against_seconds(rows, percent, records):
        found["error-seconds.svg"] = drawn
    rows = names.get("passes", names.get("target", {}))
    if drawn := _against_memory(rows, records):
        found["error-memory.svg"] = drawn
    return found


def _against_seconds(rows: Mapping[str, str], percent: float, records: Records) -> bytes | None:
    lines = []
    for method, row in rows.items():
        found = records.get(row, ())
        readout = m.readout_of(found) or "linear"
        for record in found:
            curves, total, points = mapping(record, "curves"), 0.0, []
            errors = q.numbers(mapping(mapping(curves, "readouts"), readout).get("validation"))
            for spent, error in zip(q.numbers(curves.get("seconds")), errors, strict=False):
                total += spent or 0.0
                if error:
                    points.append((total, 100 * error))
            if points:
                lines.append((method, points))
    if not lines:
        return None
    with drawing(6.4, 3.6, 1) as (figure, (axis,)):
        for method, points in lines:
            axis.plot(*zip(*points, strict=True), color=COLOURS[method], label=TITLES[method])
        axis.axhline(percent, color="#222222", linewidth=1, linestyle=":", label="target")
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.set_xlabel("training seconds")
        axis.set_ylabel("validation error, %")
        _legend(axis)
        return svg(figure)


def _against_memory(rows: Mapping[str, str], records: Records) -> bytes | None:
    points = []
    for method, row in rows.items():
        found = records.get(row, ())
        errors = m.accuracies(found)
        for record in found:
            size = q.number(mapping(record, "cost").get("peak_memory_bytes"))
            if size and record["seed"] in errors:
                points.append((method, size / 2**20, 100 - errors[record["seed"]]))
    if not points:
        return None
    with drawing(6.4, 3.6, 1) as (figure, (axis,)):
        for method, size, error in points:
            axis.plot(size, error, "o", color=COLOURS[method], label=TITLES[method])
        axis.set_xlim(left=0)
        axis.set_ylim(bottom=0)
        axis.set_xlabel("peak memory, MiB")
        axis.set_ylabel("test error, %")
        _legend(axis)
        return svg(figure)


def _legend(axis: object) -> None:
    handles, labels = axis.get_legend_handles_labels()  # type: ignore[attr-defined]
    known = dict(zip(labels, handles, strict=True))  # one of every method, whatever its seeds
    axis.legend(known.values(), known.keys())  # type: ignore[attr-defined]


def _errors(found: Sequence[Record]) -> str:
    readout = m.readout_of(found)
    errors = [100 - value for value in m.accuracies(found, readout).values()]
    return f"{m.spread(errors)} ({readout})" if errors else q.NONE


def _mean(values: Sequence[float]) -> float | None:
    return statistics.fmean(values) if values else None


def _one_machine(found: Sequence[Record], others: Sequence[Record]) -> bool:
    return len({_machine(record) for record in (*found, *others)}) == 1


def _ratio(value: float | None, base: float | None) -> str:
    return f"{value / base:.2f}" if value is not None and base else q.NONE


def _told(found: Sequence[Record], key: str, tell: Callable[[float], str]) -> str:
    return _said(m.cost(found, key), tell)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _said(values: Sequence[float], tell: Callable[[float], str]) -> str:
    mean = _mean(values)
    return q.NONE if mean is None else tell(mean)


def _section(title: str, text: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"## {title}", "", text, ""]
    if not rows:
        return "\n".join([*lines, "No record yet.", ""])
    lines += ["| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *rows)]
    return "\n".join([*lines, ""])
