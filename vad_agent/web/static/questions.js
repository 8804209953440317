// Calls that are over, and nothing says whether they said goodbye: a card each, with its two answers. The
// newest one is answered by keys too, while no call is on; keys.js sends those. Another headset that wants to
// take over is the first card; its key works in a call, too.

import { $, made } from "./page.js";
import { sendKey } from "./server.js";
import { inCall, state } from "./state.js";

export function showQuestions() {
  const box = $("questions");
  const questions = state.questions ?? [];
  const known = new Map([...box.children].map((card) => [card.dataset.id, card]));
  const newest = questions.find((one) => !ofHeadset(one));
  questions.forEach((one, index) => {
    const card = known.get(one.id) ?? newCard(one);
    known.delete(one.id);
    for (const kbd of card.querySelectorAll("kbd")) kbd.hidden = !kbd.textContent || (!ofHeadset(one) && (one !== newest || inCall()));
    if (box.children[index] !== card) box.insertBefore(card, box.children[index] ?? null);
  });
  for (const card of known.values()) card.remove();
}

const ofHeadset = (one) => one.id.startsWith("headset ");

function newCard(one) {
  const card = made("div", "question");
  card.dataset.id = one.id;
  const words = made("p");
  words.append(made("b", "", one.text), made("span", "", one.hint));
  card.append(words, ...[one.yes, one.no].map(button));
  return card;
}

function button({ letter, name, sends }) {
  const element = made("button");
  element.type = "button";
  element.append(`${name} `, made("kbd", "", letter));
  element.addEventListener("click", () => sendKey(sends));
  return element;
}
