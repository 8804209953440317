"""Trains the judge's network and writes its weights: `python -m training.train CACHE WEIGHTS`.

Needs torch (CPU), scipy, soundfile, soxr and espeak-ng. Seeded: the same packages, machine and versions give
the same weights. Pieces are made once and kept in CACHE.
"""

from __future__ import annotations

import argparse
import time
import zlib
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from training import augment, data, sources
from vad_agent.hearing import features, network

FRAMES = 400
"""Of a piece: 8 s."""
WINDOWS = (300, 300, 300, 250, 200, 150)
"""Frames of which the network sees one cut at a time; a judgement has 300, fewer as a call begins."""
PER_JOB = 100
MUSIC_WEIGHT = 0.3
"""The music head's share of the loss."""
SEED = 7


class Set(NamedTuple):
    """Pieces of one part."""

    energies: NDArray[np.float16]
    """(pieces, FRAMES, features.BANDS), as `features.log_mel` gives them."""
    speech: NDArray[np.int8]
    """(pieces, FRAMES): 1, 0, -1 = does not count."""
    music: NDArray[np.int8]


_pools: dict[str, data.Pools] = {}


def _load_pools(cache: str) -> None:
    _pools.update(data.build(Path(cache)))


def _make(job: tuple[str, int]) -> Set:
    part, number = job
    random = np.random.default_rng([SEED, data.PARTS.index(part), number])
    energies, speech, music = [], [], []
    for _ in range(PER_JOB):
        piece = augment.make(random, _pools[part], FRAMES)
        frames = [frame.tobytes() for frame in piece.samples.reshape(-1, data.HOP)]
        energies.append(features.log_mel(frames, data.RATE).astype(np.float16))
        speech.append(piece.speech)
        music.append(piece.music)
    return Set(np.stack(energies), np.stack(speech), np.stack(music))


def pieces(cache: Path, part: str, jobs: int) -> Set:
    """`jobs` times PER_JOB pieces, made by two processes, or read if they were made before."""
    made_by = b"".join(Path(module.__file__ or "").read_bytes() for module in (augment, sources))
    path = cache / f"pieces-{part}-{jobs}-{zlib.crc32(made_by):08x}.npz"
    if not path.exists():
        with ProcessPoolExecutor(2, initializer=_load_pools, initargs=(str(cache),)) as workers:
            sets = list(workers.map(_make, [(part, number) for number in range(jobs)]))
        made = Set(*(np.concatenate(arrays) for arrays in zip(*sets, strict=True)))
        np.savez(path, **made._asdict())
    with np.load(path) as arrays:
        return Set(*(arrays[name] for name in Set._fields))


class Net(nn.Module):
    """The network of `vad_agent.hearing.network` in torch."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = features.CHANNELS
        for layer in network.LAYERS:
            layers.append(
                nn.Conv1d(channels, layer.width, layer.kernel, stride=layer.stride,
                          dilation=layer.dilation, padding=layer.padding)
            )  # fmt: skip
            channels = layer.width
        self.layers = nn.ModuleList(layers)
        self.head = nn.Conv1d(channels, network.HEADS, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, frames) to (batch, HEADS, frames / STRIDE)."""
        for number, layer in enumerate(self.layers):
            y = torch.relu(layer(x))
            x = x + y if number and network.LAYERS[number].stride == 1 else y
        out: Tensor = self.head(x)
        return out


