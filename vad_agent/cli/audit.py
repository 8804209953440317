"""`vad-agent audit`: what happened in many recorded calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, tzinfo
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vad_agent.cli.arguments import ScriptFile, load_settings
from vad_agent.cli.callback_arguments import Config, DeskUrl, reached
from vad_agent.cli.terminal import complain, tell_missing_detector

if TYPE_CHECKING:
    from vad_agent.archive.audit_runner import AuditProgress
    from vad_agent.archive.call_audit import AuditPlan
    from vad_agent.archive.engines import AuditEngine

MOST_WORKERS = 1024
PICTURES = 12
"""Of the worst calls, so many have their timeline on the page."""


class EngineName(StrEnum):
    """Where the files are audited."""

    LOCAL = "local"
    DASK = "dask"


class SheetEncoding(StrEnum):
    """The encoding of a spreadsheet."""

    UTF8 = "utf-8-sig"
    CP1251 = "cp1251"


def audit(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH…",
            help="Recordings, folders, 'globs', @lists, URLs (s3://bucket/2026-11), traces.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            metavar="DIR", help="Where the tables go, and the state: an audit resumes there."
        ),
    ] = Path("audit"),
    names: Annotated[
        str,
        typer.Option(
            metavar="PATTERN",
            help="What a file's name tells: {operator}, {number}, {time:%Y%m%d-%H%M%S}, {anything}.",
        ),
    ] = "{direction}-{operator}-{number}-{time:%Y%m%d-%H%M%S}-{id}",
    calls: Annotated[
        Path | None,
        typer.Option(
            metavar="CSV", help="What the names do not tell: file, operator, number, time."
        ),
    ] = None,
    script: ScriptFile = None,
    rules: Annotated[
        Path | None,
        typer.Option(
            metavar="RULES.toml", help="Other definitions of the measures: docs/archive.md."
        ),
    ] = None,
    operator_channel: Annotated[
        str | None, typer.Option(metavar="left|right|N", help="The operator's channel: left, or 0.")
    ] = None,
    engine: Annotated[
        EngineName, typer.Option(help="Processes of this machine, or a Dask cluster.")
    ] = EngineName.LOCAL,
    scheduler: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Of a running Dask scheduler: tcp://host:8786."),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, max=MOST_WORKERS, help="Processes here. Default: one a core."),
    ] = None,
    callbacks: Annotated[
        bool, typer.Option("--callbacks", help="Look up in the desk's store who was called back.")
    ] = False,
    report: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write the supervisor's page there.")
    ] = None,
    sheet: Annotated[
        Path | None,
        typer.Option("--csv", metavar="FILE", help="The calls for a Russian spreadsheet."),
    ] = None,
    encoding: Annotated[SheetEncoding, typer.Option(help="Of --csv.")] = SheetEncoding.UTF8,
    desk: DeskUrl = None,
    config: Config = None,
) -> None:
    """Audit recorded calls: phrases in their windows, silences and their causes, owed callbacks.

    The tables are calls.parquet, steps.parquet, silences.parquet in --out. What ended an audit does
    not matter: the same command goes on where it was. A file that cannot be read is a row.

    \b
    A month, and the page for the supervisor:
      vad-agent audit /var/spool/asterisk/monitor/2026/11 --out november --report november
    From a store, on a cluster, joined with the callbacks:
      vad-agent audit s3://calls/2026-11 --out november --engine dask --scheduler tcp://10.0.0.5:8786
    For a Russian spreadsheet:
      vad-agent audit calls/ --csv calls.csv --encoding cp1251
    """
    from vad_agent.archive import call_pictures, parquet_tables
    from vad_agent.archive.audit_rules import AuditRules
    from vad_agent.archive.audit_runner import AuditRun
    from vad_agent.archive.call_audit import AuditPlan
    from vad_agent.archive.file_listing import listing
    from vad_agent.archive.file_names import NamePattern
    from vad_agent.archive.job_store import JobStore
    from vad_agent.callbacks.policy_from_script import policy_of

    if scheduler is not None and engine is not EngineName.DASK:
        raise typer.BadParameter("only with --engine dask", param_hint="--scheduler")
    if report is not None:
        call_pictures.check()
    parquet_tables.arrow()  # before the work, not after it
    settings = load_settings(script)
    tell_missing_detector(settings)
    zone = policy_of(settings).zone
    pattern = NamePattern(names, zone)
    plan = AuditPlan(settings.to_toml() if script else "", AuditRules.load(rules), operator_channel)
    with _held(out):
        store = JobStore(out)
        try:
            store.keep_plan(repr(plan))
            if calls is not None:
                store.add_told(calls, zone)
        finally:
            store.close()
        with _engine(engine, scheduler, workers) as running, _shown() as show:
            AuditRun(out, plan, running, report=show).run(listing(paths), pattern)
        states = _callbacks(out, desk, config, wanted=callbacks)
        if sheet is not None:
            from vad_agent.archive import calls_csv

            calls_csv.write(sheet, parquet_tables.rows(out, "calls"), states, zone, encoding.value)
            print(f"table: {sheet}")
        if report is not None:
            page = _report(out, report, plan, states, zone)
            print(f"report: {page}")
    _summary(out)


@contextmanager
def _held(out: Path) -> Iterator[None]:
    """The folder, for one audit at a time."""
    from vad_agent.common.private_files import FileLock, private_folder
    from vad_agent.errors import OutputError

    private_folder(out)
    try:
        lock = FileLock(out / "audit.lock")
    except BlockingIOError:
        raise OutputError(
            f"{out}: another audit writes there: wait for it, or name another --out"
        ) from None
    try:
        yield
    finally:
        lock.close()


def _engine(
    name: EngineName, scheduler: str | None, workers: int | None
) -> AbstractContextManager[AuditEngine]:
    from vad_agent.archive.engines import cores, dask_engine, local_engine

    count = workers or cores()
    return local_engine(count) if name is EngineName.LOCAL else dask_engine(scheduler, count)


@contextmanager
def _shown() -> Iterator[Callable[[AuditProgress], None]]:
    """Progress on stderr: a bar on a terminal, else a line now and then."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    console = Console(stderr=True, markup=False, emoji=False)
    columns = (
        TextColumn("audit"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[left]}"),
    )
    with Progress(*columns, console=console, transient=True, redirect_stdout=False) as bar:
        task = bar.add_task("audit", total=None, left="")

        def show(told: AuditProgress) -> None:
            left = "" if told.remaining_s is None else f"{_minutes(told.remaining_s)} left"
            if not told.listed:
                left = "still listing"
            bar.update(task, completed=told.files_done, total=told.files, left=left)

        yield show


