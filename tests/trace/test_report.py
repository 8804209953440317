"""The report: what a supervisor must find on the page, and what must never be there."""

from __future__ import annotations

import errno
import os
import pickle
import re
import sys
import time
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib import rcParams

from vad_agent.errors import MissingExtra, OutputError, install_extra
from vad_agent.trace.report.builder import ReportBuilder
from vad_agent.trace.report.call_timeline import timeline
from vad_agent.trace.report.drawing import stacked
from vad_agent.trace.report.envelope import BLOCK_FRAMES, Envelope
from vad_agent.trace.report.rows import MAX_ROWS, rows

Record = dict[str, Any]

LOUD = (np.sin(np.arange(160) / 5) * 9_000).astype("<i2").tobytes()
QUIET = bytes(320)


def speech(channel: str, start: float, end: float) -> Record:
    return {"t": end + 0.3, "kind": "speech", "channel": channel, "start_s": start, "end_s": end}


def phase(t: float, name: str) -> Record:
    return {"t": t, "kind": "phase", "phase": name}


def event(t: float, kind: str, /, **more: object) -> Record:
    return {"t": t, "kind": "event", "event": kind} | more


def prompt(started: float | None, silence: float, outcome: str = "said", **more: object) -> Record:
    ended = None if started is None else started + 2.0
    return {
        "t": 30.0 if ended is None else ended,
        "kind": "prompt",
        "id": "not_heard_in_dialogue",
        "text": "Вас не слышно",
        "window_s": [3.0, 4.0],
        "silence_s": silence,
        "started_s": started,
        "ended_s": ended,
        "outcome": outcome,
    } | more


def callback(t: float, kind: str = "callback", **more: object) -> Record:
    return {
        "t": t,
        "kind": kind,
        "reason": "silence_in_dialogue",
        "due_in_s": 0.0,
        "opening": "Здравствуйте, Анна, Интернет-магазин Haieronline",
    } | more


def hangup(t: float, reason: str = "silence_in_dialogue") -> Record:
    return {"t": t, "kind": "hangup", "reason": reason}


SILENT_CLIENT: list[Record] = [
    event(0.0, "answered"),
    phase(0.02, "greeting"),
    speech("operator", 0.6, 4.2),
    speech("client", 5.0, 8.0),
    phase(5.2, "dialogue"),
    {"t": 9.0, "kind": "line", "channel": "client", "state": "digital_zero", "since_s": 8.2},
    prompt(11.5, 3.5),
    prompt(
        16.92, 3.42, "said_by_operator", id="farewell_in_dialogue", window_s=[2.0, 3.0],
        text="Анна, вас не слышно, я вам сейчас перезвоню",
    ),
    callback(18.92),
    hangup(18.92),
    phase(18.92, "ended"),
]  # fmt: skip


def built(records: list[Record], seconds: float = 20.0) -> ReportBuilder:
    builder = ReportBuilder()
    for count in range(round(seconds * 50)):
        builder.add_frames(LOUD if 30 <= count < 210 else QUIET, None if count < 20 else QUIET)
    for record in records:
        builder.add(record)
    return builder


def page_of(records: list[Record], seconds: float = 20.0, **options: Any) -> str:
    given: dict[str, Any] = {"title": "Звонок", "details": {}} | options
    return built(records, seconds).html(**given)


