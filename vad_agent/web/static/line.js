// The line: the clock of the silence with the bar of its window, and what each side does.

import { FARTHEST_MS, silence, value } from "./clocks.js";
import { $, mark, still, text } from "./page.js";
import { inCall, state } from "./state.js";
import { clock, short, tenths } from "./words.js";

export function showSide(name, side) {
  const box = $(`side-${name}`);
  if (!box) return;
  mark(box, "kind", side.kind);
  text(box.querySelector(".words"), side.text);
  text(box.querySelector("small"), side.device ?? "");
  const level = `scaleX(${side.level})`;
  const bar = box.querySelector("i");
  if (bar.style.transform !== level) bar.style.transform = level;
}

export function showClock(now) {
  const told = state.clock;
  if (!told) return;
  const known = told.lo_s != null && told.hi_s != null;
  const runs = silence.runs && told.silence_s != null;
  const seconds = runs ? Math.max(0, value(silence, now)) : 0;
  text($("clock-name"), told.held ? "Держат" : inCall() ? "Тишина" : "");
  $("clock-bar").hidden = !inCall() || !known;
  if (runs) {
    const stalled = now - silence.at > FARTHEST_MS;
    const past = known && seconds > told.hi_s;
    const inside = known && seconds >= told.lo_s && !past;
    mark($("clock"), "look", stalled ? "still" : past ? "past" : inside ? "in" : "on");
    text($("clock-value"), told.held ? clock(Math.floor(seconds)) : tenths(seconds));
    const from = known ? `из ${range(told)}` : "фраза не нужна";
    const so = stalled ? ", данные стоят" : past ? ", поздно" : inside ? ", пора" : "";
    text($("clock-words"), from + so);
  } else {
    mark($("clock"), "look", told.odd ? "odd" : "still");
    text($("clock-value"), "");
    text($("clock-words"), told.stands ?? "");
  }
  if (known) showBar(told, seconds);
}

const range = ({ held, lo_s, hi_s }) =>
  (held ? `${clock(lo_s)}–${clock(hi_s)}` : `${short(lo_s)}–${short(hi_s)} с`);

function showBar({ lo_s, hi_s }, seconds) {
  const span = hi_s * 1.15;
  const zone = `translateX(${(lo_s / span) * 100}%) scaleX(${(hi_s - lo_s) / span})`;
  if ($("clock-window").style.transform !== zone) $("clock-window").style.transform = zone;
  const share = still.matches ? Math.round(seconds * 10) / 10 / span : seconds / span;
  $("clock-fill").style.transform = `scaleX(${Math.min(1, share).toFixed(4)})`;
}
