"""The results as Parquet: calls, steps, silences. A part a batch and table, one file a table at the end.

    parts/calls-00000012.parquet ──┐
    parts/calls-00000013.parquet ──┴──> calls.parquet          streamed, constant memory

A part is written whole or not at all. Needs the extra `archive`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vad_agent.archive.file_listing import chunked
from vad_agent.archive.rows import CALL_COLUMNS, CALLBACK_COLUMNS, SILENCE_COLUMNS, STEP_COLUMNS
from vad_agent.common.private_files import private_folder, replacing, why
from vad_agent.errors import OutputError, extra

if TYPE_CHECKING:
    import pyarrow as pa

    from vad_agent.archive.call_audit import AuditRows

TABLES: Mapping[str, Mapping[str, str]] = {
    "calls": CALL_COLUMNS,
    "steps": STEP_COLUMNS,
    "silences": SILENCE_COLUMNS,
}
CALLBACKS = "callbacks"
"""The table that is written after the audit: what became of the owed callbacks."""
PARTS = "parts"
ROW_GROUP = 20_000


def arrow() -> Any:
    """pyarrow.

    Raises:
        MissingExtra: it is not installed.
    """
    with extra("archive", "the tables of an audit"):
        import pyarrow.parquet

        return pyarrow


def schema(table: str) -> pa.Schema:
    """The columns of a table."""
    pa = arrow()
    kinds = {
        "text": pa.string(),
        "count": pa.int32(),
        "number": pa.float64(),
        "flag": pa.bool_(),
        "time": pa.timestamp("us", tz="UTC"),
    }
    return pa.schema([(name, kinds[kind]) for name, kind in _columns(table).items()])


def _columns(table: str) -> Mapping[str, str]:
    return CALLBACK_COLUMNS if table == CALLBACKS else TABLES[table]


def write_callbacks(folder: Path, found: Iterable[Mapping[str, Any]]) -> None:
    """Write the table of owed callbacks.

    Raises:
        OutputError: it cannot be written.
    """
    chunks = (_table(chunk, CALLBACKS) for chunk in chunked(found, ROW_GROUP))
    _write(folder / f"{CALLBACKS}.parquet", chunks, CALLBACKS)


def write_part(folder: Path, batch: int, rows: AuditRows) -> None:
    """Write the rows of a batch; again: they replace themselves.

    Raises:
        OutputError: a file cannot be written.
    """
    private_folder(folder / PARTS)
    for table, found in (("steps", rows.steps), ("silences", rows.silences), ("calls", rows.calls)):
        _write(part(folder, table, batch), [_table(found, table)], table)


def part(folder: Path, table: str, batch: int) -> Path:
    """The file of a batch's rows."""
    return folder / PARTS / f"{table}-{batch:08}.parquet"


def merge(folder: Path, batches: Sequence[int]) -> None:
    """One file a table, of these batches in order.

    Raises:
        OutputError: a part cannot be read, or a file not be written.
    """
    for table in TABLES:
        _write(folder / f"{table}.parquet", _grouped(folder, table, batches), table)


def _grouped(folder: Path, table: str, batches: Sequence[int]) -> Iterator[pa.Table]:
    """The parts, joined to groups of rows that are worth reading."""
    pa = arrow()
    waiting: list[Any] = []
    count = 0
    for batch in batches:
        name = part(folder, table, batch)
        try:
            with pa.parquet.ParquetFile(name) as file:  # `read_table` costs a data set a file
                waiting.append(file.read())
        except (OSError, pa.ArrowException) as error:
            raise OutputError(f"{name}: cannot be read: {error}") from error
        count += len(waiting[-1])
        if count >= ROW_GROUP:
            yield _joined(waiting, table)
            waiting, count = [], 0
    yield _joined(waiting, table)


def _joined(parts: Sequence[Any], table: str) -> pa.Table:
    """One table; a column that a part of an older version lacks is null."""
    empty = schema(table).empty_table()
    whole: pa.Table = arrow().concat_tables([empty, *parts], promote_options="default")
    return whole.combine_chunks()


def rows(
    folder: Path, table: str, columns: Sequence[str] | None = None
) -> Iterator[dict[str, Any]]:
    """The rows of a table, in order, as they are read: constant memory.

    Raises:
        OutputError: there is no such file, or it cannot be read.
    """
    pa = arrow()
    name = folder / f"{table}.parquet"
    try:
        with pa.parquet.ParquetFile(name) as file:
            for batch in file.iter_batches(2_000, columns=columns):
                yield from batch.to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise OutputError(f"{name}: cannot be read: {error}") from error


def _table(found: Sequence[Mapping[str, Any]], table: str) -> pa.Table:
    made: pa.Table = arrow().Table.from_pylist(list(found), schema=schema(table))
    return made


def _write(name: Path, tables: Iterable[pa.Table], table: str) -> None:
    pa = arrow()
    try:
        with (
            replacing(name, durable=True) as file,
            pa.parquet.ParquetWriter(file, schema(table), compression="zstd") as writer,
        ):
            for one in tables:
                writer.write_table(one)
    except OSError as error:
        raise OutputError(f"{name}: cannot be written: {why(error)}") from error
