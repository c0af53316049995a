"""What a run cost, in a line."""

from collections.abc import Callable

from ..record import Record
from . import quantities as q
from .records import mapping


def line(record: Record) -> str:
    """Time, speed, passes, arithmetic, memory and energy of a run; what it does not say is left."""
    cost = mapping(record, "cost")
    spent, warm = q.number(cost.get("train_seconds")), q.number(cost.get("warmup_seconds"))
    parts = [f"{spent:.1f} s of training" if spent is not None else ""]
    parts[0] += f" ({warm:.1f} s of it warm-up)" if spent and warm else ""
    told: dict[str, Callable[[float], str]] = {
        "samples_per_second": lambda v: f"{q.rate(v)} samples/s",
        "data_passes": lambda v: f"{v:.4g} pass{'' if v == 1 else 'es'}",
        "flops": q.flops,
        "share_of_limit": lambda v: f"{100 * v:.0f} % of this machine's speed at such products",
        "peak_memory_bytes": lambda v: f"peak memory {q.memory(v)}",
        "energy_joules": lambda v: (
            f"{q.energy(v)} ({cost.get('energy_source') or 'source unknown'})"
        ),
    }
    parts += [say(value) for key, say in told.items() if (value := q.number(cost.get(key)))]
    return ", ".join(part for part in parts if part)
