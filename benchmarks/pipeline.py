"""A row in a pipeline of processes against the same row in one, a thread each.

    python benchmarks/pipeline.py [--data PATH] [--stages 2] [--rounds 3] [--epochs 1]
        [--recipe ff-mnist] [--set "--negatives wrong --cells 4"] [--tls]

Both sides are the command as a user gives it, in turn; what is compared is the time of their
training steps, start-up and evaluation apart, and their weights, which have to be the same bit for
bit. Beside the ratio stand what the balance of the stages allows (the work of all over that of the
busiest, as measured within the pipeline), what two processes that have nothing to do with each
other reach at once on this machine (memory and caches are shared), and what the plan had foretold.
With --tls the same pipeline also runs over links that are encrypted, in every round.
"""

import argparse
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from onward import checkpoint, record
from onward.pipeline import certificates


def trained(verb: str, words: list[str], out: Path) -> dict[str, object]:
    command = [sys.executable, "-m", "onward", verb, *words, "--out", str(out)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(command, check=True, env=environment, capture_output=True)
    return dict(record.read(out))


def planned(words: list[str], stages: int) -> str:
    command = [sys.executable, "-m", "onward", "pipeline", *words, "--stages", str(stages)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, "--plan"], check=True, env=environment, capture_output=True, text=True
    )
    return done.stdout.splitlines()[-1]


def seconds(found: dict[str, object]) -> float:
    cost = found["cost"]
    assert isinstance(cost, dict)
    return float(cost["train_seconds"] - cost["warmup_seconds"])


def same(one: Path, other: Path) -> bool:
    a, b = (checkpoint.load(folder / "checkpoint").tensors for folder in (one, other))
    return all(a[file][name].equal(b[file][name]) for file in a for name in a[file])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data")
    parser.add_argument("--stages", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--recipe", default="ff-mnist")
    parser.add_argument("--set", default="--negatives wrong --cells 4 --width 1000")
    parser.add_argument("--tls", action="store_true")
    given = parser.parse_args()
    words = [given.recipe, *shlex.split(given.set), "--epochs", str(given.epochs)]
    words += ["--threads", "1"] + (["--data", given.data] if given.data else [])
    alone, piped, allowed, both = [], [], [], []
    encrypted: list[float] = []
    foretold = planned(words, given.stages)
    with tempfile.TemporaryDirectory() as place:
        papers = Path(place, "certificates")
        if given.tls:
            certificates.write(papers, certificates.names(given.stages))
        tls = ["--link", "tls", "--certificates", str(papers)]
        for number in range(given.rounds):
            one, other = Path(place, f"one-{number}"), Path(place, f"other-{number}")
            alone.append(seconds(trained("run", words, one)))
            found = trained("pipeline", [*words, "--stages", str(given.stages)], other)
            piped.append(seconds(found))
            places = found["places"]
            assert isinstance(places, list)
            busy = [float(each["busy_seconds"]) for each in places]
            allowed.append(sum(busy) / max(max(busy), sum(busy) / (os.cpu_count() or 1)))
            if given.tls:
                third = Path(place, f"tls-{number}")
                more = ["--stages", str(given.stages), *tls]
                encrypted.append(seconds(trained("pipeline", [*words, *more], third)))
                print(
                    f"round {number + 1}: pipeline over TLS {encrypted[-1]:.2f} s; "
                    f"the same weights: {same(one, third)}",
                    flush=True,
                )
            pair = [Path(place, f"{side}-{number}") for side in ("left", "right")]
            with ThreadPoolExecutor() as threads:
                at_once = list(threads.map(lambda out: seconds(trained("run", words, out)), pair))
            both.append(statistics.mean(at_once))
            stages = ", ".join(f"{'+'.join(p['stations'])} {p['busy_seconds']} s" for p in places)
            print(
                f"round {number + 1}: one process {alone[-1]:.2f} s, pipeline {piped[-1]:.2f} s, "
                f"each of two at once {both[-1]:.2f} s; "
                f"busy: {stages}; the same weights: {same(one, other)}",
                flush=True,
            )
    ratio = statistics.median(alone) / statistics.median(piped)
    fair = statistics.median(allowed)
    print(f"{' '.join(words)}, {given.stages} stages and the readout, {os.cpu_count()} cores")
    twice = 2 * statistics.median(alone) / statistics.median(both)
    print(f"throughput {ratio:.2f}x of one process; the balance allows {fair:.2f}x, and")
    print(f"two processes at once reach {twice:.2f}x; the plan foretold {foretold}")
    if encrypted:
        over = statistics.median(alone) / statistics.median(encrypted)
        part = statistics.median(piped) / statistics.median(encrypted)
        print(f"over TLS {over:.2f}x of one process, {part:.2f} of the throughput unencrypted")


if __name__ == "__main__":
    main()
