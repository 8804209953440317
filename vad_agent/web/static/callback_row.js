// One of my callbacks as a row of the list. What its buttons do is in callbacks.js.

import { isOpen, isOverdue, moment, unix } from "./desk.js";
import { keep, kept, made, mark, text } from "./page.js";
import { clock, day } from "./words.js";

/** By their keys, 1 to 4: the server's name, and the operator's. */
export const OUTCOMES = [
  ["reached", "Дозвонились"], ["no_answer", "Не ответил"], ["busy", "Занято"], ["machine", "Автоответчик"],
];
const CALLED = "Клиент позвонил сам";
const NOT_NEEDED = "Не нужен";
const REASONS = ["попрощались, вопрос решён", "клиент уже перезвонил", "это был не клиент"];

const CALLING = "Звоню";
const CALLING_KEY = "0";

/**
 * `does`: {calling(row), chosen(id, outcome, words), notNeeded(id, why, words), regret(), saveNumber(row, field),
 * clientCalled(row, button, words)}.
 */
export function newRow(one, does) {
  const row = made("li", "one");
  row.dataset.id = one.id;
  const heading = made("h3");
  heading.append(made("span", "whom"), made("span", "when digits"));
  const phone = made("p", "phone");
  phone.append(made("a"));
  const outcomes = made("div", "row outcomes");
  OUTCOMES.forEach(([outcome, name], index) => {
    const choose = button("", name, " ", made("kbd", "", String(index + 1)));
    choose.addEventListener("click", () => does.chosen(one.id, outcome, name));
    outcomes.append(choose);
  });
  const calling = button("calling", `${CALLING} `, made("kbd", "", CALLING_KEY));
  calling.hidden = true;
  calling.addEventListener("click", () => does.calling(row));
  const sending = made("p", "sending");
  sending.hidden = true;
  const undo = button("undo", "Отменить ", made("kbd", "", "Esc"));
  undo.hidden = true;
  undo.addEventListener("click", does.regret);
  const called = button("small called", CALLED);
  called.addEventListener("click", () => does.clientCalled(row, called, CALLED));
  const wrong = made("p", "wrong");
  wrong.setAttribute("role", "alert");
  row.append(
    heading, phone, made("p", "opening"), made("p", "about"), calling, outcomes, sending, undo,
    numberForm(row, does), called, notNeeded(row, does), wrong,
  );
  return row;
}

function button(kind, ...words) {
  const element = made("button", kind);
  element.type = "button";
  element.append(...words);
  return element;
}

function notNeeded(row, does) { // with a reason: of those that are usual, or another one
  const box = made("details", "unneeded");
  const options = made("div", "row");
  const choose = (why) => { box.open = false; does.notNeeded(row.dataset.id, why, `${NOT_NEEDED}: ${why}`); };
  for (const why of REASONS) {
    const one = button("", why);
    one.addEventListener("click", () => choose(why));
    options.append(one);
  }
  const field = made("input");
  field.name = "why";
  field.maxLength = 200;
  field.autocomplete = "off";
  const label = made("label", "", "Другая причина ");
  label.append(field);
  const save = made("button", "", NOT_NEEDED);
  save.type = "submit";
  const form = made("form", "row");
  form.noValidate = true;
  form.append(label, save);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const why = field.value.trim();
    if (why) choose(why);
    else field.focus();
  });
  box.append(made("summary", "", `${NOT_NEEDED}…`), options, form);
  return box;
}

function numberForm(row, does) { // what is typed there is kept until it is sent
  const name = `number:${row.dataset.id}`;
  const field = made("input");
  field.name = "phone";
  field.type = "tel";
  field.maxLength = 60;
  field.autocomplete = "off";
  field.value = kept("sessionStorage", name, "");
  const label = made("label", "", "Номер не известен. Нашли? ");
  label.append(field);
  const save = made("button", "", "Записать");
  save.type = "submit";
  const form = made("form", "row number");
  form.noValidate = true;
  form.append(label, save);
  form.addEventListener("input", () => keep("sessionStorage", name, field.value || null));
  form.addEventListener("submit", (event) => { event.preventDefault(); does.saveNumber(row, field); });
  return form;
}

/**
 * `now`: of the server, ms. `old`: the desk is not heard of, so there is no countdown. `active`: the digits
 * choose its outcome. `sending`: the words of an outcome that can be taken back still; empty: none.
 */
export function fillRow(row, one, { now, old, active, sending }) {
  const part = (kind) => row.querySelector(`.${kind}`);
  const [late, open] = [isOverdue(one), isOpen(one)];
  mark(row, "look", late ? "over" : open ? "due" : "later");
  text(part("whom"), one.name || "Имя неизвестно");
  text(part("when"), when(one, now, old));
  part("phone").hidden = !one.phone;
  if (one.phone) {
    const link = part("phone").firstElementChild;
    text(link, one.extension ? `${one.phone}, доб. ${one.extension}` : one.phone);
    const href = `tel:${String(one.phone).replace(/[^+0-9]/g, "")}`;
    if (link.getAttribute("href") !== href) link.setAttribute("href", href);
  }
  text(part("opening"), one.opening ? `«${one.opening}»` : "");
  text(part("about"), about(one, now));
  part("calling").hidden = Boolean(sending) || one.state !== "offered";
  part("calling").querySelector("kbd").hidden = !active;
  part("outcomes").hidden = Boolean(sending) || one.state === "offered" || !one.phone || !(open || late);
  for (const kbd of part("outcomes").querySelectorAll("kbd")) kbd.hidden = !active;
  part("sending").hidden = part("undo").hidden = !sending;
  if (sending) text(part("sending"), `${sending}: записываю…`);
  part("number").hidden = Boolean(one.phone);
  part("called").hidden = !one.phone || isColleagues(one) || Boolean(sending);
  part("unneeded").hidden = Boolean(sending) || isColleagues(one) || one.state === "ringing";
  row.dataset.key = one.key ?? "";
  row.dataset.phone = one.phone ?? "";
}

function when(one, now, old) {
  const late = isOverdue(one);
  const at = late ? unix(one.due) : moment(one);
  if (at === null || one.state === "needs_number") return one.state_text;
  const words = day(at, now);
  if (old) return words;
  if (late) return `просрочен на ${clock((now - at) / 1000)}, ждал ${words}`;
  if (isOpen(one)) return `${one.state === "waiting" ? "пора" : one.state_text}, ${words}`;
  return `через ${clock(Math.ceil((at - now) / 1000))}, ${words}`;
}

/** It is offered to me in place of a colleague: what else is done with it is theirs until I call. */
const isColleagues = (one) => Boolean(one.operator) && !one.mine;

function about(one, now) {
  const words = [
    isColleagues(one) ? `вместо: ${one.operator}` : "",
    one.asked ? `звонок был ${day(unix(one.asked), now)}` : "",
    one.attempts ? `попытка ${Math.max(1, one.attempt ?? 1)} из ${one.attempts}` : "",
    one.reasons_text,
    one.topic ? `вопрос: ${one.topic}` : "",
    one.phone_given ? `сказан номер: ${one.phone_given}` : "",
  ];
  return words.filter(Boolean).join(" · ");
}
