// What a screen reader is told: changes, never levels and clocks.

import { $ } from "./page.js";
import { headline, state } from "./state.js";

/** By what it is of, as it was told last. Cleared where the connection was lost: then things are as at first. */
export const announced = new Map();
let waiting = [];

function news(what, words) {
  if (announced.get(what) === words) return;
  const first = !announced.has(what);
  announced.set(what, words);
  if (words && !(first && what !== "phrase" && what !== "phase")) waiting.push(words);
}

export function announce() {
  news("phase", state.hang_up ? "" : headline()); // an alert otherwise
  news("name", state.client_name ? `Клиент: ${state.client_name}` : "");
  for (const [name, side] of Object.entries(state.sides ?? {})) {
    const wrong = side.kind === "odd" || side.kind === "bad";
    news(name, wrong ? `${name === "client" ? "Клиент" : "Вы"}: ${side.text}` : "");
  }
  news("clock", state.clock?.odd ? state.clock.stands : "");
  const one = state.phrase;
  if (!one) news("phrase", "");
  else if (one.state === "cue") news("phrase", `Скажите: ${one.text}`);
  else if (one.state === "asked" || one.state === "playing") news("phrase", `Прозвучит: ${one.text}`);
  news("callback", state.callback ?? "");
  if (!waiting.length) return;
  $("announce").textContent = waiting.join(". ");
  waiting = [];
}
