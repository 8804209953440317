// Keys: the terminal's letters, by place, so that the layout does not matter, and a button for each. What
// each is called, asks and sends is told by the headset: `keys` (those that mean something now), `key_map`.
//
//   key, button ──> press ──> at once ──────────────────────────> sendKey
//                     ├─────> grave: asked, "Да" or again ──────> sendKey
//                     └─────> a form opens, see forms.js
//   "Клавиши" ──> what each key is for

import { outcomeKey, regret } from "./callbacks.js";
import { connection } from "./connection.js";
import { formAround, leave, leaveAny, show } from "./forms.js";
import { $, APART_MS, FORGET_MS, made, remark, text } from "./page.js";
import { sendKey } from "./server.js";
import { inCall, state } from "./state.js";

const known = (letter) => state.key_map?.[letter];
const sure = (letter) => !active(letter)?.[2]?.question && known(letter)?.sure; // an answer is not asked again
const active = (letter) => (state.keys ?? []).find(([one]) => one === letter);
const letterAt = (code) => Object.keys(state.key_map ?? {}).find((letter) => known(letter).code === code);
const caption = (letter) => (sure(letter) ? `${letter} ${letter}` : letter);
const sendLetter = (letter) => sendKey(active(letter)[2]);

export function showKeys() {
  const box = $("keys");
  const shown = new Map([...box.children].map((one) => [one.dataset.letter, one]));
  let before = null;
  for (const [letter, name] of state.keys) {
    if (!known(letter)) continue;
    const button = shown.get(letter) ?? newButton(letter);
    shown.delete(letter);
    text(button.firstElementChild, name);
    button.className = sure(letter) ? "grave" : "";
    text(button.lastElementChild, caption(letter));
    const place = before ? before.nextElementSibling : box.firstElementChild;
    if (place !== button) box.insertBefore(button, place);
    before = button;
  }
  for (const button of shown.values()) button.remove();
}

function newButton(letter) {
  const button = made("button");
  button.type = "button";
  button.dataset.letter = letter;
  button.append(made("span"), " ", made("kbd"));
  button.addEventListener("click", () => press(letter));
  return button;
}

/** The state has this key now. */
const meaningful = (letter) => known(letter) && active(letter);

function press(letter) {
  remark("");
  if (asked?.letter === letter) {
    if (considered()) answer(true);
    return;
  }
  answer(false);
  if (connection.cut) { remark("нет связи: не отправлено"); return; }
  if (!meaningful(letter)) {
    if (letter === "А" && inCall()) remark("Звонок уже идёт");
    else if (letter !== "О" && letter !== "Т" && !inCall()) remark("Звонка нет. А: начать звонок");
    return;
  }
  if (known(letter).form) show(known(letter).form);
  else if (sure(letter)) askSure(letter);
  else sendLetter(letter);
}

$("take-over").addEventListener("click", () => { if (!connection.cut && active("П")) sendLetter("П"); });

// -- what cannot be taken back is asked for first -------------------------------------------------------

let asked = null; // {letter, at}
let askedTimer = 0;

const considered = () => asked !== null && performance.now() - asked.at >= APART_MS;

function askSure(letter) {
  asked = { letter, at: performance.now() };
  text($("sure-text"), sure(letter));
  text($("sure-yes").querySelector("kbd"), letter);
  $("sure").hidden = false;
  text($("announce"), `${sure(letter)} Ещё раз ${letter}: да, Esc: нет`);
  askedTimer = setTimeout(() => answer(false), FORGET_MS);
}

function answer(yes) {
  const question = asked;
  asked = null;
  clearTimeout(askedTimer);
  if ($("sure").contains(document.activeElement)) {
    $("keys").querySelector(`[data-letter="${question?.letter}"]`)?.focus();
  }
  $("sure").hidden = true;
  if (!yes || !question) return;
  if (connection.cut) remark("нет связи: не отправлено");
  else if (!meaningful(question.letter)) remark("Звонка нет. А: начать звонок");
  else sendLetter(question.letter);
}

$("sure-yes").addEventListener("click", () => { if (considered()) answer(true); });
$("sure-no").addEventListener("click", () => { if (considered()) answer(false); });

// -- help: what each key is for -------------------------------------------------------------------------

function showHelp(on) {
  const within = $("help").contains(document.activeElement);
  $("help").hidden = !on;
  $("help-show").setAttribute("aria-expanded", String(on));
  if (!on) {
    if (within) $("help-show").focus();
    return;
  }
  $("help-keys").replaceChildren(...Object.keys(state.key_map ?? {}).map((letter) => {
    const row = made("li");
    row.append(made("kbd", "", caption(letter)), " ", made("span", "", known(letter).help));
    return row;
  }));
  $("help-title").focus();
}

$("help-show").addEventListener("click", () => showHelp($("help").hidden));
$("help-hide").addEventListener("click", () => showHelp(false));

// -- the keyboard ---------------------------------------------------------------------------------------

document.addEventListener("keydown", (event) => {
  if (event.repeat && (event.target.tagName === "BUTTON" || !event.target.matches?.("input"))) {
    if (event.key === "Enter" || event.key === " ") event.preventDefault(); // a key held down is one press
    return;
  }
  if (event.isComposing) return;
  if (event.key === "Escape") { escape(event.target); return; }
  if (event.target.matches?.("input:not([type=checkbox])")) return;
  if (event.key === "Enter" && asked && event.target.id !== "sure-no") {
    event.preventDefault();
    if (considered()) answer(true);
    return;
  }
  if (event.metaKey || event.altKey) return;
  if (event.ctrlKey) {
    if (event.code === "KeyZ" && meaningful("О")) { event.preventDefault(); press("О"); }
    return;
  }
  const digit = /^(?:Digit|Numpad)([0-4])$/.exec(event.code);
  if (digit && !event.shiftKey) { outcomeKey(Number(digit[1])); return; }
  const letter = letterAt(event.code);
  if (!letter) return;
  event.preventDefault(); // the letter is not the first one of the line that opens
  press(letter);
});

function escape(target) { // of the question, the form one is in, the outcome just chosen, any form: the first
  if (asked) { answer(false); return; }
  const within = formAround(target);
  if (within) { leave(within); return; }
  if (regret()) return;
  if (!$("help").hidden) { showHelp(false); return; }
  leaveAny();
  remark("");
}
