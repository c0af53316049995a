"""Whether a run has learned anything: its errors beside a constant answer's and its controls'."""

from collections.abc import Mapping
from typing import Any, TypeGuard

from .records import items, mapping


def verdict(record: Mapping[str, Any], controls: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What is to be said of a run's errors beside guessing, or else its controls; often nothing."""
    return no_better(record) or not_below(record, controls)


def no_better(record: Mapping[str, Any]) -> list[str]:
    """Lines for readouts no better than one answer to all, and what to try; often none.

    With n test samples, of which a share p are not of that class, always answering it has the error
    p, give or take the standard error sqrt(p (1 - p) / n); no better is above p less two of these.
    Where numbers are predicted, always answering their mean has the error 1, and no better is
    above 0.95. Nothing is said of detecting what is strange.

    >>> confusion = {"linear": [[9, 41], [8, 42]]}
    >>> run = {"confusion": confusion, "test_error": {"linear": 0.49}, "settings": {"lr": 0.1}}
    >>> no_better(run)[0]
    'linear: no better than guessing (always the most frequent class: 50.00 % wrong)'
    >>> no_better({**run, "test_error": {"linear": 0.39}})
    []
    """
    errors = mapping(record, "test_error")
    if record.get("measure") == "1 - R2":
        poor = [name for name, error in errors.items() if _number(error) and error >= _MEAN]
        told = "hardly better than always answering the mean (which has the error 100 %)"
        return [*(f"{name}: {told}" for name in poor), f"try {_advice(record)}"] if poor else []
    if "measure" in record:
        return []
    found = []
    confusion = mapping(record, "confusion")
    for name in confusion:
        counts = [row for row in items(confusion, name) if isinstance(row, list)]
        classes = [sum(n for n in row if isinstance(n, int)) for row in counts] or [0]
        samples = sum(classes)
        guess = 1 - max(classes) / max(samples, 1)
        spread = (guess * (1 - guess) / max(samples, 1)) ** 0.5
        error = errors.get(name)
        if 0 < guess < 1 and _number(error) and error >= guess - 2 * spread:
            found.append(
                f"{name}: no better than guessing (always the most frequent class: "
                f"{100 * guess:.2f} % wrong)"
            )
    return [*found, f"try {_advice(record)}"] if found else []


def not_below(record: Mapping[str, Any], controls: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Lines for readouts whose test error is not below that of a control, beyond sampling noise.

    The difference of two errors p and q on n samples has a standard error of at most
    sqrt((p (1 - p) + q (1 - q)) / n): below is below by two of these. Seeds have their own spread,
    which one run can't know. Errors that are no shares of wrong answers are compared as they are.

    >>> run = {"test_error": {"linear": 0.05}, "data": {"test": 10000}}
    >>> not_below(run, {"frozen": {"test_error": {"linear": 0.04}}})
    ['linear: not below its control frozen, 5.00 % against 4.00 %: here learning has not helped']
    >>> not_below(run, {"raw": {"test_error": {"linear": 0.0504}}})
    ['linear: within sampling noise of its control raw, 5.00 % against 5.04 %']
    >>> not_below(run, {"raw": {"test_error": {"linear": 0.08}}})
    []
    """
    found = []
    shares = "measure" not in record
    for name, error in mapping(record, "test_error").items():
        for control, beside in controls.items():
            other = mapping(beside, "test_error").get(name)
            if not _number(error) or not _number(other):
                continue
            variance = error * (1 - error) + other * (1 - other) if shares else 0.0
            spread = (variance / max(mapping(record, "data").get("test") or 0, 1)) ** 0.5
            told = f"control {control}, {100 * error:.2f} % against {100 * other:.2f} %"
            if error >= other:
                found.append(f"{name}: not below its {told}: here learning has not helped")
            elif shares and error > other - 2 * spread:
                found.append(f"{name}: within sampling noise of its {told}")
    if found and "noise" in record.get("settings", {}):
        found.append(
            "a control is the cheaper one: take it, or try noise (--noise, --noise_level), other "
            "--widths, more samples"
        )
    return found


_MEAN = 0.95
"""The error from which on a predicted number is hardly better than the mean, whose error is 1."""


def _number(error: object) -> TypeGuard[float]:
    return isinstance(error, float)


_WIDE = 20.0
"""How far from 0 a sample's numbers are usual: pixels reach 1, standardised features seldom 10."""


def _ends(record: Mapping[str, Any]) -> list[float]:
    """The smallest and largest number in the training samples, as far as the record has them."""
    return [end for end in record.get("data", {}).get("range", ()) if end is not None] or [0.0]


def _advice(record: Mapping[str, Any]) -> str:
    """What helps most often, as far as the run's recipe has it."""
    known = {
        "epochs": "more --epochs",
        "lr": "a learning rate 10 times larger or smaller (--lr)",
        "label": "--label appended (written over the first inputs, the label hides them; images "
        "whose border is empty lose nothing by it)",
        "samples": "--samples standardised (for inputs in different units)",
    }
    settings, done = record["settings"], ("appended", "standardised")
    found = [told for name, told in known.items() if settings.get(name, done[0]) not in done]
    if "samples" not in settings and max(map(abs, _ends(record))) > _WIDE:
        found.append("features scaled alike, e.g. to mean 0 and spread 1 (these run far)")
    if "text" not in record:  # where labels are what comes next, they can't be another's
        found.append("and look whether each label is that of its own sample")
    return ", ".join(found)
