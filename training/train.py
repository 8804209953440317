"""Trains the judge's network and writes its weights: `python -m training.train CACHE WEIGHTS`.

Needs torch (CPU), scipy, soundfile, soxr and espeak-ng. Seeded: the same packages, machine and versions give
the same weights. Pieces are made once and kept in CACHE.
"""

from __future__ import annotations

import argparse
import copy
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
WINDOWS = (300, 200, 200, 200, 248, 152, 100, 64)
"""Frames of which the network sees one cut at a time; a judgement has 200 to 300, fewer as a call begins."""
PER_JOB = 100
KINDS = {"lines": augment.make, "sounds": augment.make_sounds, "music": augment.make_music}
"""Of pieces."""
MORE = 8
"""For so many of the first kind there is one more of each other kind."""
SEED = 7

# Shares of the loss.
MUSIC_WEIGHT = 0.4
"""The music head's."""
WORDS_WEIGHT = 0.15
"""Words that as a whole were not heard, and sounds as a whole taken for a word."""
SHORT = 30
"""Frames: those of a shorter run of speech count more, up to MOST times."""
MOST = 3.0
SPEECH_AS_MUSIC = 2.0
"""Frames in which somebody speaks count so often for the music head."""
SMOOTH = 0.01
"""Labels are not quite 0 and 1."""
AVERAGE = 0.998
"""The weights written are the mean of those of the last thousand batches or so."""

SURE_STEPS = 3
"""As the judge has it: so many steps in a row make a word."""


class Set(NamedTuple):
    """Pieces of one part."""

    energies: NDArray[np.float16]
    """(pieces, FRAMES, features.BANDS), as `features.log_mel` gives them."""
    speech: NDArray[np.int8]
    """(pieces, FRAMES): 1, 0, -1 = does not count."""
    music: NDArray[np.int8]


class Batch(NamedTuple):
    """Cuts, their labels by step."""

    energies: Tensor
    """(batch, frames, BANDS)"""
    speech: Tensor
    """(batch, steps): 1, 0, -1 = does not count."""
    music: Tensor
    weight: Tensor
    """(batch, steps), of the speech head's frames."""


_pools: dict[str, data.Pools] = {}


def _load_pools(cache: str) -> None:
    _pools.update(data.build(Path(cache)))


def _make(job: tuple[str, str, int]) -> Set:
    kind, part, number = job
    seed = [SEED, data.PARTS.index(part), number]
    random = np.random.default_rng(seed if kind == "lines" else [*seed, list(KINDS).index(kind)])
    energies, speech, music = [], [], []
    for _ in range(PER_JOB):
        piece = KINDS[kind](random, _pools[part], FRAMES)
        frames = [frame.tobytes() for frame in piece.samples.reshape(-1, data.HOP)]
        energies.append(features.log_mel(frames, data.RATE).astype(np.float16))
        speech.append(piece.speech)
        music.append(piece.music)
    return Set(np.stack(energies), np.stack(speech), np.stack(music))


