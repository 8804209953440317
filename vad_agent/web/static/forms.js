// Forms: the client's name, his number, a callback agreed. What is typed is kept until it is sent or given up.

import { connection } from "./connection.js";
import { serverNow } from "./desk.js";
import { $, keep, kept, text } from "./page.js";
import { send } from "./server.js";
import { inCall, state } from "./state.js";
import { beginSteps } from "./steps.js";
import { agreedTime, clientName, phoneNumber, somePhoneNumber } from "./typed.js";
import { day, iso } from "./words.js";

const names = [...document.querySelectorAll("form[id^=form-]")].map((one) => one.id.slice("form-".length));

const form = (name) => $(`form-${name}`);
const fields = (name) => [...form(name).querySelectorAll("input")];

export function show(name) {
  for (const other of names) if (other !== name) form(other).hidden = true;
  const draft = kept("sessionStorage", `draft:${name}`, null);
  const known = { name: state.client_name ?? "", phone: name === "phone" ? state.client_phone ?? "" : "" };
  for (const field of fields(name)) field.value = draft?.values[field.name] ?? known[field.name] ?? "";
  form(name).hidden = false;
  keepDraft(name);
  const [first] = fields(name);
  first.focus();
  first.select();
}

function keepDraft(name) {
  const values = Object.fromEntries(fields(name).map((field) => [field.name, field.value]));
  keep("sessionStorage", `draft:${name}`, { values, open: !form(name).hidden });
}

export function leave(name) {
  const one = form(name);
  const within = one.contains(document.activeElement);
  one.hidden = true;
  one.reset();
  mistake(one, "");
  keep("sessionStorage", `draft:${name}`, null);
  if (within) {
    const letter = Object.keys(state.key_map).find((one) => state.key_map[one].form === name);
    $("keys").querySelector(`[data-letter="${letter}"]`)?.focus({ preventScroll: true });
    $("say").scrollIntoView({ block: "nearest" }); // on a small screen the form was far below it
  }
}

export function leaveAny() {
  const open = names.find((name) => !form(name).hidden);
  if (open) leave(open);
}

/** The name of the form that this element is in. */
export const formAround = (element) => names.find((name) => form(name).contains(element));

// -- what is typed --------------------------------------------------------------------------------------

function mistake(one, words, field) {
  text(one.querySelector(".wrong"), words);
  for (const each of one.querySelectorAll("input")) each.removeAttribute("aria-invalid");
  if (!words || !field) return;
  field.setAttribute("aria-invalid", "true");
  field.focus();
}

/** Reads a field, or marks it and returns undefined. */
function read(one, name, reader) {
  const field = one.elements[name];
  try {
    return reader(field.value.split(/\s+/).filter(Boolean).join(" "));
  } catch (error) {
    mistake(one, error.message, field);
    return undefined;
  }
}

const SUBMITS = {
  async name(one) {
    const name = read(one, "name", clientName);
    if (name === undefined) return;
    await submit(one, "name", [{ kind: "client_name", name }]);
  },
  async phone(one) {
    const phone = read(one, "phone", somePhoneNumber);
    if (phone === undefined) return;
    await submit(one, "phone", [{ kind: "client_phone", phone }]);
  },
  async agreed(one) {
    const now = new Date(serverNow() ?? Date.now());
    const at = read(one, "at", (words) => agreedTime(words, now));
    if (at === undefined) return;
    const name = read(one, "name", clientName);
    if (name === undefined) return;
    const phone = read(one, "phone", phoneNumber);
    if (phone === undefined) return;
    const topic = one.elements.topic.value.trim() || null;
    const events = name && name !== state.client_name ? [{ kind: "client_name", name }] : [];
    events.push({ kind: "callback_agreed", name: name || null, phone, at: iso(at), topic, ts: iso(now) });
    if (await submit(one, "agreed", events)) {
      beginSteps([name, day(at.getTime(), now.getTime()), phone].filter(Boolean).join(", "));
    }
  },
};

async function submit(one, name, events) {
  let wrong = connection.cut ? "нет связи, введённое сохранено" : inCall() ? "" : "звонка уже нет, Esc: отмена";
  for (const event of events) wrong ||= await send(event);
  mistake(one, wrong);
  if (!wrong) leave(name);
  return !wrong;
}

// -- on -------------------------------------------------------------------------------------------------

for (const name of names) {
  const one = form(name);
  one.addEventListener("input", () => { mistake(one, ""); keepDraft(name); });
  one.addEventListener("submit", (event) => { event.preventDefault(); SUBMITS[name](one); });
  one.querySelector(".leave").addEventListener("click", () => leave(name));
  const draft = kept("sessionStorage", `draft:${name}`, null);
  if (draft?.open) show(name); // the page was loaded again
}
