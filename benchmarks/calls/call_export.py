"""One call written out: to be heard, looked at and replayed.

NAME.wav  NAME.events.jsonl  NAME.truth.json  NAME.trace.jsonl  NAME.html
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import soundfile  # type: ignore[import-untyped]

from benchmarks.accuracy.labels import RATE
from benchmarks.calls import product_run
from benchmarks.calls.evaluation import Fault, evaluate
from benchmarks.calls.render import Pair, RenderedCall, render
from benchmarks.calls.run import Job, made
from vad_agent.core.frames import seconds
from vad_agent.trace.report.builder import ReportBuilder
from vad_agent.trace.trace_format import record


def write(job: Job, folder: Path) -> tuple[list[Path], Sequence[Fault]]:
    """The call's files, and what the product has done wrong."""
    recipe, source = made(job)
    call = render(recipe, source)
    builder = ReportBuilder()
    lines = []
    for action in product_run.actions(call, _watched(call, builder)):
        if (line := record(action)) is not None:
            lines.append(line)
            builder.add(line)
    for timed in product_run.events(call):
        told = timed.event.to_dict() | {"kind": "event", "event": timed.event.kind.value}
        builder.add({"t": seconds(timed.frame)} | told)
    faults = evaluate(call.truth, lines)
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        ".events.jsonl": _lines({"t": seconds(at)} | dict(told) for at, told in recipe.events),
        ".trace.jsonl": _lines(lines),
        ".truth.json": _truth(call, faults),
    }
    paths = [folder / f"{recipe.name}{ending}" for ending in (".wav", *texts, ".html")]
    stereo = np.stack([call.operator, call.client], axis=1)
    soundfile.write(paths[0], stereo, RATE, subtype="PCM_16")
    for path, text in zip(paths[1:-1], texts.values(), strict=True):
        path.write_text(text, encoding="utf-8")
    details = {"Вид": recipe.kind.value, "Шум": recipe.noise}
    builder.write(paths[-1], title=recipe.name, details=details)
    return paths, faults


def _watched(call: RenderedCall, builder: ReportBuilder) -> Iterator[Pair]:
    for operator, client in call.pairs():
        builder.add_frames(operator, client)
        yield operator, client


def _lines(objects: Iterator[dict[str, object]] | list[dict[str, object]]) -> str:
    return "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in objects)


def _truth(call: RenderedCall, faults: Sequence[Fault]) -> str:
    truth = call.truth
    lost = np.flatnonzero(call.lost).tolist()
    content = {
        "faults": [asdict(fault) for fault in faults],
        "speech_s": {
            side.value: [[seconds(first), seconds(last)] for first, last in runs]
            for side, runs in truth.speech.items()
        },
        "due": [asdict(due) for due in truth.due],
        "callback": truth.callback,
        "frames_that_do_not_come": lost,
        "recipe": json.loads(call.recipe.to_json()),
    }
    return json.dumps(content, ensure_ascii=False, indent=1) + "\n"
