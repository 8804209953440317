"""Trains the network: `python -m training.train ROWS WEIGHTS`.

ROWS is a folder made by `training.dataset`. Cross-entropy frame by frame of speech and of hold music;
frames of which nobody could say are left out. Seeded: the same packages and machine give the same weights.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vad_agent.detection.neural_network import DILATIONS, HEADS, KERNEL, MUSIC, SPEECH, WIDTH

LENGTH = 1_000
"""Frames of a cut, 20 s."""
BATCH = 16
WARM_UP = 40
"""Frames at a cut's beginning that do not count, unless the call begins there: the network has not seen
what was before them."""
RATE = 0.002
MUSIC_WEIGHT = 1.0
HELD_OUT = 0.04
AVERAGE = 0.999
"""What is kept is a running mean of the weights, which keeps so much of itself at each step."""


class Net(nn.Module):
    """`vad_agent.detection.neural_network.Network` in torch; (batch, frames, columns) in."""

    def __init__(self, columns: int) -> None:
        super().__init__()
        self.first = nn.Linear(columns, WIDTH)
        self.layers = nn.ModuleList(nn.Linear(KERNEL * WIDTH, WIDTH) for _ in DILATIONS)
        self.last = nn.Linear(WIDTH, HEADS)

    def forward(self, columns: Tensor) -> Tensor:
        """Logits, (batch, frames, HEADS)."""
        # As products of matrices: torch's dilated convolution takes three times as long here.
        out = torch.relu(self.first(columns))
        count = out.shape[1]
        for layer, dilation in zip(self.layers, DILATIONS, strict=True):
            seen = nn.functional.pad(out, (0, 0, (KERNEL - 1) * dilation, 0))
            taps = [seen[:, tap * dilation : tap * dilation + count] for tap in range(KERNEL)]
            out = torch.relu(layer(torch.cat(taps, dim=2))) + out
        logits: Tensor = self.last(out)
        return logits

    def take(self, weights: Path) -> None:
        """Begin with these weights instead of drawn ones."""
        with np.load(weights) as arrays, torch.no_grad():
            for number, layer in enumerate([self.first, *self.layers, self.last]):
                kernel = torch.from_numpy(arrays[f"weights_{number}"])
                layer.weight.copy_(kernel.reshape(-1, kernel.shape[2]).T)
                layer.bias.copy_(torch.from_numpy(arrays[f"bias_{number}"]))

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """As `neural_network.Network` reads them."""
        out = {
            "weights_0": self.first.weight.T[None],
            "bias_0": self.first.bias,
            f"weights_{len(DILATIONS) + 1}": self.last.weight.T[None],
            f"bias_{len(DILATIONS) + 1}": self.last.bias,
        }
        for number, layer in enumerate(self.layers, 1):
            out[f"weights_{number}"] = layer.weight.T.reshape(KERNEL, WIDTH, WIDTH)
            out[f"bias_{number}"] = layer.bias
        return {name: one.detach().numpy().astype(np.float32) for name, one in out.items()}


def load(folder: Path) -> tuple[NDArray[np.float16], NDArray[np.int8], list[tuple[int, int]]]:
    """Columns and marks (speech, music) of all rows, and where each row begins and ends."""
    columns, marks, spans, at = [], [], [], 0
    for path in sorted(folder.glob("rows-*.npz")):
        with np.load(path) as arrays:
            columns.append(arrays["columns"])
            marks.append(np.stack([arrays["speech"], arrays["music"]], axis=1))
            for length in arrays["lengths"].tolist():
                spans.append((at, at + length))
                at += length
    return np.concatenate(columns), np.concatenate(marks), spans


def train(
    rows: Path, weights: Path, epochs: int, threads: int, rate: float, start: Path | None
) -> None:
    """Trains, writes the weights after each epoch, prints how it goes."""
    torch.manual_seed(1)
    torch.set_num_threads(threads)
    random = np.random.default_rng(1)
    columns, marks, spans = load(rows)
    held = max(int(len(spans) * HELD_OUT), 1)
    test, spans = spans[:held], spans[held:]
    pieces = [
        (at, min(at + LENGTH, end), at == start)
        for start, end in spans
        for at in range(start, end - 200, LENGTH)
    ]
    net = Net(columns.shape[1])
    if start is not None:
        net.take(start)
    mean = torch.optim.swa_utils.AveragedModel(
        net, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(AVERAGE)
    )
    steps = epochs * (len(pieces) // BATCH)
    optimiser = torch.optim.AdamW(net.parameters(), lr=rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, rate, total_steps=steps + 1, pct_start=0.1
    )
    print(f"{len(spans)} rows, {len(columns) / 50 / 3600:.1f} h, {len(pieces)} pieces", flush=True)
    started = time.perf_counter()
    for epoch in range(epochs):
        losses = []
        order = random.permutation(len(pieces))
        for first in range(0, len(order) - BATCH + 1, BATCH):
            x, y = batch(
                columns, marks, [pieces[at] for at in order[first : first + BATCH]], random
            )
            loss = loss_of(net(x), y)
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            mean.update_parameters(net)
            losses.append(loss.item())
        kept: Net = mean.module
        np.savez(weights, **kept.arrays())
        said = evaluate(kept, columns, marks, test)
        print(
            f"{epoch + 1} {np.mean(losses):.4f} {said} {time.perf_counter() - started:.0f} s",
            flush=True,
        )


def batch(
    columns: NDArray[np.float16],
    marks: NDArray[np.int8],
    pieces: list[tuple[int, int, bool]],
    random: np.random.Generator,
) -> tuple[Tensor, Tensor]:
    """Pieces of a random beginning up to a second later, filled up with frames that do not count.

    A piece (its first frame, one past its last, whether a call begins there).
    """
    x = np.zeros((len(pieces), LENGTH, columns.shape[1]), np.float32)
    y = np.full((len(pieces), LENGTH, HEADS), -1, np.int64)
    for row, (start, end, first) in enumerate(pieces):
        first = first and random.random() < 0.5
        start += 0 if first else int(random.integers(1, 50))
        x[row, : end - start] = columns[start:end]
        y[row, : end - start] = marks[start:end]
        if not first:
            y[row, :WARM_UP] = -1
    return torch.from_numpy(x), torch.from_numpy(y)


def loss_of(logits: Tensor, marks: Tensor) -> Tensor:
    """Of the frames that count."""
    losses = nn.functional.binary_cross_entropy_with_logits(
        logits, marks.clamp(min=0).float(), reduction="none"
    )
    known = (marks >= 0).float()
    by_head = (losses * known).sum((0, 1)) / known.sum((0, 1)).clamp(min=1)
    return by_head[SPEECH] + MUSIC_WEIGHT * by_head[MUSIC]


def evaluate(
    net: Net,
    columns: NDArray[np.float16],
    marks: NDArray[np.int8],
    spans: list[tuple[int, int]],
) -> str:
    """Share of frames wrong in rows that were not trained on: missed / false, speech and music."""
    wrong, count = np.zeros((HEADS, 2)), np.zeros((HEADS, 2))
    with torch.no_grad():
        for start, end in spans:
            x = torch.from_numpy(columns[start:end].astype(np.float32))[None]
            said = net(x)[0].numpy() > 0
            for head in range(HEADS):
                for truth in (0, 1):
                    of = marks[start:end, head] == truth
                    count[head, truth] += of.sum()
                    wrong[head, truth] += (said[of, head] != truth).sum()
    share = 100 * wrong / np.maximum(count, 1)
    return (
        f"speech {share[SPEECH, 1]:.2f} / {share[SPEECH, 0]:.2f} %, "
        f"music {share[MUSIC, 1]:.2f} / {share[MUSIC, 0]:.2f} %"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rate", type=float, default=RATE)
    parser.add_argument("--start", type=Path, help="weights to begin with; default: drawn")
    train(**vars(parser.parse_args()))
