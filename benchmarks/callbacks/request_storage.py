"""Time from a request to the disk: `Store.take`, compared with one bare commit of the same size."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from benchmarks.measure import Figure, Table, percentile
from vad_agent.callbacks.model import Policy, Request
from vad_agent.callbacks.store import Store
from vad_agent.callbacks.unit_of_work import Actor

POLICY = Policy(zone=ZoneInfo("Europe/Moscow"))
BYTES = 1000
P50_S, P99_S = 0.005, 0.025


def measure(places: dict[str, str], folder: Path, *, count: int) -> Table:
    """`places`: name → empty database."""
    figures: list[Figure] = []
    for name, place in places.items():
        store = Store(place, POLICY)
        taken: list[float] = []
        bare: list[float] = []
        with store.database.engine.begin() as c:
            c.execute(sa.text("CREATE TABLE bare (n INTEGER, text TEXT)"))
        for n in range(count):
            taken.append(_take(store, n))
            bare.append(_commit(store, n))
        store.close()
        ratio = percentile(taken, 0.5) / percentile(bare, 0.5)
        for share, limit in ((0.5, P50_S), (0.99, P99_S)):
            value = percentile(taken, share)
            figures.append(
                Figure(
                    f"{name}: request stored, p{share * 100:g}",
                    value * 1000,
                    "ms",
                    ratio if share == 0.5 else None,
                    "one bare commit" if share == 0.5 else "",
                    f"≤ {limit * 1000:g} ms",
                    value <= limit,
                )
            )
    synced = [_fsync(folder / "bare", n) for n in range(count)]
    figures.append(
        Figure("a bare file: write and fsync, p50", percentile(synced, 0.5) * 1000, "ms")
    )
    return Table("A request is stored", figures, [f"{count} requests, one after the other"])


def _take(store: Store, n: int) -> float:
    now = datetime.now(UTC)
    request = Request(
        key=f"bench-{n}",
        reason="dropped",
        asked=now,
        due_in_s=3600,
        phone=f"+7912{n:07}",
        name="Анна",
        opening="Здравствуйте, Анна, Интернет-магазин Haieronline.",
        call=f"call-{n}",
    )
    start = perf_counter()
    store.take(request, Actor("bench", now))
    return perf_counter() - start


def _commit(store: Store, n: int) -> float:
    start = perf_counter()
    with store.database.writing() as c:
        c.execute(sa.text("INSERT INTO bare VALUES (:n, :text)"), {"n": n, "text": "x" * BYTES})
    return perf_counter() - start


def _fsync(path: Path, n: int) -> float:
    start = perf_counter()
    with path.open("ab") as file:
        file.write(b"x" * BYTES)
        file.flush()
        os.fsync(file.fileno())
    return perf_counter() - start
