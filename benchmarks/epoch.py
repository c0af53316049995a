"""A Forward-Forward epoch against a backprop epoch on the same cells: one run, interleaved.

Times blocks of steps of ff-mnist in closed form, ff-mnist by autograd (``--fast off``) and bp-mnist
in turn and prints the median seconds of an epoch of 50,000 samples for each, their ratios, and the
share of the machine's own speed at such products.
"""

import argparse
import statistics
import time

import torch

import onward
from onward import meter, recipes
from onward.flops import counted
from onward.plan import Machine
from onward.schedules import Stage
from onward.seeds import generator


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", help="folder of MNIST's four files; else a download")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="cpu")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=50, help="steps a block")
    given = parser.parse_args()

    machine = Machine(given.device, given.precision, given.threads)
    device = machine.resolve()
    dataset = onward.load("mnist", given.data)
    x, y = dataset.train.x.to(device), dataset.train.y.to(device)
    sides = {}
    for name in ("ff-mnist", "ff-mnist --fast off", "bp-mnist"):
        recipe = recipes.find(name.split()[0])
        plan = recipe.build(recipe.defaults, dataset, 0)
        plan.row.fast = name == "ff-mnist"
        for station in plan.row.everyone:
            station.cell.to(device)
        rng = generator(0, "negatives", device=device)
        (stage,) = plan.schedule(plan.row, x, y, rng)
        sides[name] = (stage, plan.training.batch)

    seconds: dict[str, list[float]] = {name: [] for name in sides}
    flops = {}
    with machine.arithmetic(device):
        for name, (stage, batch) in sides.items():
            _, flops[name] = counted(lambda s=stage, b=batch: s.step(torch.arange(b)))
            block(stage, batch, given.steps, device)
        for _ in range(given.rounds):
            for name, (stage, batch) in sides.items():
                took = block(stage, batch, given.steps, device)
                seconds[name].append(took * len(x) / (given.steps * batch))
        limit = gemm(device, machine)

    print(f"{meter.machine(device, given.precision, machine.fast)}\n{meter.versions()}")
    for name, (_, batch) in sides.items():
        epoch = statistics.median(seconds[name])
        share = flops[name] / batch * len(x) / epoch / limit
        spread = f"{min(seconds[name]):.2f} to {max(seconds[name]):.2f}"
        print(f"{name:<20} {epoch:7.2f} s an epoch ({spread}), {share:.0%} of the GEMM limit")
    for one, other in (("ff-mnist", "ff-mnist --fast off"), ("ff-mnist", "bp-mnist")):
        ratios = [a / b for a, b in zip(seconds[one], seconds[other], strict=True)]
        middle = statistics.median(ratios)
        print(f"{one} / {other}: {middle:.2f} (median of {len(ratios)} pairs)")


def block(stage: Stage, batch: int, steps: int, device: torch.device) -> float:
    """Seconds of some steps on random batches."""
    batches = torch.randint(0, 50_000, (steps, batch)).to(device)
    began = time.perf_counter()
    for index in batches:
        stage.step(index)
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began


def gemm(device: torch.device, machine: Machine) -> float:
    """FLOPs a second of a product of the middle cells' shape, the best of many."""
    dtype = torch.bfloat16 if machine.precision == "bf16" else torch.float32
    a = torch.randn(200, 1000, device=device, dtype=dtype)
    w = torch.randn(1000, 1000, device=device, dtype=dtype)
    best = float("inf")
    for _ in range(100):
        began = time.perf_counter()
        a @ w.T
        if device.type == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - began)
    return 2 * 200 * 1000 * 1000 / best


if __name__ == "__main__":
    main()
