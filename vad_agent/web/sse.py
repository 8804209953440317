"""What a page follows, as server-sent events: the whole state first, then what changes.

    retry: 1000
    data: {"phase": "dialogue", …}
    data: {"callbacks": 17}             this number has grown: ask for them; where it is told, seldom else
    data: {}                            a sign of life

An event's data is one line of JSON: no letter of a client's name can end it.
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
    """Until the page goes, the broker closes or its session is over, which the heartbeat notices.

    `news`: the number of the last change of his callbacks; None: nobody knows.
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