def pieces(cache: Path, part: str, jobs: int, kind: str = "lines") -> Set:
    """`jobs` times PER_JOB pieces, made by two processes, or read if they were made before."""
    made_by = b"".join(
        Path(module.__file__ or "").read_bytes() for module in (augment, data, sources)
    )
    path = cache / f"{kind}-{part}-{jobs}-{zlib.crc32(made_by):08x}.npz"
    if not path.exists():
        with ProcessPoolExecutor(2, initializer=_load_pools, initargs=(str(cache),)) as workers:
            sets = list(workers.map(_make, [(kind, part, number) for number in range(jobs)]))
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
        self.head = nn.Conv1d(channels, network.PER_STEP * network.HEADS, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, frames) to (batch, HEADS, frames / STRIDE)."""
        for number, layer in enumerate(self.layers):
            y = torch.relu(layer(x))
            x = x + y if network.LAYERS[number].stride == 1 else y
        out: Tensor = self.head(x)
        # (batch, PER_STEP * HEADS, grid) -> (batch, HEADS, steps)
        out = out.unflatten(1, (network.PER_STEP, network.HEADS))
        return out.permute(0, 2, 3, 1).flatten(2)


def normalise(energies: Tensor) -> Tensor:
    """`features.normalise` for a batch: (batch, frames, BANDS) to (batch, CHANNELS, frames)."""
    count = energies.shape[1]
    floor = energies.kthvalue(count // features.FLOOR_SHARE + 1, dim=1, keepdim=True).values
    both = torch.cat([energies - energies.mean(dim=1, keepdim=True), energies - floor], dim=2)
    return (both.clamp(-features.REACH, features.REACH) * features.SCALE).transpose(1, 2)


def _loss(logits: Tensor, labels: Tensor, weight: Tensor) -> Tensor:
    """Cross-entropy over the frames that count. All (batch, steps); `labels`: 1, 0 or -1."""
    weight = weight * (labels >= 0)
    targets = labels.clamp(min=0).float() * (1 - 2 * SMOOTH) + SMOOTH
    raw = nn.functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    return (raw * weight).sum() / weight.sum().clamp(min=1)


def _whole(logits: Tensor, labels: Tensor) -> Tensor:
    """Loss of decisions: the surest SURE_STEPS steps of each run of speech, and of all that is none."""
    together = -nn.functional.max_pool1d(-logits[:, None], SURE_STEPS, 1)[:, 0]
    spoken = labels.unfold(1, SURE_STEPS, 1)
    silent = (spoken == 0).all(dim=2)
    worst = torch.where(silent, together, -20.0).topk(2, dim=1).values
    false = nn.functional.softplus(worst + 1.0).mean()
    # Runs, numbered through the batch.
    speaks = labels == 1
    begins = speaks & ~nn.functional.pad(speaks, (1, 0))[:, :-1]
    number = begins.flatten().cumsum(0).reshape(labels.shape)
    inside = (spoken == 1).all(dim=2)
    count = int(number.max())
    if not count or not bool(inside.any()):
        return false
    sure = torch.full((count + 1,), -20.0).scatter_reduce(
        0, number[:, : together.shape[1]][inside], together[inside], "amax"
    )
    sure = sure[sure > -20.0]
    return false + nn.functional.softplus(2.0 - sure).mean()


def _weights(labels: NDArray[np.int8]) -> NDArray[np.float16]:
    """Of each frame: more in short runs of speech."""
    out = np.ones(labels.shape, np.float16)
    for row, one in zip(out, labels, strict=True):
        for begin, end in data.runs(one == 1):
            row[begin:end] = min(max((SHORT / (end - begin)) ** 0.7, 1.0), MOST)
    return out


def _steps(labels: Tensor) -> Tensor:
    """Labels of frames as labels of the network's steps: equal ones stay, mixed ones don't count."""
    pairs = labels.reshape(len(labels), -1, network.STRIDE)
    first = pairs[:, :, 0]
    return torch.where((pairs == first[:, :, None]).all(dim=2), first, -1)


def _cut(learn: Set, weights: NDArray[np.float16], rows: NDArray[np.int64], cut: slice) -> Batch:
    """Pieces of `rows`, the same cut of each."""
    # torch keeps no float16 arithmetic on a CPU: each batch is widened.
    weight = torch.from_numpy(weights[rows, cut].astype(np.float32))
    return Batch(
        torch.from_numpy(learn.energies[rows, cut].astype(np.float32)),
        _steps(torch.from_numpy(learn.speech[rows, cut])),
        _steps(torch.from_numpy(learn.music[rows, cut])),
        weight.reshape(len(rows), -1, network.STRIDE).amax(dim=2),
    )


def _varied(batch: Batch, random: np.random.Generator) -> Batch:
    """Another gain that wanders, and behind some pieces the sounds of others in which nobody speaks."""
    energies = batch.energies
    count, frames, _ = energies.shape
    knots = torch.from_numpy(random.normal(0, 1, (count, 1, 6)).astype(np.float32))
    drift = nn.functional.interpolate(knots, frames, mode="linear", align_corners=True)[
        :, 0, :, None
    ]
    share = torch.from_numpy((random.random(count) < 0.3) * random.uniform(0, 0.8, count))
    energies = energies + drift * share.float()[:, None, None]
    # Power adds up: 8 to 30 dB under the louder frames of what it is laid behind.
    other = torch.from_numpy(random.permutation(count))
    alone = (batch.speech[other] == 0).all(dim=1) & (batch.music[other] == 0).all(dim=1)
    mixed = alone & torch.from_numpy(random.random(count) < 0.5)
    loud = energies.logsumexp(dim=2).quantile(0.95, dim=1)
    under = torch.from_numpy(random.uniform(1.8, 7, count).astype(np.float32))
    gain = loud - under - loud[other]
    behind = energies[other] + gain[:, None, None]
    energies = torch.where(mixed[:, None, None], torch.logaddexp(energies, behind), energies)
    # Speech that has thereby been drowned does not count.
    level = batch.energies.logsumexp(dim=2).reshape(count, -1, network.STRIDE).amin(dim=2)
    noise = behind.logsumexp(dim=2).reshape(count, -1, network.STRIDE).amax(dim=2)
    drowned = mixed[:, None] & (noise > level + 1.4)
    speech = torch.where(drowned & (batch.speech == 1), -1, batch.speech)
    music = torch.where(drowned & (batch.music == 1), -1, batch.music)
    return Batch(energies, speech, music, batch.weight)


def train(cache: Path, weights: Path, jobs: int, epochs: int, threads: int) -> None:
    """Trains and writes the weights."""
    torch.set_num_threads(threads)
    torch.manual_seed(SEED)
    began = time.perf_counter()
    tune = pieces(cache, "tune", max(jobs // 20, 5))
    sets = [
        pieces(cache, "train", jobs if kind == "lines" else jobs // MORE, kind) for kind in KINDS
    ]
    learn = Set(*(np.concatenate(arrays) for arrays in zip(*sets, strict=True)))
    del sets
    short = _weights(learn.speech)
    print(f"{len(learn.speech)} pieces, {time.perf_counter() - began:.0f} s", flush=True)
    began = time.perf_counter()
    net = Net()
    mean = copy.deepcopy(net)
    print(f"{sum(p.numel() for p in net.parameters())} weights")
    random = np.random.default_rng(SEED)
    batch = 64
    per_epoch = len(learn.speech) // batch
    best = torch.optim.AdamW(net.parameters(), lr=2e-3, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(best, 4e-3, epochs * per_epoch, pct_start=0.15)
    for epoch in range(epochs):
        total = 0.0
        order = random.permutation(len(learn.speech))
        for i in range(per_epoch):
            rows = np.sort(order[i * batch : (i + 1) * batch])
            frames = int(random.choice(WINDOWS))
            at = int(random.integers(0, FRAMES - frames + 1))
            seen = _varied(_cut(learn, short, rows, slice(at, at + frames)), random)
            loss = _losses(net(normalise(seen.energies)), seen)
            best.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(net.parameters(), 5.0)
            best.step()
            schedule.step()
            total += loss.item()
            with torch.no_grad():
                for average, now in zip(mean.parameters(), net.parameters(), strict=True):
                    average.lerp_(now, 1 - min(AVERAGE, i / (i + 10) if not epoch else 1.0))
        print(f"epoch {epoch + 1}: loss {total / per_epoch:.4f}, tune {_check(mean, tune)}, "
              f"{time.perf_counter() - began:.0f} s", flush=True)  # fmt: skip
    save(mean, weights)


def _losses(logits: Tensor, batch: Batch) -> Tensor:
    """The sum of all. `logits`: (batch, HEADS, steps)."""
    speech, music = logits[:, network.SPEECH], logits[:, network.MUSIC]
    spoken = 1 + (SPEECH_AS_MUSIC - 1) * (batch.speech == 1)
    return (
        _loss(speech, batch.speech, batch.weight)
        + MUSIC_WEIGHT * _loss(music, batch.music, spoken)
        + WORDS_WEIGHT * _whole(speech, batch.speech)
    )


@torch.no_grad()
def _check(net: Net, tune: Set) -> str:
    """Loss and error of both heads over the newest 4 s of each tuning piece."""
    cut = slice(FRAMES - 200, FRAMES)
    logits = net(normalise(torch.from_numpy(tune.energies[:, cut].astype(np.float32))))
    texts = []
    for head, labels in enumerate((tune.speech, tune.music)):
        steps = _steps(torch.from_numpy(labels[:, cut]))
        wrong = ((logits[:, head] > 0) != (steps > 0)) & (steps >= 0)
        missed = (wrong & (steps == 1)).sum() / (steps == 1).sum()
        false = (wrong & (steps == 0)).sum() / (steps == 0).sum()
        loss = _loss(logits[:, head], steps, torch.ones_like(logits[:, head]))
        texts.append(f"{loss:.4f} missed {missed:.2%} false {false:.2%}")
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
