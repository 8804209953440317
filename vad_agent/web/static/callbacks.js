// My callbacks: the list, and what is done with one of them.
//
//   the desk ──> askDesk ──> showCallbacks ──> rows, the bell
//   an outcome ──> pending, 3 s in which it can be taken back ──> the desk is told, and asked again

import { ring } from "./bell.js";
import { OUTCOMES, fillRow, newRow } from "./callback_row.js";
import { askDesk, desk, isOld, isOpen, isOverdue, isTime, order, serverNow, toldAt } from "./desk.js";
import { $, APART_MS, FORGET_MS, keep, text } from "./page.js";
import { told } from "./server.js";
import { somePhoneNumber } from "./typed.js";
import { hours } from "./words.js";

const REGRET_MS = 3000; // an outcome can be taken back for so long

let pending = null; // {id, body, words, timer}

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
    if (list.children[index] !== row) list.insertBefore(row, list.children[index] ?? null);
  });
  for (const row of known.values()) row.remove();
  ring(old ? [] : sorted.filter((one) => isOverdue(one) || isOpen(one)));
}

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

/** A digit's, of the row that shows the digits. */
export function outcomeKey(number) {
  const row = [...list?.children ?? []].find(
    (one) => !one.querySelector(".outcomes").hidden && !one.querySelector("kbd").hidden);
  if (row) chosen(row.dataset.id, ...OUTCOMES[number - 1]);
}

function chosen(id, outcome, words) {
  flush();
  const row = rowOf(id);
  mistake(row, "");
  pending = { id, body: { outcome, key: row.dataset.key || null }, words };
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
  if (within) row.querySelector(".outcomes button").focus();
  return true;
}

/** What was chosen is told at once. */
export async function flush(options) {
  const one = pending;
  if (!one) return;
  clearTimeout(one.timer);
  pending = null;
  const wrong = await told("POST", `/panel/callbacks/${encodeURIComponent(one.id)}/outcome`, one.body, options);
  const row = rowOf(one.id);
  if (row) mistake(row, wrong ? `${one.words}: ${wrong}` : "");
  showCallbacks();
  await poll();
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

const does = { chosen, regret, saveNumber, clientCalled };
