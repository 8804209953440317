// The large block: what is said now, by whom, and how soon.

import { phrase, value } from "./clocks.js";
import { $, mark, text } from "./page.js";
import { inCall, paused, state } from "./state.js";
import { tenths } from "./words.js";

export function showSay(now) {
  if (!state.keys) return;
  const said = saying(now);
  mark($("say"), "look", said.look);
  text($("say-title"), said.title);
  text($("say-left"), said.left ?? "");
  text($("say-text"), said.text ?? "");
  text($("say-after"), said.after ?? "");
  const take = $("take-over");
  const offered = Boolean(said.take) && state.keys.some(([letter]) => letter === "П");
  if (take.hidden === offered) take.hidden = !offered;
  if (said.take) text($("take-over-name"), said.take);
}

/** {look, title, left, text, after, take}: `look` is one of those of panel.css; `take`: the button's name. */
function saying(now) {
  const one = state.phrase;
  if (paused() && !(one && one.state === "playing")) {
    return { look: "pause", title: "Пауза", text: "Контроль стоит, тишина не считается.", take: "Продолжить" };
  }
  if (one) return ofPhrase(one, now);
  if (state.hang_up) return { look: "none", title: "Положите трубку в своём телефоне" };
  if (!inCall()) return { look: "none", title: "Фразы появятся здесь" };
  if (state.sides?.client?.speaking) return { look: "none", title: "Клиент говорит" };
  if (state.sides?.operator?.speaking) return { look: "none", title: "Вы говорите" };
  return { look: "none", title: "Фраза не нужна" };
}

function ofPhrase(one, now) {
  const passed = phrase.runs ? value(phrase, now) : -one.from_s; // since the window opened
  const width = one.to_s - one.from_s;
  const until = passed < 0 ? `через ${tenths(-passed)}` : "";
  const said = { text: `«${one.text}»`, after: after() };
  const heading = one.title ?? "Фраза";
  switch (one.state) {
    case "cue":
      if (passed < 0) return { ...said, look: "soon", title: "СКАЖИТЕ", left: until };
      if (passed > width) return { ...said, look: "late", title: "СКАЖИТЕ", left: `опоздание ${tenths(passed - width)}` };
      return { ...said, look: "now", title: "СКАЖИТЕ СЕЙЧАС", left: `ещё ${tenths(width - passed)}` };
    case "next": {
      const title = state.speaks === false ? "Приготовьтесь" : "Скоро прозвучит";
      return { ...said, look: "next", title, left: until || "сейчас" };
    }
    case "asked":
      return { ...said, look: "asked", title: heading, left: until, take: "Остановить, скажу сам" };
    case "playing":
      return { ...said, look: "air", title: heading, take: "Остановить, скажу сам" };
    default:
      return { ...said, look: one.state === "by_operator" ? "mine" : "next", title: heading };
  }
}

function after() {
  if (state.after == null) return "";
  return state.after === "" ? "затем: завершить звонок и перезвонить" : `затем: «${state.after}»`;
}
