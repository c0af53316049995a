"""``onward export DIR --to FORMAT``: a finished run's prediction as a file, with its model card."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import BadInput

if TYPE_CHECKING:
    from ..recipes.running import Opened


def add_flags(verb: argparse.ArgumentParser) -> None:
    """The verb's words."""
    verb.add_argument("folder", metavar="DIR", type=Path)
    told = "a graph for other runtimes, torch.export's own, or weights and a description"
    verb.add_argument("--to", metavar="onnx|pt2|safetensors", required=True, help=told)
    verb.add_argument("--readout", metavar="goodness|linear", help="default: as for predict")
    verb.add_argument(
        "--out", metavar="FILE", type=Path, help="else DIR/model.FORMAT, or model-READOUT.FORMAT"
    )


def run(given: argparse.Namespace) -> int:
    """Write the files and say what they are."""
    from ..export import export

    opened = open_finished(given.folder)
    # A readout that was named has a file of its own: it is not to replace another's.
    stem = f"model-{given.readout}" if given.readout else "model"
    out = given.out or given.folder / f"{stem}.{given.to}"
    done = export(opened.plan.row, opened.record, given.to, out, given.readout)
    for path in done.files:
        print(path)
    print(f"read back and compared: at most {done.difference:.1e} of the largest answer apart")
    return 0


def open_finished(folder: Path) -> "Opened":
    """A run that is over, on the CPU. Raises BadInput for one that is not."""
    from ..recipes import running

    opened = running.open_run(folder, device="cpu")
    if opened.record["status"] != "finished":
        raise BadInput(
            f"{folder} holds a run that is not finished ({opened.record['status']}), and a "
            f"finished one is wanted: `onward resume {folder}` goes on with an interrupted one"
        )
    return opened