def _minutes(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _callbacks(out: Path, desk: str | None, config: Path | None, *, wanted: bool) -> dict[str, str]:
    """The status of owed callbacks, by the call's id; as far as they were ever looked up."""
    from vad_agent.archive import parquet_tables

    table = out / f"{parquet_tables.CALLBACKS}.parquet"
    if wanted:
        from vad_agent.archive.callback_join import COLUMNS, joined

        with reached(desk, config) as backend:
            owed = parquet_tables.rows(out, "calls", COLUMNS)
            parquet_tables.write_callbacks(out, joined(owed, backend, datetime.now(UTC)))
    if not table.exists():
        return {}
    return {row["id"]: row["status"] for row in parquet_tables.rows(out, parquet_tables.CALLBACKS)}


def _report(out: Path, folder: Path, plan: AuditPlan, states: dict[str, str], zone: tzinfo) -> Path:
    """The page; the worst calls are read again, to be drawn."""
    from vad_agent.archive import parquet_tables, report_page
    from vad_agent.archive.call_audit import AuditJob
    from vad_agent.archive.call_pictures import picture
    from vad_agent.archive.report_data import collect

    data = collect(parquet_tables.rows(out, "calls"), states, zone, plan.rules)
    pictures = {}
    for call in data.worst[:PICTURES]:
        drawn = picture(AuditJob(call["source"]), call["id"], plan)
        if drawn is not None:
            pictures[call["id"]] = drawn
    return report_page.write(folder, data, pictures, title=f"Аудит звонков: {out.name}")


def _summary(out: Path) -> None:
    from vad_agent.archive import parquet_tables

    count = unreadable = wrong = owed = 0
    columns = ("error", "phrases_wrong", "owed")
    for row in parquet_tables.rows(out, "calls", columns):
        count += 1
        unreadable += row["error"] is not None
        wrong += bool(row["phrases_wrong"])
        owed += bool(row["owed"])
    print(f"{out}: {count} calls, {wrong} not by the script, {owed} callbacks owed")
    if unreadable:
        complain(
            f"{unreadable} files could not be read: see the column error of {out}/calls.parquet"
        )
