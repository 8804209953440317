// What the state looks like. With each message `view` shows what it changed; between messages the clocks alone
// move, frame by frame, for as long as one of them runs: `wake`.

import { announce } from "./announce.js";
import { title } from "./bell.js";
import { phrase, silence } from "./clocks.js";
import { connection } from "./connection.js";
import { showKeys } from "./keys.js";
import { showClock, showSide } from "./line.js";
import { $, made, mark, remark, text } from "./page.js";
import { showQuestions } from "./questions.js";
import { showSay } from "./say.js";
import { headline, state } from "./state.js";
import { clock } from "./words.js";

/** `news`: an object with the keys of the state that are to be shown anew. */
export function view(news) {
  const now = performance.now();
  if ("headline" in news) showHeadline();
  if ("call_s" in news || "phase" in news) {
    text($("call-time"), state.phase == null ? "" : clock(Math.floor(state.call_s)));
  }
  if ("client_name" in news) text($("client"), state.client_name ?? "");
  if ("client_phone" in news && state.client_phone) remark(`Номер клиента: ${state.client_phone}`);
  if ("guessed" in news) $("guessed").hidden = !state.guessed;
  if ("mode_text" in news) text($("mode"), `· ${state.mode_text}`);
  if ("operator" in news) text($("operator"), state.operator);
  if ("sides" in news) for (const [name, side] of Object.entries(state.sides)) showSide(name, side);
  if ("keys" in news) showKeys();
  if ("questions" in news || "phase" in news) showQuestions();
  if ("messages" in news) showMessages();
  if ("callback" in news) {
    text($("callback").firstElementChild, state.callback ?? "");
    $("callback").hidden = !state.callback;
  }
  if ("alarms" in news) showAlarms();
  showClock(now);
  showSay(now);
  announce();
  if ("headline" in news) title();
  wake();
}

function showHeadline() {
  const phase = $("phase");
  if (state.hang_up) phase.setAttribute("role", "alert"); // before its text changes
  else phase.removeAttribute("role");
  mark(phase.closest("header"), "look", state.hang_up ? "alarm" : "");
  text(phase, headline());
}

function showAlarms() {
  const words = state.alarms ?? [];
  const box = $("alarms");
  const shown = [...box.children];
  for (const one of shown) if (!words.includes(one.textContent)) one.remove();
  for (const one of words) {
    if (shown.some((known) => known.textContent === one && known.isConnected)) continue;
    box.append(made("p", "alarm", one));
  }
}

function showMessages() {
  const list = $("messages").querySelector("ol");
  const rows = (state.messages ?? []).map(([at, words]) => {
    const row = made("li");
    row.append(made("time", "digits", clock(Math.floor(at))), made("span", "", words));
    return row;
  });
  list.replaceChildren(...rows.reverse());
}

// -- between messages -----------------------------------------------------------------------------------

let asleep = true;

function wake() {
  if (!asleep || connection.cut || !(silence.runs || phrase.runs)) return;
  asleep = false;
  requestAnimationFrame(frame);
}

function frame() {
  asleep = true;
  if (connection.cut) return;
  const now = performance.now();
  showClock(now);
  showSay(now);
  wake();
}
