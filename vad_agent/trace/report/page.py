"""The page around the picture: first the verdict, then the decisions, then the call itself.

One self-contained HTML file: no script, no network, no fonts. Every external text is masked, then
escaped, only in this module.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from vad_agent.trace import labels_ru
from vad_agent.trace.report.call_timeline import PromptSpan, Timeline, TraceRecord
from vad_agent.trace.report.canvas import VERDICT_SIGNS as SIGNS
from vad_agent.trace.report.rows import Rows
from vad_agent.trace.window_compliance import Verdict

STYLE = """
:root { --ink: #1c2733; --soft: #5d6b78; --rule: #d5dbe1; --ok: #17703f; --bad: #b3261e; }
* { box-sizing: border-box; }
body, svg text { font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans",
  "Liberation Sans", sans-serif !important; }
body { margin: 0 auto; max-width: 1216px; padding: 40px 32px 64px; font-size: 16px;
  line-height: 1.5; color: var(--ink); background: #fff; }
h1 { margin: 0 0 8px; font-size: 30px; line-height: 1.2; font-weight: 650; }
h2 { margin: 48px 0 14px; font-size: 20px; font-weight: 650; }
.details { margin: 0; color: var(--soft); font-size: 14px; }
.details span { margin-right: 22px; overflow-wrap: anywhere; }
.verdict { margin: 28px 0 20px; padding: 14px 20px; font-size: 19px; font-weight: 600;
  border: 2px solid; border-left-width: 10px;
  border-radius: 4px; }
.verdict.ok { color: var(--ok); background: #f1f9f4; }
.verdict.bad { color: var(--bad); background: #fdf3f2;
  border-style: dashed; border-left-style: solid; }
.verdict.note { color: var(--soft); background: #f7f8f9; }
.wide { overflow-x: auto; }
table { width: 100%; border-collapse: collapse; }
th { padding: 8px 12px; text-align: left; font-size: 13px; font-weight: 600; color: var(--soft);
  border-bottom: 2px solid var(--rule); white-space: nowrap; }
td { padding: 12px; vertical-align: top; border-bottom: 1px solid var(--rule); }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td q { display: block; color: var(--soft); quotes: none; font-size: 15px; }
tr td:first-child { border-left: 6px solid transparent; }
tr.ok td:first-child { border-left-color: var(--ok); }
tr.bad td:first-child { border-left: 6px double var(--bad); }
tr.bad { background: #fdf3f2; }
td.mark { font-weight: 650; min-width: 11.5em; }
tr.ok td.mark { color: var(--ok); }
tr.bad td.mark { color: var(--bad); }
tr.note td.mark { color: var(--soft); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 10px 28px; margin: 0; }
dt { color: var(--soft); }
dd { margin: 0; }
dd.bad { color: var(--bad); font-weight: 600; }
dd q { quotes: "«" "»"; }
figure { margin: 0 0 26px; }
figure svg { display: block; width: 100%; min-width: 860px; height: auto; }
svg text { paint-order: stroke; stroke: rgb(255 255 255 / .85); stroke-width: 3px; }
svg text[style*="fill: #ffffff"] { stroke: none; }
svg * { stroke-linejoin: round; stroke-linecap: butt; }
.left-out { margin: 0 0 26px; padding: 4px 0 4px 84px; color: var(--soft); font-size: 14px;
  border-block: 1px dashed var(--rule); }
.hint { margin: 0 0 18px; max-width: 78ch; color: var(--soft); }
@media print {
  @page { size: A4 landscape; margin: 12mm; }
  body { max-width: none; padding: 0; font-size: 11pt; }
  h1 { font-size: 20pt; }
  h2 { margin-top: 24pt; break-after: avoid; }
  figure, tr, dl { break-inside: avoid; }
  figure svg { min-width: 0; }
  .wide { overflow: visible; }
  * { -webkit-print-color-adjust: exact; print-color-adjust: exact; }
}
"""


def page(
    call: Timeline,
    drawn: Rows,
    pictures: Sequence[str],
    legend: str,
    *,
    title: str,
    details: Mapping[str, str],
    mask: labels_ru.NameMask,
) -> str:
    """The whole page. `pictures` are the rows' SVGs; they name prompts but quote no texts."""

    def said(text: str) -> str:
        return escape(mask(text))

    facts = {"Длительность": labels_ru.clock(call.duration), **details}
    listed = " ".join(f"<span>{said(key)}: {said(text)}</span>" for key, text in facts.items())
    return f"""<!DOCTYPE html>
<html lang="ru">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{said(title)}</title>
<style>{STYLE}</style>
</head>
<body>
<header>
<h1>{said(title)}</h1>
<p class="details">{listed}</p>
</header>
<main>
{_summary(call)}
{_table(call.prompts, mask)}
<h2>Чем закончилось</h2>
{_ending(call, mask)}
<h2>Ход звонка</h2>
<p class="hint">Время идёт слева направо. Пила внизу – сколько секунд никого не слышно: она падает
в ноль, когда кто-то заговорил. Полоса поперёк неё – окно фразы, точка – её первый звук. Номера фраз
те же, что в таблице.</p>
<figure>{legend}</figure>
{_rows(call, drawn, pictures)}
</main>
</body>
</html>
"""


def _summary(call: Timeline) -> str:
    bad = sum(prompt.verdict is Verdict.BAD for prompt in call.prompts)
    good = sum(prompt.verdict is Verdict.OK for prompt in call.prompts)
    faults = []
    if bad:
        counted = labels_ru.many(len(call.prompts), "фразы", "фраз", "фраз")
        faults.append(f"не по скрипту {bad} из {counted}")
    if _callback_missing(call):
        faults.append("перезвон не запрошен")
    if faults:
        text = "; ".join(faults)
        return _verdict(Verdict.BAD, text[0].upper() + text[1:])
    if good == 1:
        return _verdict(Verdict.OK, "По скрипту: фраза сказана в своём окне")
    if good:
        counted = labels_ru.many(good, "фраза", "фразы", "фраз")
        return _verdict(Verdict.OK, f"По скрипту: в своих окнах {counted}, вне окон ни одной")
    return _verdict(Verdict.NOTE, "Фраз скрипта в этом звонке не понадобилось")


def _verdict(verdict: Verdict, text: str) -> str:
    return f'<p class="verdict {verdict}">{SIGNS[verdict]} {text}</p>'


def _table(prompts: Sequence[PromptSpan], mask: labels_ru.NameMask) -> str:
    if not prompts:
        return ""
    rows = "\n".join(_prompt(prompt, mask) for prompt in prompts)
    return f"""<div class="wide"><table>
<thead><tr><th class="n">№</th><th>Фраза</th><th class="n">Начало</th><th class="n">Окно</th>
<th class="n">Тишина до неё</th><th>Исход</th><th>По скрипту</th></tr></thead>
<tbody>
{rows}
</tbody></table></div>"""


def _prompt(prompt: PromptSpan, mask: labels_ru.NameMask) -> str:
    heard = prompt.started is not None
    began = labels_ru.clock(prompt.started, 2) if prompt.started is not None else "–"
    silence = f"{labels_ru.number(prompt.silence)} с" if heard else "–"
    unit = "<br><small>удержания</small>" if prompt.of_hold else ""
    outcome = labels_ru.OUTCOMES.get(prompt.outcome, prompt.outcome)
    return (
        f'<tr class="{prompt.verdict}"><td class="n">{prompt.number}</td>'
        f"<td><strong>{escape(prompt.name)}</strong><q>{escape(mask(prompt.text))}</q></td>"
        f'<td class="n">{began}</td>'
        f'<td class="n">{labels_ru.window(prompt.lo, prompt.hi)}{unit}</td>'
        f'<td class="n">{silence}</td><td>{escape(outcome)}</td>'
        f'<td class="mark">{SIGNS[prompt.verdict]} {escape(prompt.why)}</td></tr>'
    )


def _callback_missing(call: Timeline) -> bool:
    """Every end of a call by the product requires a callback."""
    return call.hangup is not None and call.callback is None


def _ending(call: Timeline, mask: labels_ru.NameMask) -> str:
    items = [("Завершение", "", _ended(call))]
    if _callback_missing(call):
        items.append(("Перезвон", "bad", "✗ не запрошен"))
    elif call.callback is None:
        items.append(("Перезвон", "", "не нужен"))
    else:
        due = labels_ru.due(call.callback["due_in_s"], call.callback.get("at"))
        reason = _reason(call.callback)
        if call.withdrawn:
            text = f"отменён: клиент вернулся (был запрошен {due}: {reason})"
        else:
            text = f"{due}; причина: {reason}"
        items.append(("Перезвон", "", escape(mask(text))))
        if not call.withdrawn:
            opening = escape(mask(str(call.callback["opening"])))
            items.append(("Начать перезвон словами", "", f"<q>{opening}</q>"))
    for alert in call.alerts:
        found = (
            f"⚠ {labels_ru.clock(alert['t'], 1)}: {labels_ru.ALERTS.get(alert['id'], alert['id'])}"
        )
        items.append(("Внимание", "bad", escape(mask(found))))
    listed = "\n".join(
        f'<dt>{name}</dt><dd class="{kind}">{text}</dd>'
        if kind
        else f"<dt>{name}</dt><dd>{text}</dd>"
        for name, kind, text in items
    )
    return f"<dl>\n{listed}\n</dl>"


def _ended(call: Timeline) -> str:
    if call.hangup is not None:
        return f"{labels_ru.clock(call.hangup['t'], 1)}, по скрипту: {escape(_reason(call.hangup))}"
    if call.left_by is not None:
        party = labels_ru.PARTIES.get(call.left_by.get("party") or "", "неизвестно кто")
        return f"{labels_ru.clock(call.left_by['t'], 1)}, трубку положил(а): {party}"
    ended = next((span for span in call.phases if span.name == "ended"), None)
    if ended is not None:
        return labels_ru.clock(ended.start, 1)
    return "запись кончилась раньше звонка"


def _reason(record: TraceRecord) -> str:
    return labels_ru.REASONS.get(record["reason"], str(record["reason"]))


def _rows(call: Timeline, drawn: Rows, pictures: Sequence[str]) -> str:
    parts = []
    left_out = drawn.total - len(drawn.shown)
    if left_out:
        rest = (
            "в остальных была только речь"
            if drawn.only_speech_left_out
            else "показаны те, где случилось самое важное"
        )
        shown = f"{len(drawn.shown)} из {labels_ru.many(drawn.total, 'строки', 'строк', 'строк')}"
        parts.append(
            f'<p class="hint">Звонок длинный: показано {shown}'
            f" по {labels_ru.lasting(drawn.seconds)}, пропущено {left_out}; {rest}.</p>"
        )
    at = 0.0
    for row, picture in zip(drawn.shown, pictures, strict=True):
        parts += [_gap(row.start - at), f"<figure>{picture}</figure>"]
        at = row.end
    parts.append(_gap(call.duration - at))
    return "\n".join(part for part in parts if part)


def _gap(seconds: float) -> str:
    return (
        f'<p class="left-out">⋯ пропущено {labels_ru.lasting(seconds)}</p>'
        if seconds > 0.01
        else ""
    )
