"""Renders the status as lines of text for a window of any size. Independent of the terminal.

From the top: the state of the call, why the product does not speak, the question after a call, both
sides, the silence against its window, the prompt, the callback; then the last messages in the remaining
space; at the bottom the keys or the typed text. Colour only repeats what the text says.
"""

from __future__ import annotations

from dataclasses import dataclass

from rich.cells import cell_len
from rich.text import Text

from vad_agent.audio.device_recovery import DeviceState
from vad_agent.common.live_screen import labelled, safe
from vad_agent.core.actions import Phase
from vad_agent.core.frames import Channel
from vad_agent.headset import messages_ru
from vad_agent.headset.keymap import in_call, key_list
from vad_agent.headset.status import PhraseStatus, SideStatus, Status

FLOOR_DB = -60.0
"""The bar's left end, dBFS; its right end is 0."""
LABEL = 8
"""Columns of the labels at the left."""
NARROW = 80
"""Columns below which bars are short."""
ROOMY = 20
"""Rows from which blocks are separated by blank lines."""
STYLES = {"speech": "bold green", "quiet": "", "odd": "yellow", "bad": "bold red"}


@dataclass(frozen=True, slots=True)
class Marks:
    """Characters of which bars are drawn."""

    full: str = "█"
    empty: str = "·"
    rule: str = "─"


ASCII = Marks("#", ".", "-")


def render(
    status: Status,
    width: int,
    height: int,
    prompt: str | None = "",
    marks: Marks | None = None,
) -> list[Text]:
    """Render at most `height` lines, none wider than `width` columns.

    `prompt`: the operator's input or a question, instead of the list of keys; None: no keys.
    """
    width, height, marks = max(width, 20), max(height, 1), marks or Marks()
    roomy = height >= ROOMY
    gap = [Text()] if roomy else []
    top = [_header(status, width)]
    if roomy:
        top.append(Text(marks.rule * width, "dim"))
    for text in messages_ru.voice_alarms(status):
        top += _wrapped(text, width, STYLES["bad"])
    top += _headset_question(status, width)
    top += _farewell_question(status, width)
    panel = _panel(status.panel, width)
    if (
        status.phase is None
    ):  # between calls the operator reads it; during a call, only if there is room
        top += panel
    top += [_side(channel, status.sides[channel], width, marks) for channel in ORDER]
    top += [*gap, _clock(status, width, marks)]
    if status.phrase is not None:
        top += [*gap, *_phrase(status.phrase, width)]
    if status.callback is not None:
        top += [*gap, *_wrapped(status.callback, width, "bold magenta")]
    if prompt is None:
        bottom = [Text("клавиш нет: ввод не с терминала. Ctrl-C: выход", "dim")]
    elif prompt:
        bottom = _wrapped(prompt, width, "bold yellow")
    else:
        bottom = _keys(status, width)
    if (counted := _counters(status)) and len(top) + len(bottom) < height:
        bottom.insert(0, Text(counted, "dim"))
    if status.phase is not None and len(top) + len(bottom) + len(panel) < height:
        bottom[:0] = panel
    if roomy:
        bottom.insert(0, Text(marks.rule * width, "dim"))
    if prompt:  # the typed text has priority
        top = top[: max(1, height - len(bottom))]
    bottom = bottom[: max(0, height - len(top))]
    room = height - len(top) - len(bottom)
    messages = _messages(status, width, room - len(gap))
    if messages and gap:
        messages.insert(0, Text())
    between = [Text()] * max(0, room - len(messages))
    lines = [*top, *messages, *between, *bottom][:height]
    for line in lines:
        line.truncate(width, overflow="ellipsis")
    return lines


ORDER = (Channel.OPERATOR, Channel.CLIENT)


def _header(status: Status, width: int) -> Text:
    style = "bold" if status.phase is not Phase.ON_HOLD else "bold yellow"
    line = Text(" " if status.hang_up else "").append(messages_ru.headline(status), style)
    if status.phase is not None:
        line.append(f"  {messages_ru.clock(status.call_s)}")
        if status.client_name:
            line.append(f"  {safe(status.client_name)}", "bold cyan")
    if status.guessed:
        line.append(f"  {messages_ru.GUESSED}", "yellow")
    if status.hang_up:  # a bar over the whole width
        return Text(f"{line.plain:<{width}}", "bold red reverse")
    mode = messages_ru.mode(status)
    if (room := width - line.cell_len - len(mode)) >= 2:
        line.append(" " * room + mode, "dim")
    return line


def _farewell_question(status: Status, width: int) -> list[Text]:
    if not status.questions or in_call(status):
        return []
    asked, *others = status.questions
    more = f" (и ещё {len(others)})" if others else ""
    text = f"{messages_ru.answers()}. {messages_ru.unless_answered(asked)}"
    return [
        *_wrapped(f"{messages_ru.question(asked)}{more}", width, "bold yellow reverse"),
        *_wrapped(text, width, "bold yellow"),
    ]


def _headset_question(status: Status, width: int) -> list[Text]:
    if (asked := status.headset_question) is None:
        return []
    text = f"Г: {messages_ru.ADMIT}. {messages_ru.unless_admitted()}"
    return [
        *_wrapped(messages_ru.headset_question(asked), width, "bold yellow reverse"),
        *_wrapped(text, width, "bold yellow"),
    ]


def _panel(link: str, width: int) -> list[Text]:
    if not link:
        return []
    return labelled("Панель" if width >= 3 * LABEL else "", link, LABEL, width)


