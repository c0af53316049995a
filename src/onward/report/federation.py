"""What each client of a federation did: the section of the page.

The keys are those of `rounds` in `docs/record.md`; a run that is no federation has none.
"""

from . import quantities as q
from .records import Record, items, mapping
from .tables import table

COLUMNS = ("samples", "bytes_down", "bytes_up", "seconds")


def section(record: Record) -> str:
    """A table of clients over all rounds, and of the answers that were left out."""
    rounds = [each for each in items(record, "rounds") if isinstance(each, dict)]
    if not rounds:
        return ""
    clients: dict[str, dict[str, float]] = {}
    left_out = []
    for each in rounds:
        refused = mapping(each, "refused")
        for place, name in enumerate(items(each, "clients")):
            own = clients.setdefault(str(name), dict.fromkeys(("rounds", "out", *COLUMNS), 0.0))
            own["rounds"] += 1
            own["out"] += str(name) in refused
            for key in COLUMNS:
                values = q.numbers(each.get(key))
                value = (values[place] if place < len(values) else None) or 0.0
                own[key] = max(own[key], value) if key == "samples" else own[key] + value
        stage, number = q.text(each.get("stage")), q.count(each.get("round"))
        left_out += [(stage, number, str(name), q.text(why)) for name, why in refused.items()]
    rows = [
        (
            "server" if name == "-1" else name,
            *(q.count(own[key]) for key in ("rounds", "out", "samples")),
            q.seconds(own["seconds"]),
            *(q.memory(own[key]) for key in ("bytes_down", "bytes_up")),
        )
        for name, own in clients.items()
    ]
    head = ("client", "rounds", "left out", "samples", "learned", "sent to it", "came from it")
    told = "<p>An epoch of the curves is a round: turns at clients, and the mean of what came.</p>"
    found = told + table("Clients, over all rounds", head, rows)
    if left_out:
        shown = left_out[:20]
        more = f", the first {len(shown)} of {len(left_out)}" if len(left_out) > len(shown) else ""
        columns_ = ("stage", "round", "client", "why")
        found += table(f"Answers left out of the mean{more}", columns_, shown)
    return found
