"""A Forward-Forward epoch against a plain loop, the way public implementations are written.

    python benchmarks/reference.py [--data PATH] [--threads 2] [--workers 0] [--device cpu]

The plain loop, written for this purpose, has the cells, losses and optimisers of ff-mnist (three
cells of 1000 units, sum of squares, peer normalisation, a linear readout) and what such code
usually has: a DataLoader that makes each sample by itself (scaled; with its label, with a wrong
one, with none) and collates them; positive and negative rows in one batch; a loss a layer, with a
detach between layers, summed for one backward pass; a second pass, without gradients, for the
readout; torch.optim.SGD; losses and accuracies read off at every step. Its negatives are uniform,
as there, and the recipe is timed with uniform and with its own hard ones.
"""

import argparse
from itertools import pairwise

import torch
from interleaved import compare, interleaved, told
from rows import block, images, stage
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, one_hot
from torch.utils.data import DataLoader, Dataset

from onward import meter
from onward.plan import Machine

EPOCH, BATCH, WIDTH, CLASSES = 50_000, 100, 1000, 10


class Samples(Dataset[tuple[dict[str, Tensor], int]]):
    """Images as bytes; every version of one is made when it is asked for."""

    def __init__(self, x: Tensor, y: Tensor):
        self.x, self.y = (255 * x).to(torch.uint8).flatten(1), y

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int) -> tuple[dict[str, Tensor], int]:
        image, label = self.x[index].float() / 255, int(self.y[index])
        wrong = (label + int(torch.randint(1, CLASSES, ()))) % CLASSES
        neutral = torch.full((CLASSES,), 1 / CLASSES)
        codes = {"neutral": neutral, "positive": code(label), "negative": code(wrong)}
        return {name: torch.cat([c, image[CLASSES:]]) for name, c in codes.items()}, label


def code(label: int) -> Tensor:
    return one_hot(torch.tensor(label), CLASSES).float()


class Plain(nn.Module):
    """Layers with losses of their own, and a linear readout of all but the first."""

    def __init__(self, inputs: int):
        super().__init__()
        sizes = [inputs, WIDTH, WIDTH, WIDTH]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.means = [torch.full((WIDTH,), 0.5) for _ in self.layers]
        self.readout = nn.Linear(2 * WIDTH, CLASSES, bias=False)

    def forward(self, rows: dict[str, Tensor], y: Tensor) -> tuple[Tensor, float]:
        count = len(y)
        z = normalised(torch.cat([rows["positive"], rows["negative"]]))
        real = torch.cat([torch.ones(count), torch.zeros(count)]).to(z.device)
        loss, right = torch.zeros((), device=z.device), 0.0
        for number, layer in enumerate(self.layers):
            h = torch.relu(layer(z))
            logits = h.square().sum(1) - h.shape[1]
            loss = loss + binary_cross_entropy_with_logits(logits, real)
            right += ((logits > 0) == (real > 0)).float().mean().item()
            mean = h[:count].mean(0)
            self.means[number] = 0.9 * self.means[number].to(h.device) + 0.1 * mean.detach()
            push = self.means[number] - self.means[number].mean()
            loss = loss + 0.03 * (push * mean).sum()
            z = normalised(h.detach())
        scores = self.readout(self.read(rows["neutral"]))
        right += (scores.argmax(1) == y).float().mean().item()
        return loss + cross_entropy(scores, y), right

    @torch.no_grad()
    def read(self, z: Tensor) -> Tensor:
        answers = []
        for layer in self.layers:
            z = normalised(torch.relu(layer(normalised(z))))
            answers.append(z)
        return torch.cat(answers[1:], 1)


def normalised(z: Tensor) -> Tensor:
    return z / (z.square().mean(1, keepdim=True).sqrt() + 1e-8)


def main() -> None:
    """Print the medians and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="folder of MNIST's four files; else random images")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--workers", type=int, default=0, help="processes of the DataLoader")
    parser.add_argument("--steps", type=int, default=20, help="steps a block")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    given = parser.parse_args()
    device = Machine(given.device, threads=given.threads).resolve()
    data = images(given.data)
    samples = Samples(data.train.x, data.train.y)
    loader = DataLoader(
        samples,
        BATCH,
        shuffle=True,
        num_workers=given.workers,
        persistent_workers=given.workers > 0,
    )
    model = Plain(data.train.x[0].numel()).to(device)
    cells = {"params": model.layers.parameters(), "lr": 1e-3, "weight_decay": 3e-4}
    head = {"params": model.readout.parameters(), "lr": 1e-2, "weight_decay": 3e-3}
    optimizer = torch.optim.SGD([cells, head], momentum=0.9)

    def plain() -> None:
        for _, (rows, y) in zip(range(given.steps), loader, strict=False):
            optimizer.zero_grad()
            loss, _ = model({name: x.to(device) for name, x in rows.items()}, y.to(device))
            loss.backward()
            optimizer.step()
            loss.item()

    sides = {"plain loop": plain}
    for name, negatives in (("onward, uniform negatives", "wrong"), ("onward, hard", "hard")):
        made = stage("ff-mnist", data, negatives=negatives, device=given.device)
        sides[name] = block(made, data, BATCH, given.steps, given.device)
    seconds = interleaved(sides, given.rounds)
    print(f"{meter.machine(device, 'fp32', 'auto')}\n{meter.versions()}")
    told(seconds, "an epoch", given.steps * BATCH / EPOCH)
    for name in list(sides)[1:]:
        compare(seconds, "plain loop", name)


if __name__ == "__main__":
    main()
