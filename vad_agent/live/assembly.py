"""The live parts of one headset, put together; ended in order.

    devices ─> headset, players ─┐                          ┌─> trace, recording, hooks, surface
    keys, inlet, watch ──────────┴─> loop ─> desk ─> session┴─> speaker ─> players
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

from vad_agent.core.call import CallSession
from vad_agent.core.events import Event, Kind
from vad_agent.core.frames import Channel
from vad_agent.live.calls import CallDesk
from vad_agent.live.devices_of import Chosen
from vad_agent.live.hooks import Hooks
from vad_agent.live.inlet import Inlet
from vad_agent.live.log import TraceLog
from vad_agent.live.loop import CONTROL, MONITOR, PROMPT, Loop
from vad_agent.live.options import Options
from vad_agent.live.outlets import Outlet, Outlets
from vad_agent.live.record import Recordings
from vad_agent.live.shown import Shown
from vad_agent.live.speaker import Speaker
from vad_agent.live.status import Command, Status
from vad_agent.live.whereabouts import Whereabouts
from vad_agent.settings import Settings
from vad_agent.sources.headset import SAMPLE_RATE, Headset
from vad_agent.sources.own_prompt import OwnPrompt
from vad_agent.voice.phrases import Phrases
from vad_agent.voice.player import Player
