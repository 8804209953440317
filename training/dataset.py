"""What the network is trained on: whole generated calls and, if given, stretches of real ones.

    python -m training.dataset CACHE OUT --calls N [--given FOLDER --stretches M]

CACHE holds the clips (`training.source_clips`). A generated call is drawn and rendered as the benchmark's are
(`benchmarks.calls`), of other voices, music and noises, and changed further: rooms, telephones and codecs,
clients from very loud to very quiet, noises on top, lost packets, a dead other side. A real stretch is cut
from a labelled call of the folder. Each row of the result is one channel as the product hears it
(`FeatureExtractor`):

    columns  float16 (frames, COLUMNS)
    speech   int8 (frames,): 1, 0, or -1 where nobody could say
    music    int8 (frames,): the same of hold music
"""

from __future__ import annotations

import argparse
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.accuracy import signals
from benchmarks.accuracy.labels import FRAME
from benchmarks.calls.recipe import Carries, Kind, kind_of
from benchmarks.calls.recipe_sampling import sample
from benchmarks.calls.render import render
from training.impairments import disturbed, events, lost, on_line, through_telephone
from training.labelled_calls import real
from training.library import library, pools, recordings
from training.rows import Marks, Row, heard, marked, save, sounding
from vad_agent.core.frames import Channel

EVENTFUL = (Kind.SILENT, Kind.TALK, Kind.NOBODY, Kind.MUSIC, Kind.MUSIC_BACK, Kind.HELD)
"""How an eventful call goes."""


def generated(
    number: int, cache: Path, folder: Path | None, *, eventful: bool = False
) -> list[Row]:
    """Both channels of one call.

    `eventful`: with sounds as loud as speech where nobody speaks, some from somebody's first word on, more
    music.
    """
    rng = signals.random("eventful call" if eventful else "training call", str(number))
    source = library(rng, cache, folder, number)
    # Without its recorded noises the benchmark's own are drawn; the recorded ones come on top.
    recipe = sample("training", number, replace(source, noises=()))
    if rng.random() < 0.35:
        level = round(float(rng.uniform(-46, -10)), 1)
        recipe = replace(recipe, client=replace(recipe.client, level_dbfs=level))
    if rng.random() < 0.3:
        quieter = [
            replace(stretch, level_dbfs=round(float(rng.uniform(-44, -20)), 1))
            if stretch.carries is Carries.MUSIC
            else stretch
            for stretch in recipe.stretches
        ]
        recipe = replace(recipe, stretches=tuple(quieter))
    call = render(recipe, source)
    operator = call.operator.astype(np.float64)
    client = call.client.astype(np.float64)
    speech = {
        side: marked(call.truth.speech[side], recipe.frames)
        for side in (Channel.OPERATOR, Channel.CLIENT)
    }
    music = np.zeros(recipe.frames, np.int8)
    for stretch in recipe.stretches:
        if stretch.carries is Carries.MUSIC:
            music[stretch.start : stretch.end] = sounding(
                client[stretch.start * FRAME : stretch.end * FRAME]
            )
    zero = np.ptp(call.client.reshape(-1, FRAME), axis=1) == 0
    client, tail = through_telephone(client, rng)
    if tail:
        speech[Channel.CLIENT] = marked(call.truth.speech[Channel.CLIENT], recipe.frames, tail)
    if rng.random() < (0.7 if eventful else 0.5):
        client = disturbed(client, recipe.client.level_dbfs, rng, source)
    operator, tail = through_telephone(operator, rng)
    if tail:
        speech[Channel.OPERATOR] = marked(call.truth.speech[Channel.OPERATOR], recipe.frames, tail)
    if rng.random() < 0.3:
        operator = disturbed(operator, recipe.operator.level_dbfs, rng, source)
    client[np.repeat(zero, FRAME)] = recipe.idle
    if rng.random() < 0.25:
        client = lost(client, rng)
    client[np.repeat(call.lost, FRAME)] = 0
    if rng.random() < 0.12:
        operator = np.zeros_like(operator)
        speech[Channel.OPERATOR][:] = 0
    if eventful:
        client += events(speech[Channel.CLIENT], music, recipe.client.level_dbfs, rng, source)
        if rng.random() < 0.4:
            nothing = np.zeros_like(music)
            operator += events(
                speech[Channel.OPERATOR], nothing, recipe.operator.level_dbfs, rng, source
            )
        if rng.random() < 0.4 and (begun := min(_firsts(speech), default=0)) > 4:
            begun -= int(rng.integers(5))
            client, operator = client[begun * FRAME :], operator[begun * FRAME :]
            speech = {side: marks[begun:] for side, marks in speech.items()}
            music = music[begun:]
    near, far = on_line(operator), on_line(client)
    of_client, of_operator = speech[Channel.CLIENT], speech[Channel.OPERATOR]
    return [
        *heard(far, near, of_client, of_operator, music, rng),
        *heard(near, None, of_operator, of_client, np.zeros_like(music), rng),
    ]


def _firsts(speech: dict[Channel, Marks]) -> list[int]:
    """The first frame of speech of each side that speaks."""
    return [int(np.argmax(marks == 1)) for marks in speech.values() if (marks == 1).any()]


Task = tuple[str, int, Path, Path | None]


def _work(task: Task) -> list[Row]:
    kind, number, cache, folder = task
    if kind == "real":
        assert folder is not None
        return real(number, cache, folder)
    return generated(number, cache, folder, eventful=kind == "eventful")


def make(
    cache: Path, calls: int, eventful: int, folder: Path | None, stretches: int, jobs: int
) -> Iterator[list[Row]]:
    """The rows of each call and stretch, then those of each eventful call."""
    pools(cache)  # before the processes part: they share both
    recordings(folder)
    tasks: list[Task] = [("call", number, cache, folder) for number in range(calls)]
    tasks += [("real", number, cache, folder) for number in range(stretches if folder else 0)]
    order = signals.random("order").permutation(len(tasks))
    numbers = [number for number in range(20 * eventful) if kind_of(number) in EVENTFUL]
    more: list[Task] = [("eventful", number, cache, folder) for number in numbers[:eventful]]
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("fork")) as pool:
        yield from pool.map(_work, [tasks[at] for at in order] + more, chunksize=4)


def main() -> None:
    """Writes OUT/rows-000.npz, rows-001.npz …, the rows of 100 tasks each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cache", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--calls", type=int, default=3_000)
    parser.add_argument("--eventful", type=int, default=1_500)
    parser.add_argument("--given", type=Path)
    parser.add_argument("--stretches", type=int, default=400)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for old in options.out.glob("rows-*.npz"):
        old.unlink()
    rows: list[Row] = []
    made = make(
        options.cache,
        options.calls,
        options.eventful,
        options.given,
        options.stretches,
        options.jobs,
    )
    for done, of_task in enumerate(made, 1):
        rows += of_task
        if done % 100 == 0:
            save(rows, options.out / f"rows-{done // 100:03}.npz")
            rows = []
            print(f"{done} calls and stretches", flush=True)
    if rows:
        save(rows, options.out / "rows-999.npz")


if __name__ == "__main__":
    main()
