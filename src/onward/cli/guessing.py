"""Whether a run has learned anything: its test errors beside those of a constant answer."""

from typing import Any


def no_better(record: dict[str, Any]) -> list[str]:
    """Lines for readouts that classify no better than the most frequent class, always answered.

    With n test samples, of which a share p are not of that class, always answering it has the error
    p, give or take the standard error sqrt(p (1 - p) / n); no better is above p less two of these.
    Nothing is said of runs whose errors are not shares of wrong answers.

    >>> confusion = {"linear": [[9, 41], [8, 42]]}
    >>> run = {"confusion": confusion, "test_error": {"linear": 0.49}, "settings": {"lr": 0.1}}
    >>> no_better(run)[0]
    'linear: no better than guessing (always the most frequent class: 50.00 % wrong)'
    >>> no_better({**run, "test_error": {"linear": 0.39}})
    []
    """
    if "measure" in record:
        return []
    found = []
    for name, counts in (record["confusion"] or {}).items():
        classes = [sum(row) for row in counts]
        samples = sum(classes)
        guess = 1 - max(classes) / max(samples, 1)
        spread = (guess * (1 - guess) / max(samples, 1)) ** 0.5
        if 0 < guess < 1 and record["test_error"][name] >= guess - 2 * spread:
            found.append(
                f"{name}: no better than guessing (always the most frequent class: "
                f"{100 * guess:.2f} % wrong)"
            )
    return [*found, f"try {_advice(record)}"] if found else []


def _advice(record: dict[str, Any]) -> str:
    """What helps most often, as far as the run's recipe has it."""
    known = {
        "epochs": "more --epochs",
        "lr": "a learning rate 10 times larger or smaller (--lr)",
        "label": "--label appended (written over the first inputs, the label hides them)",
        "samples": "--samples standardised (for inputs in different units)",
    }
    settings, done = record["settings"], ("appended", "standardised")
    found = [told for name, told in known.items() if settings.get(name, done[0]) not in done]
    return ", ".join([*found, "and look whether each label is that of its own sample"])
