// My callbacks: the list, and what is done with one of them.
//
//   the desk ──> askDesk ──> showCallbacks ──> rows, the bell
//   an outcome, «не нужен» ──> pending, 3 s in which it can be taken back ──> the desk is told, and asked again

import { ring } from "./bell.js";
import { OUTCOMES, fillRow, newRow } from "./callback_row.js";
import { askDesk, desk, isOld, isOpen, isOverdue, isTime, order, serverNow, toldAt } from "./desk.js";
import { $, APART_MS, FORGET_MS, keep, remark, text } from "./page.js";
import { told } from "./server.js";
import { somePhoneNumber } from "./typed.js";
import { hours } from "./words.js";

const REGRET_MS = 3000; // an outcome can be taken back for so long

const SHOWN = 2; // callbacks that are not folded

let pending = null; // {id, path, body, words, timer}
let unfolded = false;

export async function poll() {
  if (await askDesk()) showCallbacks();
}

/** `early`: a timer that comes so many ms before it is time counts. */
export function pollInTime(early = 0) {
  if (isTime(early)) poll();
}

// -- the list -------------------------------------------------------------------------------------------

const list = $("callbacks-list"); // null where the page has none

export function showCallbacks() {
  if (list) $("callbacks").hidden = !desk.is;
  if (!desk.is || toldAt() === null) return;
  const [old, now] = [isOld(), serverNow()];
  showStatus(old);
  const known = new Map([...list.children].map((row) => [row.dataset.id, row]));
  const sorted = [...desk.callbacks].sort(order);
  const active = sorted.find((one) => one.phone && isOpen(one));
  sorted.forEach((one, index) => {
    const row = known.get(one.id) ?? newRow(one, does);
    known.delete(one.id);
    const sending = pending?.id === one.id ? pending.words : "";
    fillRow(row, one, { now, old, active: one === active, sending });
    row.hidden = !unfolded && index >= SHOWN && !sending && !row.contains(document.activeElement);
    if (list.children[index] !== row) list.insertBefore(row, list.children[index] ?? null);
  });
  for (const row of known.values()) row.remove();
  showFold();
  ring(old ? [] : sorted.filter((one) => isOverdue(one) || isOpen(one)));
}

function showFold() { // how many there are, and what the rest is called
  const [count, folded] = [list.children.length, [...list.children].filter((row) => row.hidden).length];
  text($("callbacks-count"), count ? String(count) : "");
  const more = $("callbacks-more");
  more.hidden = count <= SHOWN;
  more.setAttribute("aria-expanded", String(unfolded));
  text(more, unfolded ? "Свернуть" : `Показать ещё ${folded}`);
}

$("callbacks-more")?.addEventListener("click", () => { unfolded = !unfolded; showCallbacks(); });

function showStatus(old) {
  const status = $("callbacks-state");
  status.className = old ? "wrong" : "";
  let words = "";
  if (old) words = `Стол перезвонов не отвечает, данные на ${hours(toldAt())}`;
  else if (!desk.callbacks.length) words = "Перезванивать некому";
  else if (!desk.rings) words = "Стол перезвонов не запущен: в срок звоните сами";
  text(status, words);
}

const rowOf = (id) => [...list.children].find((row) => row.dataset.id === id);

const mistake = (row, words) => text(row.querySelector(".wrong"), words);

// -- an outcome -----------------------------------------------------------------------------------------

/** A digit's, of the row that shows the digits; 0: «Звоню» of the row that shows it. */
export function outcomeKey(number) {
  if (number === 0) {
    for (const button of list?.querySelectorAll(".calling:not([hidden])") ?? []) {
      if (!button.querySelector("kbd").hidden) button.click();
    }
    return;
  }
  const row = [...list?.children ?? []].find(
    (one) => !one.querySelector(".outcomes").hidden && !one.querySelector("kbd").hidden);
  if (row) chosen(row.dataset.id, ...OUTCOMES[number - 1]);
}

function chosen(id, outcome, words) {
  choose(id, "outcome", { outcome, key: rowOf(id).dataset.key || null }, words);
}

const notNeeded = (id, why, words) => choose(id, "not-needed", { why }, words);

function choose(id, path, body, words) {
  flush();
  const row = rowOf(id);
  mistake(row, "");
  pending = { id, path, body, words };
  pending.timer = setTimeout(flush, REGRET_MS);
  const within = row.contains(document.activeElement);
  showCallbacks();
  if (within) row.querySelector(".undo").focus();
}

/** Takes back what was chosen; false: there is nothing. */
export function regret() {
  if (!pending) return false;
  const row = rowOf(pending.id);
  clearTimeout(pending.timer);
  pending = null;
  const within = row?.contains(document.activeElement);
  showCallbacks();
  if (within) row.querySelector(".outcomes:not([hidden]) button, summary").focus();
  return true;
}

/** What was chosen is told at once. */
export async function flush(options) {
  const one = pending;
  if (!one) return;
  clearTimeout(one.timer);
  pending = null;
  const wrong = await told("POST", `/panel/callbacks/${encodeURIComponent(one.id)}/${one.path}`, one.body, options);
  const row = rowOf(one.id);
  if (row) mistake(row, wrong ? `${one.words}: ${wrong}` : "");
  showCallbacks();
  await poll();
}

// -- «звоню» -------------------------------------------------------------------------------------------

async function calling(row) { // the first who says so has it; to another one the desk tells who
  const button = row.querySelector(".calling");
  if (button.disabled) return;
  button.disabled = true;
  mistake(row, "");
  const wrong = await told("POST", `/panel/callbacks/${encodeURIComponent(row.dataset.id)}/accept`, {});
  button.disabled = false;
  await poll();
  if (!wrong) return;
  if (row.isConnected) mistake(row, wrong);
  else remark(`${row.querySelector(".whom").textContent}: ${wrong}`); // another one has it
}

// -- a number is found, a client calls ------------------------------------------------------------------

async function saveNumber(row, field) {
  const { id } = row.dataset;
  let wrong = "";
  let phone = null;
  try {
    phone = somePhoneNumber(field.value.trim());
  } catch (error) {
    wrong = error.message;
  }
  wrong ||= await told("POST", `/panel/callbacks/${encodeURIComponent(id)}/number`, { phone });
  mistake(row, wrong);
  if (wrong) return;
  keep("sessionStorage", `number:${id}`, null);
  await poll();
}

async function clientCalled(row, button, words) { // the second press within a while counts
  const at = Number(button.dataset.at ?? 0);
  const now = performance.now();
  const again = () => { button.dataset.at = "0"; text(button, words); };
  if (!at || now - at > FORGET_MS) {
    button.dataset.at = String(now);
    text(button, `${words}? Ещё раз: да, перезвон закрыть`);
    setTimeout(again, FORGET_MS);
    return;
  }
  if (now - at < APART_MS) return;
  again();
  mistake(row, await told("POST", "/panel/client-called", { phone: row.dataset.phone }));
  await poll();
}

const does = { calling, chosen, notNeeded, regret, saveNumber, clientCalled };
