"""The author's MATLAB, minibatch by minibatch in numpy loops, against the library's own step.

The reference follows the released ffnew.m as the digest of the paper describes it (objective,
normalisation, peer term, smoothing of gradients, decoupled decay, order inside a minibatch). It is
slow and obvious on purpose, and in double precision.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from onward import schedules
from onward.data import Dataset, Split
from onward.optimizers import set_rate
from onward.plan import Plan
from onward.recipes.forward_forward import ForwardForwardSettings, build
from onward.seeds import generator

Array = NDArray[np.float64]
N, PIXELS, CLASSES, WIDTH, CELLS = 12, 20, 4, 15, 3


def normalised(x: Array) -> Array:
    scaled: Array = x / (1e-8 + np.sqrt((x**2).mean(axis=1, keepdims=True)))
    return scaled


def logistic(x: Array) -> Array:
    return 1 / (1 + np.exp(-np.clip(x, -700, 700)))


def softmax(x: Array) -> Array:
    e = np.exp(x - x.max(axis=1, keepdims=True))
    shares: Array = e / e.sum(axis=1, keepdims=True)
    return shares


class Matlab:
    """States of ffnew.m: weights [in, out], their smoothed gradients, running means."""

    def __init__(self, weights: list[Array], gain: float):
        self.w = [w.copy() for w in weights]
        self.b = [np.zeros(w.shape[1]) for w in weights]
        self.gw = [np.zeros_like(w) for w in weights]
        self.gb = [np.zeros_like(b) for b in self.b]
        self.means = [np.full(w.shape[1], 0.5) for w in weights]
        self.sup = [np.zeros((w.shape[1], CLASSES)) for w in weights]
        self.gsup = [np.zeros_like(s) for s in self.sup]
        self.gain = gain

    def forward(self, data: Array) -> Iterator[tuple[int, Array, Array]]:
        seen = normalised(data)
        for layer, (w, b) in enumerate(zip(self.w, self.b, strict=True)):
            state = np.maximum(0, seen @ w + b)
            yield layer, seen, state
            seen = normalised(state)

    def minibatch(self, images: Array, labels: Array, wrong: Array) -> Array:
        """One minibatch; returns the softmax's logits from before its update."""
        eps, epssup, wc, supwc, delay, peer = 0.01, 0.1, 0.001, 0.003, 0.9, 0.03
        onehot, count = np.eye(CLASSES), len(images)
        dw = [np.zeros_like(w) for w in self.w]
        db = [np.zeros_like(b) for b in self.b]

        data = images.copy()
        data[:, :CLASSES] = onehot[labels]
        for layer, seen, state in self.forward(data):
            p = logistic((state**2).sum(axis=1) - state.shape[1])
            d = (1 - p)[:, None] * state
            self.means[layer] = 0.9 * self.means[layer] + 0.1 * state.mean(axis=0)
            d = d + peer * (self.means[layer].mean() - self.means[layer])
            dw[layer] += seen.T @ d
            db[layer] += d.sum(axis=0)

        data[:, :CLASSES] = 1 / CLASSES
        states = [normalised(state) for _, _, state in self.forward(data)]
        logits = np.zeros((count, CLASSES))
        for layer in range(1, len(self.w)):  # all but the first hidden layer
            logits += states[layer] @ self.sup[layer]
        error = onehot[labels] - softmax(logits)
        for layer in range(1, len(self.w)):
            self.gsup[layer] = (
                delay * self.gsup[layer] + (1 - delay) * states[layer].T @ error / count
            )
            step = self.gain * epssup * (self.gsup[layer] - supwc * self.sup[layer])
            self.sup[layer] = self.sup[layer] + step

        data[:, :CLASSES] = onehot[wrong]
        for layer, seen, state in self.forward(data):
            p = logistic((state**2).sum(axis=1) - state.shape[1])
            d = -p[:, None] * state
            dw[layer] += seen.T @ d
            db[layer] += d.sum(axis=0)

        for layer in range(len(self.w)):
            self.gw[layer] = delay * self.gw[layer] + (1 - delay) * dw[layer] / count
            self.gb[layer] = delay * self.gb[layer] + (1 - delay) * db[layer] / count
            self.b[layer] = self.b[layer] + self.gain * eps * self.gb[layer]
            self.w[layer] = self.w[layer] + self.gain * eps * (self.gw[layer] - wc * self.w[layer])
        return logits


def plan_and_data(seed: int = 3) -> tuple[Plan, Dataset]:
    rng = np.random.RandomState(seed)
    x = torch.from_numpy(rng.rand(N, PIXELS).astype(np.float32))
    y = torch.from_numpy(rng.randint(0, CLASSES, N))
    split = Split(x, y)
    labels = tuple("abcd")
    data = Dataset("made", split, split, split, CLASSES, labels, "made")
    settings = ForwardForwardSettings(
        cells=CELLS, width=WIDTH, batch=N, epochs=2, evaluate_every=1, theta=None
    )
    return build(settings, data, seed), data


@pytest.mark.parametrize("gain", [1.0, 0.37])
def test_ten_minibatches_equal_the_matlab(gain: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """FF-T5: weights, biases, running means and softmax weights, with decay, peers and schedule."""
    plan, data = plan_and_data()
    row = plan.row
    drawn: list[torch.Tensor] = []
    real_draw = type(row.algorithm).draw

    def recorded(self: object, y: torch.Tensor, rng: object, scores: torch.Tensor) -> torch.Tensor:
        chosen: torch.Tensor = real_draw(self, y, rng, scores)  # type: ignore[arg-type]
        drawn.append(chosen[1])
        logits.append(scores)
        return chosen

    logits: list[torch.Tensor] = []
    monkeypatch.setattr(type(row.algorithm), "draw", recorded)
    for station in row.everyone:
        station.cell.double()
    x, y = data.train.x.double(), data.train.y
    cells: list[Any] = row.cells
    weights = [cell.linear.weight.detach().numpy().T.astype(np.float64) for cell in cells]
    reference = Matlab(weights, gain)
    rng = generator(0, "negatives")
    (stage,) = schedules.simultaneous(row, x, y, rng)
    drawn.clear()
    logits.clear()
    for station in row.everyone:
        for optimizer in station.optimizers.values():
            set_rate(optimizer, gain)
    index = torch.arange(N)
    for batch in range(10):
        stage.step(index)
        expected = reference.minibatch(x.numpy(), y.numpy(), drawn[-1].numpy())
        np.testing.assert_allclose(logits[-1].numpy(), expected, atol=1e-6, err_msg=str(batch))
        assert (drawn[-1] != y).all()
    for layer, cell in enumerate(cells):
        assert cell.peers is not None
        np.testing.assert_allclose(
            cell.linear.weight.detach().numpy().T, reference.w[layer], atol=1e-7
        )
        np.testing.assert_allclose(cell.linear.bias.detach().numpy(), reference.b[layer], atol=1e-7)
        np.testing.assert_allclose(cell.peers.means.numpy(), reference.means[layer], atol=1e-7)
    linear = row.linear()
    assert linear is not None
    sup = np.concatenate([reference.sup[layer] for layer in range(1, CELLS)])
    np.testing.assert_allclose(linear.linear.weight.detach().numpy().T, sup, atol=1e-6)
