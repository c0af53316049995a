"""What unsupervised cells do, as a few small pictures that a finished run leaves in its folder.

    h_0 = x, h_k = E_k(h_{k-1})        latents of a few test samples
    r_k = D_k(h_k)                     what cell k restores of N(h_{k-1})
    and back to the sample             N undone, then D_{k-1}, N undone, ..., D_0, N undone

A layer norm takes away a mean and a scale, two numbers a sample, and they are put back from the
sample's own latent; so a picture of cell k shows what the decoders 0 to k keep of the sample.

n = samples, C, H, W = a sample's shape, M = maps.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor, nn

from ..algorithms import UnsupervisedForwardForward
from ..cells import Adversarial, AutoEncoder, ConvAutoEncoder, ConvWinners, Standardise
from ..data import Dataset, Split
from ..files import write_atomically
from ..report.restored import FILE, FILTERS, LATENTS, MAPS, NOTES, RESTORED, SAMPLES
from ..row import Row

SHOWN, WHOLE, GRID = 10, 4, 16
"""Samples shown, those of them whose latent maps are, and the maps of each."""

KNOWN = (AutoEncoder, ConvAutoEncoder, ConvWinners, Adversarial)
"""Cells whose decoders lead back to a sample; of anyone's own, that is not known."""

MOST = 32
"""Filters shown."""


def keep(folder: Path, row: Row, data: Dataset) -> None:
    """Leave pictures in a run's folder, where its first cell restores images."""
    made = pictures(row, data)
    if made is not None:
        tensors, notes = made
        write_atomically(folder / FILE, save(tensors, {NOTES: json.dumps(notes)}))


@torch.no_grad()
def pictures(row: Row, data: Dataset) -> tuple[dict[str, Tensor], dict[str, str]] | None:
    """Pictures by name, and what to say of them; None where there is nothing to see.

    Only cells that learned to restore have anything to show: not the frozen control's, nor those
    of backprop, whose decoders are as they were drawn.
    """
    shape = data.shape
    if not isinstance(row.algorithm, UnsupervisedForwardForward) or len(shape) != 3:
        return None
    if shape[0] not in (1, 3) or not all(isinstance(cell, KNOWN) for cell in row.cells):
        return None
    split = data.test if len(data.test) else data.train
    device = next(p.device for p in row.cells[0].parameters())
    x = _of_each_class(split).to(device)
    inputs = [x]
    for cell in row.cells:
        inputs.append(cell(inputs[-1]))
    found = {SAMPLES: _bytes(x)}
    notes = {"restored": "a generator" if isinstance(row.cells[0], Adversarial) else "a cell"}
    for number in range(len(row.cells)):
        back = _back(row.cells, inputs, number, row.algorithm.originals)
        if back is None:
            notes["left"] = (
                "Later cells restore latents before pooling, from which no picture can be made"
            )
            break
        found[f"{RESTORED}{number}"] = _bytes(back.reshape(x.shape))
    filters = _filters(row.cells[0], shape)
    if filters is not None:
        found[FILTERS] = _some(filters, MOST).to(torch.float16).contiguous().cpu()
    found |= _latents(inputs[1])
    return found, notes


def _of_each_class(split: Split) -> Tensor:
    """The first sample of each of the first classes; the first ones where classes are few."""
    if split.y.is_floating_point():
        return split.x[:SHOWN]
    labels = torch.bincount(split.y).nonzero()[:SHOWN, 0]
    if len(labels) < SHOWN:
        return split.x[:SHOWN]
    return torch.stack([split.x[(split.y == label).nonzero()[0, 0]] for label in labels])


def _back(
    cells: Sequence[nn.Module], inputs: Sequence[Tensor], number: int, originals: bool
) -> Tensor | None:
    """What the cells 0 to ``number`` keep of the samples, [n, *]; None where a way back is missing.

    ``inputs`` are what each cell was given. A cell that restores the original sample needs no way.
    """
    cell = cells[number]
    restored = cell.reconstruct(inputs[number])  # type: ignore[operator]
    if number == 0 or not originals:
        restored = _undone(cell, inputs[number], restored)
    for earlier in range(number - 1, -1, -1) if not originals else ():
        if isinstance(cells[earlier], ConvWinners):
            return None
        decoded = cells[earlier].decode(restored.view(inputs[earlier + 1].shape))  # type: ignore[operator]
        restored = _undone(cells[earlier], inputs[earlier], decoded)
    return torch.as_tensor(restored)


def _undone(cell: nn.Module, x: Tensor, restored: Tensor) -> Tensor:
    """What a cell restored, on the scale of its input: its normalisation undone.  -> x's shape."""
    inner = cell.generator if isinstance(cell, Adversarial) else cell
    normalise = inner.normalise
    if isinstance(normalise, Standardise):
        return torch.as_tensor(restored.reshape(x.shape) * normalise.spread + normalise.mean)
    seen, flat = normalise(x).flatten(1), x.flatten(1)  # type: ignore[operator]
    scale = flat.std(1, keepdim=True) / seen.std(1, keepdim=True).clamp(min=1e-12)
    moved = flat.mean(1, keepdim=True) - scale * seen.mean(1, keepdim=True)
    return torch.as_tensor(restored.flatten(1) * scale + moved).view(x.shape)


def _filters(cell: nn.Module, shape: Sequence[int]) -> Tensor | None:
    """What each unit or map of the first cell paints.  -> [F, C, h, w]"""
    inner = cell.generator if isinstance(cell, Adversarial) else cell
    decoder = inner.decoder
    if isinstance(decoder, nn.Conv2d):
        return decoder.weight.transpose(0, 1)
    if isinstance(decoder, nn.ConvTranspose2d):
        return decoder.weight
    layer = decoder if decoder is not None else inner.encoder  # tied: its own weights, transposed
    assert isinstance(layer, nn.Linear)
    weight = layer.weight.T if decoder is not None else layer.weight
    return weight.reshape(-1, *shape)


def _latents(z: Tensor) -> dict[str, Tensor]:
    """Latent maps of a few samples, [n, M, h, w]; dense latents have no picture."""
    if z.dim() != 4:
        return {LATENTS: _strips(z)}
    chosen = _some(z[:WHOLE].transpose(0, 1), GRID).transpose(0, 1)
    return {MAPS: chosen.to(torch.float16).contiguous().cpu()}


def _strips(z: Tensor) -> Tensor:
    """Dense latents [n, F] as rectangles [n, h, w] that are nearly square, the rest 0."""
    high = int(z.shape[1] ** 0.5)
    wide = -(-z.shape[1] // high)
    filled = z.new_zeros(len(z), high * wide)
    filled[:, : z.shape[1]] = z
    return filled.view(len(z), high, wide).to(torch.float16).cpu()


def _some(rows: Tensor, most: int) -> Tensor:
    """Up to ``most`` evenly chosen rows."""
    places = torch.linspace(0, len(rows) - 1, min(most, len(rows))).round().long()
    return rows[places.to(rows.device)]


def _bytes(x: Tensor) -> Tensor:
    """Samples in [0, 1] as bytes; what lies beyond is cut."""
    return (255 * x.float().nan_to_num().clamp(0, 1)).round().to(torch.uint8).contiguous().cpu()
