// Small things of a page: its elements, what is kept in this browser, how a person presses.

export const FORGET_MS = 5000; // a question not answered, or a remark, is gone
export const APART_MS = 200; // a double click, or a key that bounces, is not two presses

export const still = matchMedia("(prefers-reduced-motion: reduce)");

export const $ = (id) => document.getElementById(id);

export function text(element, value) {
  if (element.textContent !== value) element.textContent = value;
}

export function mark(element, name, value) {
  if (element.dataset[name] !== value) element.dataset[name] = value;
}

export function made(tag, kind, words) {
  const element = document.createElement(tag);
  if (kind) element.className = kind;
  if (words) element.textContent = words;
  return element;
}

// -- kept: in "sessionStorage", this tab's and this operator's, or "localStorage", this browser's --------

const me = document.body.dataset.operator;
const place = (storage, name) => (storage === "sessionStorage" && me ? `panel:${me}:${name}` : `panel:${name}`);

try { // another operator worked in this tab: what they typed is not for this one's clients
  for (const name of Object.keys(sessionStorage)) {
    if (me && name.startsWith("panel:") && !name.startsWith(`panel:${me}:`)) sessionStorage.removeItem(name);
  }
} catch { /* nothing may be stored here */ }

export function kept(storage, name, otherwise) {
  try {
    return JSON.parse(window[storage].getItem(place(storage, name))) ?? otherwise;
  } catch {
    return otherwise; // nothing may be stored here, or it is not ours
  }
}

/** null: no longer. */
export function keep(storage, name, value) {
  try {
    if (value === null) window[storage].removeItem(place(storage, name));
    else window[storage].setItem(place(storage, name), JSON.stringify(value));
  } catch { /* nothing may be stored here: the page works all the same */ }
}

// -- the line under the keys ----------------------------------------------------------------------------

let remarkTimer = 0;

export function remark(words) {
  text($("remark"), words);
  clearTimeout(remarkTimer);
  if (words) remarkTimer = setTimeout(() => remark(""), FORGET_MS);
}