class Cells(HTMLParser):
    """The verdict table as (class of the row, texts of its cells)."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[tuple[str, list[str]]] = []
        self._open = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr" and dict(attrs).get("class"):
            self.rows.append((dict(attrs)["class"] or "", []))
        if tag == "td":
            self.rows[-1][1].append("")
            self._open = True

    def handle_endtag(self, tag: str) -> None:
        if tag == "td":
            self._open = False

    def handle_data(self, data: str) -> None:
        if self._open:
            self.rows[-1][1][-1] += data


def verdicts(page: str) -> list[tuple[str, list[str]]]:
    cells = Cells()
    cells.feed(page)
    return cells.rows


# -- the verdict ----------------------------------------------------------------------------------


def test_each_prompt_has_a_row_with_its_figures() -> None:
    found = [(row, "|".join(cells)) for row, cells in verdicts(page_of(SILENT_CLIENT))]
    assert found == [
        ("ok", "1|«Вас не слышно» в диалогеВас не слышно|0:11,50|3–4 с|3,50 с|сказана|✓ в окне"),
        (
            "bad",
            "2|Прощание в диалогеАнна, вас не слышно, я вам сейчас перезвоню|0:16,92|2–3 с|3,42 с"
            "|сказал оператор|✗ позже окна на 0,42 с",
        ),
    ]


@pytest.mark.parametrize(
    ("record", "row", "why"),
    [
        (prompt(11.0, 3.0), "ok", "✓ в окне"),
        (prompt(11.0, 2.98), "bad", "✗ раньше окна на 0,02 с"),
        (prompt(11.0, 4.0), "ok", "✓ в окне"),
        (prompt(11.0, 4.02), "bad", "✗ позже окна на 0,02 с"),
        (prompt(11.0, 3.5, "interrupted"), "ok", "✓ в окне"),
        (prompt(None, 3.5, "missed"), "bad", "✗ пропущена"),
        (prompt(None, 3.5, "failed"), "bad", "✗ не прозвучала"),
        (prompt(11.0, 3.5, "failed"), "bad", "✗ не прозвучала"),
        (prompt(None, 3.2, "interrupted"), "note", "– не понадобилась"),
    ],
)
def test_the_verdict_at_the_edges_of_the_window(record: Record, row: str, why: str) -> None:
    ((found, cells),) = verdicts(page_of([phase(0.0, "dialogue"), record]))
    assert (found, cells[-1]) == (row, why)


@pytest.mark.parametrize(
    ("records", "summary"),
    [
        (SILENT_CLIENT, 'bad">✗ Не по скрипту 1 из 2 фраз'),
        ([prompt(11.0, 3.5)], 'ok">✓ По скрипту: фраза сказана в своём окне'),
        ([prompt(11.0, 3.5), prompt(18.0, 3.0)], 'ok">✓ По скрипту: в своих окнах 2 фразы'),
        ([speech("client", 1.0, 2.0)], 'note">– Фраз скрипта в этом звонке не понадобилось'),
        ([prompt(11.0, 3.5), hangup(13.0)], 'bad">✗ Перезвон не запрошен'),
    ],
)
def test_the_summary_is_the_first_thing_said(records: list[Record], summary: str) -> None:
    assert f'<p class="verdict {summary}' in page_of(records)


def test_the_ending_tells_the_callback_and_the_alerts() -> None:
    alert = {"t": 5.02, "kind": "alert", "id": "no_greeting"}
    page = page_of([*SILENT_CLIENT, alert])
    assert "<dd>0:18,9, по скрипту: клиента не слышно в диалоге</dd>" in page
    assert "<dd>сразу; причина: клиента не слышно в диалоге</dd>" in page
    assert "<q>Здравствуйте, Анна, Интернет-магазин Haieronline</q>" in page
    assert '<dd class="bad">⚠ 0:05,0: никто не заговорил с начала звонка</dd>' in page


def test_the_last_word_on_the_callback_counts() -> None:
    revised = callback(19.0, "callback_revised", reason="client_hold", due_in_s=90.0)
    withdrawn = {"t": 19.5, "kind": "callback_withdrawn", "reason": "client_hold"}
    page = page_of([*SILENT_CLIENT, revised])
    assert "через 1 мин 30 с; причина: клиент поставил на удержание" in page
    page = page_of([*SILENT_CLIENT, revised, withdrawn])
    assert "отменён: клиент вернулся" in page
    assert "Начать перезвон словами" not in page


@pytest.mark.parametrize(
    ("due_in_s", "at", "told"),
    [
        (None, "2026-05-12T14:30:00+03:00", "12.05.2026 в 14:30 (UTC+03:00)"),
        (None, "после обеда", "после обеда"),
        (None, None, "время не назначено"),
    ],
)
def test_an_agreed_callback_tells_its_time(due_in_s: None, at: str | None, told: str) -> None:
    page = page_of([callback(9.0, reason="agreed", due_in_s=due_in_s, at=at)])
    assert f"<dd>{told}; причина: о перезвоне договорились с клиентом</dd>" in page


def test_a_call_that_the_client_ended() -> None:
    page = page_of([event(9.0, "hangup", party="client"), phase(9.0, "ended")])
    assert "0:09,0, трубку положил(а): клиент" in page
    assert "<dt>Перезвон</dt><dd>не нужен</dd>" in page


# -- the picture ----------------------------------------------------------------------------------


def test_the_picture_names_what_it_shows() -> None:
    page = page_of(SILENT_CLIENT)
    texts = re.findall(r"<text[^>]*>([^<]+)</text>", page)
    for text in ("Оператор", "Клиент", "приветствие", "диалог", "ответ", "цифровой ноль"):
        assert text in texts
    assert "✓ «Вас не слышно» в диалоге" in texts
    assert "✗ Прощание в диалоге: позже окна на 0,42 с" in texts
    assert "✗ 3,42" in texts
    assert "перезвон сразу · завершение" in texts  # one moment, in the order of the trace
    assert 'aria-label="Звонок, 0:00–0:20. 1. «Вас не слышно» в диалоге: в окне; 2.' in page


def test_what_is_wrong_is_hatched_and_not_only_red() -> None:
    talk = [phase(0.0, "dialogue"), speech("client", 1.0, 7.5)]
    right = page_of([*talk, prompt(11.0, 3.5)])
    wrong = page_of([*talk, prompt(12.0, 4.5)])
    assert "<pattern" not in right
    assert "<pattern" in wrong
    assert "stroke-dasharray" not in right
    assert "stroke-dasharray" in wrong


def test_the_clock_falls_to_zero_at_each_sound_and_stops_with_the_call() -> None:
    call = timeline(SILENT_CLIENT, 20.0)
    assert [(sweep.start, sweep.end) for sweep in call.silences] == [
        (0.0, 0.6),
        (4.2, 5.0),
        (8.0, 11.5),
        (13.5, 16.92),
    ]


def test_the_clock_stands_while_the_watch_is_paused() -> None:
    call = timeline([event(2.0, "pause"), event(7.0, "resume"), event(8.0, "pause")], 10.0)
    assert [(sweep.start, sweep.end) for sweep in call.silences] == [(0.0, 2.0), (7.0, 8.0)]


def test_a_hold_has_a_clock_of_its_own_from_its_true_start() -> None:
    farewell = prompt(60.5, 60.5, id="hold_farewell", window_s=[60.0, 61.0])
    call = timeline([phase(2.0, "on_hold"), farewell, phase(62.5, "ended")], 70.0)
    (hold,) = call.holds  # the music began at 0, it was known at 2
    assert (hold.start, hold.end, hold.origin) == (2.0, 62.5, 0.0)
    assert call.prompts[0].of_hold
    page = page_of([phase(2.0, "on_hold"), farewell, phase(62.5, "ended")], 70.0)
    assert ">Удержание, с</text>" in page
    assert "<small>удержания</small>" in page


def test_a_line_has_its_state_since_it_began_not_since_it_was_noticed() -> None:
    (span,) = timeline(SILENT_CLIENT, 20.0).lines["client"]
    assert (span.start, span.end, span.name) == (8.2, 20.0, "digital_zero")


def test_labels_never_cover_each_other() -> None:
    labels = stacked([(100, 150, 200), (160, 200, 100), (170, 180, 50), (1100, 1140, 90)], 3)
    placed = [(label.level, label.align) for label in labels if label]
    assert placed == [(0, "left"), (1, "left"), (2, "left"), (0, "right")]
    assert stacked([(100, 150, 200), (160, 200, 100)], 1)[1] is None


@pytest.mark.parametrize(
    ("seconds", "row_seconds", "count"),
    [(0.5, 1.0, 1), (59, 59, 1), (61, 35, 2), (1_800, 60, 30), (1_801, 115, 16), (9_000, 300, 30)],
)
def test_rows_of_even_length(seconds: float, row_seconds: float, count: int) -> None:
    drawn = rows(timeline([], seconds))
    assert (drawn.seconds, len(drawn.shown), drawn.total) == (row_seconds, count, count)


def test_of_a_very_long_call_only_what_happened_is_drawn() -> None:
    happened = [prompt(7_210.0, 3.5), {"t": 20_000.0, "kind": "alert", "id": "no_greeting"}]
    talk = [speech("client", at, at + 3.0) for at in range(0, 36_000, 10)]
    drawn = rows(timeline([*talk, *happened], 36_000.0))
    assert [(row.start, row.end) for row in drawn.shown] == [(7_200, 7_260), (19_980, 20_040)]
    assert drawn.only_speech_left_out
    page = ReportBuilder()
    for record in (*talk, *happened):
        page.add(record)
    html = page.html(title="Смена", details={})
    assert "показано 2 из 600 строк по 1 мин, пропущено 598; в остальных была только речь" in html
    assert "⋯ пропущено 2 ч</p>" in html


def test_of_too_many_events_the_weightiest_rows_stay() -> None:
    good = [prompt(at + 100.0, 3.5) for at in range(0, 36_000, 300)]
    late = [prompt(at + 200.0, 9.0) for at in range(30_000, 33_000, 300)]
    drawn = rows(timeline([*good, *late], 36_000.0))
    assert len(drawn.shown) == MAX_ROWS
    assert not drawn.only_speech_left_out
    assert {row.start for row in drawn.shown} >= set(range(30_000, 33_000, 300))


def test_nothing_at_all_is_still_a_page() -> None:
    page = ReportBuilder().html(title="Пусто", details={})
    assert "Фраз скрипта в этом звонке не понадобилось" in page
    assert page.count("<svg") == 2


# -- the envelope ---------------------------------------------------------------------------------


def test_the_envelope_keeps_the_extremes_of_every_frame() -> None:
    envelope = Envelope()
    frames = [np.full(160, count, dtype="<i2") for count in range(BLOCK_FRAMES + 3)]
    frames[7][5] = -32_768
    for frame in frames:
        envelope.add(frame.tobytes())
    envelope.add(None)
    assert len(envelope) == BLOCK_FRAMES + 4
    times, lows, highs = envelope.columns(0.0, 1_000.0, 10_000)
    assert lows[7] == -32_768
    assert list(highs[:3]) == [0, 1, 2]
    assert (lows[-2], highs[-1]) == (BLOCK_FRAMES + 2, 0)
    assert times[1] == pytest.approx(0.03)


def test_a_click_is_not_lost_in_a_wide_column() -> None:
    envelope = Envelope()
    for count in range(3_000):
        envelope.add(LOUD if count == 1_234 else QUIET)
    _, lows, highs = envelope.columns(0.0, 60.0, 100)
    assert (lows.min() < -8_000, highs.max() > 8_000, len(highs)) == (True, True, 100)


def test_frames_may_change_their_size() -> None:
    envelope = Envelope()
    for frame in (None, QUIET, LOUD + LOUD, None):
        envelope.add(frame)
    assert len(envelope.columns(0.0, 1.0, 50)[0]) == 4


def test_ten_hours_stay_small() -> None:
    builder = ReportBuilder()
    began = time.perf_counter()
    for count in range(36_000 * 50):
        builder.add_frames(LOUD if count % 3 else QUIET, LOUD if count % 5 else None)
    taken = time.perf_counter() - began
    unreduced = 200_000
    assert len(pickle.dumps(builder)) <= 36_000 * 50 * 2 * 4 + unreduced
    assert taken / (36_000 * 50) < 20e-6  # a thousandth of a frame; it is a thirtieth of that
    for at in range(0, 36_000, 5):
        builder.add(speech("operator" if at % 2 else "client", at, at + 3.3))
    for at in range(0, 36_000, 120):
        builder.add(prompt(at + 50.0, 3.5))
        builder.add(event(at + 40.0, "pause"))
        builder.add(event(at + 45.0, "resume"))
    page = builder.html(title="Смена", details={})
    assert page.count("<figure>") == MAX_ROWS + 1
    assert len(page.encode()) < 5_000_000


# -- what leaves the house ------------------------------------------------------------------------


def test_names_are_masked_everywhere() -> None:
    page = page_of(
        [*SILENT_CLIENT, event(6.0, "client_name", name="Мария"), prompt(26.0, 3.5, text="мария!")],
        title="Звонок: анна",
        details={"Файл Анны": "Анна.wav"},
        mask_names=["Анна", " ", "Ян"],
    )
    assert not re.search(r"анна\b|мария", page, re.IGNORECASE)
    assert "***, вас не слышно, я вам сейчас перезвоню" in page
    assert "Здравствуйте, ***, Интернет-магазин" in page
    assert "***.wav" in page


def test_a_name_is_masked_as_a_whole_word() -> None:
    page = page_of([prompt(11.0, 3.5, text="Ян, январь, Яна (Ян)")], mask_names=["Ян"])
    assert "<q>***, январь, Яна (***)</q>" in page


def test_phones_and_other_fields_of_events_never_show() -> None:
    told = event(6.0, "callback_agreed", name="Пётр", phone="+79990001122", topic="возврат")
    page = page_of([told])
    assert "договорились о перезвоне" in page
    for secret in ("Пётр", "9990001122", "возврат"):
        assert secret not in page


def test_texts_from_outside_are_escaped() -> None:
    evil = '<script>alert("1")</script>&'
    page = page_of(
        [
            phase(0.0, evil),
            prompt(11.0, 3.5, text=evil, id=evil, outcome=evil),
            callback(14.0, opening=evil, reason=evil),
            hangup(14.0, evil),
            {"t": 3.0, "kind": "alert", "id": evil},
            {"t": 3.0, "kind": "line", "channel": "client", "state": evil, "since_s": 1.0},
        ],
        title=evil,
        details={evil: evil},
    )
    assert "<script" not in page
    assert "&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&amp;" in page


def test_dollars_are_not_mathematics() -> None:
    alert = {"t": 3.0, "kind": "alert", "id": "a $x^2$ {b} $"}
    assert "⚠ a $x^2$ {b} $</text>" in page_of([alert])


def test_the_page_needs_nothing_else() -> None:
    page = page_of(SILENT_CLIENT)
    links = re.findall(r'\b(?:src|href|xlink:href|data)\s*=\s*"([^"]*)"', page)
    assert all(link.startswith("#") for link in links)
    addresses = set(re.findall(r'https?://[^"\s<)]*', page))
    assert addresses == {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert "url(" not in re.sub(r"url\(#\w+\)", "", page)
    assert "@import" not in page
    for reference in re.findall(r"url\(#(\w+)\)", page):
        assert page.count(f'id="{reference}"') == 1
    assert page.startswith('<!DOCTYPE html>\n<html lang="ru">')
    assert "@media print" in page
    assert page.count("<style>") == 1  # none of matplotlib's, which would hold for all the page


def test_the_same_call_gives_the_same_bytes(tmp_path: Path) -> None:
    pages = []
    for name in ("one.html", "two.html"):
        built(SILENT_CLIENT).write(tmp_path / name, title="Звонок", details={"Режим": "auto"})
        pages.append((tmp_path / name).read_bytes())
    assert pages[0] == pages[1]
    assert pages[0].decode() == page_of(SILENT_CLIENT, details={"Режим": "auto"})


def test_the_settings_of_matplotlib_are_left_as_they_were() -> None:
    def settings() -> dict[str, Any]:
        # Asked for its backend, matplotlib chooses one, and loads pyplot for it.
        return {name: rcParams[name] for name in rcParams if name != "backend"}

    before = settings()
    page_of(SILENT_CLIENT)
    assert settings() == before


def test_a_clock_that_disagrees_with_the_sound_is_drawn_beside_it() -> None:
    agreeing = [speech("client", 1.0, 7.5), prompt(11.0, 3.5)]
    disagreeing = [speech("client", 1.0, 9.5), prompt(11.0, 3.5)]
    assert "stroke-dasharray" not in page_of(agreeing)
    assert "stroke-dasharray" in page_of(disagreeing)


# -- writing --------------------------------------------------------------------------------------


def write(path: Path) -> None:
    ReportBuilder().write(path, title="Звонок", details={})


@pytest.mark.parametrize(
    ("name", "why"),
    [("missing/report.html", "No such file"), ("", "directory"), ("x" * 300, "name too long")],
)
def test_a_path_that_cannot_be_written(tmp_path: Path, name: str, why: str) -> None:
    with pytest.raises(OutputError, match=f"(?i){why}") as caught:
        write(tmp_path / name)
    assert str(caught.value).startswith(f"{tmp_path / name}: cannot write the report: ")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def full_disk(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def pulled_plug(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("fault", "raised"), [(full_disk, OutputError), (pulled_plug, KeyboardInterrupt)]
)
@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_failed_write_leaves_the_older_report(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    fault: Callable[..., None],
    raised: type[BaseException],
) -> None:
    report = tmp_path / "report.html"
    report.write_text("older")
    monkeypatch.setattr(f"vad_agent.common.private_files.os.{call}", fault)
    with pytest.raises(raised) as caught:
        write(report)
    if raised is OutputError:
        assert str(caught.value) == f"{report}: cannot write the report: No space left on device"
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    assert report.read_text() == "older"


def test_a_report_is_readable_as_any_new_file(tmp_path: Path) -> None:
    write(tmp_path / "report.html")
    (tmp_path / "plain").touch()
    modes = {path.stat().st_mode for path in tmp_path.iterdir()}
    assert len(modes) == 1


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtra, match=re.escape(install_extra("report"))) as caught:
        ReportBuilder()
    assert str(caught.value).startswith("--report needs matplotlib")
