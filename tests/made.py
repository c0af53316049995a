"""Records of the table of Unsupervised Forward-Forward made up for tests, with known answers."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from test_results import record

EPOCHS = 6


def run(
    row: str,
    seed: int,
    accuracy: float,
    *,
    epochs: int = EPOCHS,
    stages: tuple[str, ...] = ("cells",),
    seconds: float = 10.0,
    readout: str = "linear",
    validation: list[float] | None = None,
    note: str | None = None,
) -> dict[str, Any]:
    """A finished record: accuracy in percent, ``seconds`` an epoch, measured in the last stage."""
    data = "cifar10" if "cifar10" in row else "fashion_mnist" if "fashion" in row else "mnist"
    total = epochs * len(stages)
    # Halves the way to its end at every epoch, with a small jump at every second one.
    curve = validation or [accuracy - 20 / 2**k + 0.1 * (k % 2) for k in range(1, epochs + 1)]
    errors = [None] * (total - epochs) + [1 - value / 100 for value in curve]
    made = record(seed)
    made["recipe"] = "ff-mnist" if row.startswith("ff-") else "-".join(row.split("-")[:3])
    made["settings"] = {"epochs": epochs}
    made["epochs"] = total
    made["test_error"] = {readout: 1 - accuracy / 100}
    made["validation_error"] = {readout: 1 - accuracy / 100}
    made["data"] = {**made["data"], "name": data, "note": note, "fingerprint": data.ljust(64, "0")}
    made["curves"] = {
        **made["curves"],
        "epoch": list(range(1, total + 1)),
        "stage": [stage for stage in stages for _ in range(epochs)],
        "seconds": [seconds] * total,
        "readouts": {readout: {"train": errors, "validation": errors}},
    }
    made["cost"] = {
        **made["cost"],
        "train_seconds": seconds * total + 0.1 * seed,
        "peak_memory_bytes": 2**28,
        "data_passes": float(total),
        "bytes_between_stations": 2**20,
    }
    return made


SEPARATE = ("cell-0", "cell-1", "cell-2", "readout")

ACCURACY = {"ae": 97.0, "dae": 97.5, "cae": 98.5, "gan": 96.0}
"""Of each kind of cell on MNIST; on CIFAR-10 all are 40 lower, and CAE 10 ahead."""


def table(
    seeds: int = 3, changes: Mapping[str, float] = MappingProxyType({})
) -> dict[str, list[dict[str, Any]]]:
    """Records in which C1 to C5 hold; ``changes`` adds points to rows (with _ for -)."""
    rows: dict[str, tuple[float, dict[str, Any]]] = {}
    for data in ("mnist", "fashion", "cifar10"):
        down = 40 if data == "cifar10" else 0
        for cell, level in ACCURACY.items():
            level = level - down + (10 if data == "cifar10" and cell == "cae" else 0)
            rows[f"uff-{cell}-{data}"] = level, {"seconds": 20.0}
            rows[f"uff-{cell}-{data}-separate"] = level + 0.05, {"stages": SEPARATE}
        rows[f"uff-gan-{data}-pure"] = 94.0 - down, {}
        rows[f"uff-ae-{data}-frozen"] = 94.0 - down, {"stages": ("readout",)}
        rows[f"uff-ae-{data}-frozen-relu"] = 95.0 - down, {"stages": ("readout",)}
        rows[f"uff-cae-{data}-frozen"] = 96.0 - down, {"stages": ("readout",)}
        rows[f"uff-ae-{data}-raw"] = 92.0 - down, {"stages": ("readout",)}
        rows[f"uff-ae-{data}-backprop"] = 98.2 - down, {}
        rows[f"uff-cae-{data}-backprop"] = 99.2 - down / 2, {}
        ff = {"readout": "goodness"}
        rows[f"ff-{data}-simultaneous"] = 98.0 - down, {"seconds": 30.0, **ff}
        greedy = {"stages": SEPARATE[:3], **ff}
        rows[f"ff-{data}-greedy"] = 95.0 - down, greedy
    made: dict[str, list[dict[str, Any]]] = {}
    for row, (level, more) in rows.items():
        level += changes.get(row.replace("-", "_"), 0.0)
        # A deviation of about 0.1 over any seeds, another for each row.
        offsets = [0.1 * ((len(row) + 2 * seed) % 3 - 1) for seed in range(seeds)]
        made[row] = [run(row, seed, level + offset, **more) for seed, offset in enumerate(offsets)]
    return made
