"""`vad-agent serve`: reads its arguments and starts `vad_agent.server.process`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vad_agent.cli.terminal import EndedByCtrlC, plain_console

ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="DESK.toml",
        help="The desk's settings: database, dialer, address. Default: all defaults.",
    ),
]


def serve(
    config: ConfigFile = None,
    database: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|URL",
            help="An SQLite file, or postgresql://user@host/database. Default: in the state folder.",
        ),
    ] = None,
    host: Annotated[
        str | None, typer.Option(metavar="HOST", help="Address to listen on. Default: 127.0.0.1.")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(metavar="PORT", min=0, max=65535, help="Default: 8600; 0: any free one."),
    ] = None,
    inbox: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Outbox of this machine's headsets."),
    ] = None,
    node: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Name of this desk, the same at each start. Default: the machine's.",
        ),
    ] = None,
    without_tls: Annotated[
        bool,
        typer.Option(
            "--without-tls",
            help="Listen on HOST without TLS: everybody on the network between can read names, numbers "
            "and passwords.",
        ),
    ] = False,
    log_json: Annotated[
        bool, typer.Option("--log-json", help="The log as JSON, one object per line.")
    ] = False,
) -> None:
    """Run the desk: callbacks with three attempts, never lost; the panel, an HTTP API.

    Headsets of this machine need no settings: the desk reads their outbox. Each start continues where
    the last one ended, however it ended.

    \b
    A single place, where the operator calls by hand:
      vad-agent serve
    A centre with Asterisk:
      vad-agent serve --config desk.toml
    \b
      database = "postgresql://desk@db/callbacks"
      dialer = "asterisk"             # or manual, naumen, webhook, mango
      \\[asterisk]
      url = "http://pbx:8088"
      user = "desk"
      password_file = "ari-password"  # or VAD_AGENT_ASTERISK_PASSWORD
    \b
    Operators and supervisors log in (vad-agent people add), or use the printed link:
      vad-agent people add olga --supervisor
      vad-agent listen --operator anna --desk https://desk.example.ru …
    \b
    The API is at /api/v1 (/api/v1/openapi.json); its token is in the file named at the start.
    """
    from vad_agent.errors import extra

    with extra("callbacks", "vad-agent serve"):
        from vad_agent.cli.serve_pages import DeskPages
        from vad_agent.server.desk_config import DeskConfig
        from vad_agent.server.logging_setup import log_to_stderr
        from vad_agent.server.process import serve as run

    log_to_stderr(as_json=log_json)
    desk = DeskConfig.load(
        config,
        api={"host": host, "port": port, "without_tls": without_tls or None},
        database=database,
        node=node,
        inbox=str(inbox) if inbox else None,
    )
    if run(desk, plain_console(), DeskPages):
        raise EndedByCtrlC
