"""Finds the desk of this machine and its token: two files of the state folder, private to their owner.

    desk.json        {"url": …, "pid": …}   written when a desk begins, removed when it ends
    desk.json.lock   held by that desk's process
    token            one line; created if missing

A killed desk leaves its file: it is ignored if its process is gone, or if it does not answer.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import ssl
import sys
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from vad_agent.common.private_files import (
    FileLock,
    private_folder,
    read_secret,
    replacing,
    secret_in,
    state_folder,
    why,
)
from vad_agent.errors import OutputError, SettingsError, StoreError

PLACE, TOKEN = "desk.json", "token"
TOKEN_VARIABLE = "VAD_AGENT_TOKEN"
HEALTH = "/health"
LIMIT_S = 2.0
"""Seconds for a local desk to answer."""


@dataclass(frozen=True, slots=True)
class DeskRecord:
    """A desk of this machine that answers."""

    url: str
    pid: int
    database: str = ""
    """Its database, without a password; "": not given."""
    certificate: str = ""
    """TLS: the PEM file of its own certificate, which may be self-signed; "": none."""


def desk_record_file() -> Path:
    """The file in which the desk of this machine publishes its address."""
    return _folder() / PLACE


def token_file() -> Path:
    """The file of this user's token."""
    return _folder() / TOKEN


def _folder() -> Path:
    return state_folder()


# -- the record
# ---------------------------------------------------------------------------------------


def claim_desk_record() -> FileLock:
    """Become this user's desk on this machine, until the lock is closed or the process ends.

    Raises:
        StoreError: another desk is; the text names its process and address.
        OutputError: the lock's file cannot be created.
    """
    file = desk_record_file()
    private_folder(file.parent)
    try:
        lock = FileLock(file.with_name(f"{file.name}.lock"))
    except BlockingIOError:
        raise StoreError(_other_desk(_read_record())) from None
    except OSError as error:
        raise OutputError(f"{file}: cannot be locked: {why(error)}") from error
    other = find_local_desk()  # of an older version, which takes no lock
    if other is not None and other.pid != os.getpid():
        lock.close()
        raise StoreError(_other_desk(other))
    return lock


def _other_desk(record: DeskRecord | None) -> str:
    who = "" if record is None else f", process {record.pid} at {record.url}"
    return (
        f"{desk_record_file()}: a desk of this user runs already{who}: stop it, or give this one a "
        "state folder of its own (XDG_STATE_HOME)"
    )


def write_desk_record(url: str, *, database: str = "", certificate: str = "") -> None:
    """Publish that the desk of this process is at `url`.

    Raises:
        OutputError: the file cannot be written.
    """
    record = {"url": url, "pid": os.getpid(), "database": database, "certificate": certificate}
    _write(
        desk_record_file(),
        json.dumps({name: value for name, value in record.items() if value}) + "\n",
    )


def remove_desk_record() -> None:
    """Remove the record of this process's desk; another desk's record stays."""
    if (record := _read_record()) is not None and record.pid == os.getpid():
        with contextlib.suppress(OSError):
            desk_record_file().unlink()


def find_local_desk() -> DeskRecord | None:
    """The desk that runs on this machine. None: there is none, or it does not answer."""
    record = _read_record()
    return record if record and _is_alive(record.pid) and _answers(record) else None


def is_desk_local() -> bool:
    """A desk of this machine is running, judging by its file and its process; it is not contacted."""
    record = _read_record()
    return record is not None and _is_alive(record.pid)


def _read_record() -> DeskRecord | None:
    try:
        record = json.loads(desk_record_file().read_bytes())
        record = DeskRecord(
            url=record["url"],
            pid=record["pid"],
            database=record.get("database", ""),
            certificate=record.get("certificate", ""),
        )
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None
    texts = (record.url, record.database, record.certificate)
    right = all(isinstance(text, str) for text in texts) and type(record.pid) is int
    return record if right and record.pid > 0 else None


def _is_alive(pid: int) -> bool:
    if sys.platform == "win32":  # there is no harmless signal: its answer decides
        return True
    try:
        os.kill(pid, 0)
    except PermissionError:  # another user's process
        return True
    except (OSError, OverflowError):
        return False
    return True


def _answers(record: DeskRecord) -> bool:
    """A desk answers, not another program that has taken its port."""
    if not record.url.startswith(("http://", "https://")):
        return False
    try:
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}),
            urllib.request.HTTPSHandler(context=tls_context(record.url, record.certificate)),
        )
        with opener.open(record.url.rstrip("/") + HEALTH, timeout=LIMIT_S) as answer:
            answer_body = json.loads(answer.read(10_000))
    except (OSError, ValueError, http.client.HTTPException):
        return False
    return isinstance(answer_body, dict) and answer_body.get("alive") is True


def tls_context(url: str, certificate: str = "") -> ssl.SSLContext:
    """Trust the authorities known to this machine (SSL_CERT_FILE too), or only this certificate.

    With a certificate the name is not checked, because a local desk is accessed by an address.
    Without https, it trusts nobody.

    Raises:
        OSError, ValueError: the certificate cannot be read.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if not url.lower().startswith("https:"):
        return context
    if not certificate:
        return ssl.create_default_context()
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    text = Path(certificate).read_text(encoding="ascii")
    end = "-----END CERTIFICATE-----"
    first, _, _ = text.partition(end)  # only the certificate itself, not its signers
    context.load_verify_locations(cadata=first + end + "\n")
    return context


# -- the token -------------------------------------------------------------------------------------


def read_token(environment: Mapping[str, str] | None = None) -> str | None:
    """The token for a desk: from the environment, else from the file. None: there is none."""
    environment = os.environ if environment is None else environment
    return environment.get(TOKEN_VARIABLE, "").strip() or read_secret(token_file())


def need_token() -> str:
    """As `read_token`.

    Raises:
        SettingsError: there is none.
    """
    if (token := read_token()) is None:
        raise SettingsError("--desk", [f"no token: set {TOKEN_VARIABLE}, or write {token_file()}"])
    return token


def own_token() -> str:
    """The token of the file, for the desk to accept; created if missing.

    Raises:
        OutputError: it cannot be written.
    """
    return secret_in(token_file())


def _write(path: Path, text: str) -> None:
    private_folder(path.parent)
    try:
        with replacing(path) as file:
            file.write(text.encode())
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {why(error)}") from error


class DeskEndpoint(NamedTuple):
    """A desk and the token for it."""

    url: str
    token: str
    certificate: str = ""
    """See `vad_agent.client.discovery.tls_context`."""


def find_desk(url: str | None = None) -> DeskEndpoint | None:
    """The desk at `url`, else of this machine. None: no desk, or no token for it. Takes up to 2 s."""

    certificate = ""
    if url is None:
        record = find_local_desk()
        if record is None:
            return None
        url, certificate = record.url, record.certificate
    token = read_token()
    return None if token is None else DeskEndpoint(url, token, certificate)