def _side(channel: Channel, side: SideStatus, width: int, marks: Marks) -> Text:
    """`Клиент  ███·······  линия мертва: ровно нули`."""
    text, kind = messages_ru.state(channel, side)
    cells = 12 if width < NARROW else 24
    share = (side.level_db - FLOOR_DB) / -FLOOR_DB if side.state is DeviceState.OPEN else 0.0
    filled = round(max(0.0, min(1.0, share)) * cells)
    line = Text().append(f"{messages_ru.SIDES[channel]:<{LABEL}}", "bold")
    line.append(marks.full * filled, "green" if side.speaking else "cyan")
    line.append(marks.empty * (cells - filled), "dim")
    line.append(f"  {text}", STYLES[kind])
    lost = side.state is DeviceState.LOST
    if side.device and (lost or (width >= NARROW and side.state is DeviceState.OPEN)):
        line.append(f"  ({safe(side.device)})", "dim")
    return line


def _clock(status: Status, width: int, marks: Marks) -> Text:
    """`Тишина  ████████[██··]··  2,1 с из 2–3 с`."""
    line = Text().append(f"{'Держат' if status.held else 'Тишина':<{LABEL}}", "bold")
    if (why := messages_ru.stands_still(status)) is not None:
        text, odd = why
        return line.append(text, "bold yellow" if odd else "dim")
    silence = status.silence_s or 0.0
    if status.window_s is None:
        return line.append(f"{messages_ru.tenths(silence)}  ").append("фраза не нужна", "dim")
    lo, hi = status.window_s
    late = silence > hi
    style = "cyan" if silence < lo else "bold red" if late else "bold green"
    cells = 20 if width < NARROW else 40
    for part, style_of_part in _window_bar(silence, lo, hi, cells, marks, style):
        line.append(part, style_of_part)
    line.append(f"  {messages_ru.tenths(silence)}", style)
    line.append(f" из {messages_ru.window(lo, hi)}")
    if late:
        line.append("  окно прошло", style)
    return line


def _window_bar(
    silence: float, lo: float, hi: float, cells: int, marks: Marks, style: str
) -> list[tuple[str, str]]:
    """Cells from 0 to a little past the window; brackets mark the window's ends."""
    whole = hi * 1.15
    first = min(cells - 4, round(lo / whole * cells))
    last = min(cells - 2, max(first + 2, round(hi / whole * cells)))
    filled = min(cells, int(silence / whole * cells))
    parts: list[tuple[str, str]] = []
    for cell in range(cells):
        if cell in (first, last):
            parts.append(("[" if cell == first else "]", "bold"))
        elif cell < filled:
            parts.append((marks.full, style))
        else:
            parts.append((marks.empty, "dim"))
    return parts


def _phrase(phrase: PhraseStatus, width: int) -> list[Text]:
    """A cue is big: a bar over the whole width, with the prompt below."""
    text = f"«{phrase.text}»"
    if phrase.state != "cue":
        title = messages_ru.PHRASES.get(phrase.state)
        if title is None:  # not due yet
            title = f"Фраза {messages_ru.countdown(phrase.from_s, phrase.to_s)}"
        return _wrapped(f"{title}: {text}", width, "bold cyan")
    open_now = phrase.from_s <= 0 <= phrase.to_s
    style = "bold green reverse" if open_now else "bold red reverse"
    if phrase.from_s > 0:
        title, style = f"СКАЖИТЕ через {messages_ru.tenths(phrase.from_s)}", "bold yellow reverse"
    elif open_now:
        title = f"СКАЖИТЕ СЕЙЧАС, ещё {messages_ru.tenths(phrase.to_s)}"
    else:
        title = f"СКАЖИТЕ, опоздание {messages_ru.tenths(-phrase.to_s)}"
    bar = Text(f" {title} ", style)
    bar.append(" " * max(0, width - bar.cell_len), style)
    return [bar, *_wrapped(text, width, "bold")]


def _messages(status: Status, width: int, room: int) -> list[Text]:
    """The newest messages that fit, the newest last."""
    if room <= 0:
        return []
    lines: list[Text] = []
    for at, what in tuple(status.messages):
        line = Text().append(f"{messages_ru.clock(at):>{LABEL - 2}}  ", "dim")
        line.append(safe(what))
        lines.append(line)
    return lines[-room:]


def _counters(status: Status) -> str:
    text = [
        f"{messages_ru.SIDES[channel].lower()}: {counted}"
        for channel in ORDER
        if (counted := messages_ru.counters(status.sides[channel]))
    ]
    return "кадры — " + "; ".join(text) if text else ""


def _keys(status: Status, width: int) -> list[Text]:
    """The active keys, in as many rows as needed."""
    rows = [Text()]
    for letter, name in key_list(status):
        size = len(letter) + 1 + len(name)
        if rows[-1] and rows[-1].cell_len + 2 + size > width:
            rows.append(Text())
        if rows[-1]:
            rows[-1].append("  ")
        rows[-1].append(letter, "bold reverse").append(f" {name}")
    return rows


def _wrapped(text: str, width: int, style: str) -> list[Text]:
    """Words on as many lines as needed; a long word is split."""
    rows: list[str] = [""]
    for word in safe(text).split():
        if rows[-1] and cell_len(rows[-1]) + 1 + cell_len(word) > width:
            rows.append("")
        rows[-1] = f"{rows[-1]} {word}" if rows[-1] else word
    return [Text(row, style) for row in rows]
