// What the desk told of my callbacks, and its clock: this computer's may be wrong.

import { connection } from "./connection.js";
import { ask } from "./server.js";
import { state } from "./state.js";

const POLL_MS = 3000;
const TOLD_MS = 15000; // the same, where the server tells of changes
const OLD_MS = 15000; // callbacks not heard of for so long have no countdown

/** `is`: there is one. `rings`: it rings whom is due; otherwise the operator looks himself. Set here alone. */
export const desk = { is: document.body.dataset.callbacks === "yes", rings: true, callbacks: [] };

let server = null; // {ms, at}: the server's clock at a moment of ours
let asked = -Infinity;
let asking = false;

/** True: `desk` is fresh, or is none any more. */
export async function askDesk() {
  if (!desk.is || asking || !connection.session) return false;
  asking = true;
  const before = asked = performance.now();
  let fresh = false;
  try {
    const answer = await ask("GET", "/panel/callbacks");
    if (answer.status === 404) {
      desk.is = false;
      fresh = true;
    } else if (answer.ok) {
      const told = await answer.json();
      server = { ms: unix(told.now), at: (before + performance.now()) / 2 };
      desk.callbacks = told.callbacks;
      desk.rings = told.rings !== false;
      fresh = true;
    }
  } catch { /* what is shown says how old it is */ }
  asking = false;
  return fresh;
}

const everyMs = () => ("callbacks" in state ? TOLD_MS : POLL_MS);

/** It is time to ask again, or will be within `early` ms. */
export const isTime = (early = 0) => performance.now() - asked > everyMs() - early;

/** Something has changed there: it is time. */
export function changedThere() {
  asked = -Infinity;
}

/** Unix time in ms when the desk told this last; null: never. */
export const toldAt = () => server?.ms ?? null;

export const isOld = () => performance.now() - server.at > Math.max(OLD_MS, 2.5 * everyMs());

// -- times: Unix time in ms, null where there is none ---------------------------------------------------

/** Of what the desk tells: seconds, or words with a zone. */
export const unix = (told) => (told == null ? null : typeof told === "number" ? told * 1000 : Date.parse(told));

export const serverNow = () => (server ? server.ms + performance.now() - server.at : null);

/** When it is rung next. */
export const moment = (one) => unix(one.next) ?? unix(one.due);

const passed = (ms) => ms !== null && ms <= serverNow();

export const isOpen = (one) =>
  ["offered", "ringing"].includes(one.state) || (["waiting", "needs_person"].includes(one.state) && passed(moment(one)));

export const isOverdue = (one) =>
  one.overdue || (one.overdue_from != null && serverNow() > unix(one.overdue_from));

/** Overdue ones first, then open ones, then by their times. */
export function order(one, other) {
  const rank = (each) => (isOverdue(each) ? 0 : isOpen(each) ? 1 : 2);
  return rank(one) - rank(other) || (moment(one) ?? Infinity) - (moment(other) ?? Infinity);
}
