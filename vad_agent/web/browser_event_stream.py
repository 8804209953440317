"""Server-sent events of a page: the whole state first, then changes.

    retry: 1000
    data: {"phase": "dialogue", …}
    data: {"callbacks": 17}             this number has grown: query them; without it, poll slowly
    data: {}                            heartbeat

An event's data is one line of JSON, so that no character of a client's name can end it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from vad_agent.web.state_broker import HEARTBEAT_S, StateBroker

MEDIA_TYPE = "text/event-stream"
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
RETRY_MS = 1000


async def events(
    broker: StateBroker,
    operator: str,
    is_on: Callable[[], bool],
    heartbeat_s: float = HEARTBEAT_S,
    news: Callable[[], int] | None = None,
) -> AsyncGenerator[bytes, None]:
    """Yield events until the page disconnects, the broker closes, or a heartbeat finds that the
    session is over.

    `news`: the number of the last change of the operator's callbacks; None: unknown.
    """
    yield f"retry: {RETRY_MS}\n\n".encode()
    known = None
    async with aclosing(broker.follow(operator, heartbeat_s=heartbeat_s)) as told:
        async for state in told:
            if not is_on():
                return
            if news is not None and (last := news()) != known:
                known = last
                yield f'data: {{"callbacks":{last}}}\n\n'.encode()
            yield f"data: {state}\n\n".encode(errors="replace")