def normalise(energies: Tensor) -> Tensor:
    """`features.normalise` for a batch: (batch, frames, BANDS) to (batch, CHANNELS, frames)."""
    count = energies.shape[1]
    floor = energies.kthvalue(count // features.FLOOR_SHARE + 1, dim=1, keepdim=True).values
    both = torch.cat([energies - energies.mean(dim=1, keepdim=True), energies - floor], dim=2)
    return (both.clamp(-features.REACH, features.REACH) * features.SCALE).transpose(1, 2)


def _loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy over the frames that count. `labels`: (batch, steps), 1, 0 or -1."""
    known = labels >= 0
    raw = nn.functional.binary_cross_entropy_with_logits(logits, labels.float(), reduction="none")
    return (raw * known).sum() / known.sum().clamp(min=1)


def _steps(labels: Tensor) -> Tensor:
    """Labels of frames as labels of the network's steps: equal ones stay, mixed ones don't count."""
    pairs = labels.reshape(len(labels), -1, network.STRIDE)
    first = pairs[:, :, 0]
    return torch.where((pairs == first[:, :, None]).all(dim=2), first, -1)


def train(cache: Path, weights: Path, jobs: int, epochs: int, threads: int) -> None:
    """Trains and writes the weights."""
    torch.set_num_threads(threads)
    torch.manual_seed(SEED)
    began = time.perf_counter()
    learn, tune = pieces(cache, "train", jobs), pieces(cache, "tune", max(jobs // 20, 5))
    print(f"{len(learn.speech)} pieces, {time.perf_counter() - began:.0f} s", flush=True)
    began = time.perf_counter()
    net = Net()
    print(f"{sum(p.numel() for p in net.parameters())} weights")
    random = np.random.default_rng(SEED)
    batch = 64
    per_epoch = len(learn.speech) // batch
    best = torch.optim.AdamW(net.parameters(), lr=2e-3, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(best, 4e-3, epochs * per_epoch, pct_start=0.15)
    # torch keeps no float16 arithmetic on a CPU: each batch is widened.
    for epoch in range(epochs):
        total = 0.0
        order = random.permutation(len(learn.speech))
        for i in range(per_epoch):
            rows = np.sort(order[i * batch : (i + 1) * batch])
            frames = int(random.choice(WINDOWS))
            at = int(random.integers(0, FRAMES - frames + 1))
            cut = slice(at, at + frames)
            x = normalise(torch.from_numpy(learn.energies[rows, cut].astype(np.float32)))
            logits = net(x)
            loss = _loss(logits[:, 0], _steps(torch.from_numpy(learn.speech[rows, cut])))
            loss = loss + MUSIC_WEIGHT * _loss(
                logits[:, 1], _steps(torch.from_numpy(learn.music[rows, cut]))
            )
            best.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            best.step()
            schedule.step()
            total += loss.item()
        print(f"epoch {epoch + 1}: loss {total / per_epoch:.4f}, tune {_check(net, tune)}, "
              f"{time.perf_counter() - began:.0f} s", flush=True)  # fmt: skip
    save(net, weights)


@torch.no_grad()
def _check(net: Net, tune: Set) -> str:
    """Loss and error of both heads over the newest 6 s of each tuning piece."""
    cut = slice(FRAMES - 300, FRAMES)
    logits = net(normalise(torch.from_numpy(tune.energies[:, cut].astype(np.float32))))
    texts = []
    for head, labels in enumerate((tune.speech, tune.music)):
        steps = _steps(torch.from_numpy(labels[:, cut]))
        wrong = ((logits[:, head] > 0) != (steps > 0)) & (steps >= 0)
        missed = (wrong & (steps == 1)).sum() / (steps == 1).sum()
        false = (wrong & (steps == 0)).sum() / (steps == 0).sum()
        texts.append(f"{_loss(logits[:, head], steps):.4f} missed {missed:.2%} false {false:.2%}")
    return " | ".join(texts)


def save(net: Net, path: Path) -> None:
    """The weights as `vad_agent.hearing.network.load` takes them: (kernel, in, out), float16."""
    arrays: dict[str, NDArray[np.float16]] = {}
    for number, layer in enumerate([*net.layers, net.head]):
        assert isinstance(layer, nn.Conv1d)
        assert layer.bias is not None
        kernel = layer.weight.detach().numpy().transpose(2, 1, 0)
        arrays[f"weights_{number}"] = kernel.astype(np.float16)
        arrays[f"bias_{number}"] = layer.bias.detach().numpy().astype(np.float16)
    with path.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
    print(f"{path}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cache", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--jobs", type=int, default=200, help=f"each makes {PER_JOB} pieces")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--threads", type=int, default=2)
    train(**vars(parser.parse_args()))
