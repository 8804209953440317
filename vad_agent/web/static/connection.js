// The stream of the server: opened, watched, opened again. While it is cut nothing of the state is shown.
//
//   a message ──> take, see panel.js
//   an error, nothing for 8 s, in a call nothing new for 3 s, no session ──> lost ──> connection.cut
//   a whole state again ──> found

import { hush } from "./clocks.js";
import { $, made, text } from "./page.js";
import { inCall } from "./state.js";

const SILENT_MS = 8000; // the server says something every 5 s
const STALLED_MS = 3000; // in a call its time moves five times a second

/** `cut`: why nothing of the state is shown; empty: it is. `session`: as far as is known. Set here alone. */
export const connection = { cut: "", session: true };

let take = null;
let source = null;
let opened = -Infinity;
let heard = performance.now(); // anything
let changed = performance.now(); // more than a sign of life

/** `each` is done with every message and its time. */
export function follow(each) {
  take = each;
  open();
}

export function open() {
  source?.close();
  opened = performance.now();
  source = new EventSource("/panel/stream");
  source.onmessage = (message) => {
    const news = JSON.parse(message.data);
    heard = performance.now();
    if (Object.keys(news).length) changed = heard;
    take(news, heard);
  };
  source.onerror = () => {
    lost("Нет связи с программой");
    if (source.readyState === EventSource.CLOSED) reason();
  };
}

export function close() {
  source?.close();
}

async function reason() { // an event source does not tell why it was refused
  const stop = new AbortController();
  try {
    const answer = await fetch("/panel/stream", { redirect: "manual", cache: "no-store", signal: stop.signal });
    if (answer.type === "opaqueredirect" || [401, 403].includes(answer.status)) ended();
  } catch { /* no server: it is tried again */ }
  stop.abort();
}

export function ended() {
  connection.session = false;
  close();
  lost("Вход устарел. Введённое сохранено.");
}

export function lost(why, again = true) {
  connection.cut = why;
  document.body.classList.add("offline");
  text($("phase"), "Нет связи");
  $("phase").removeAttribute("role");
  $("phase").closest("header").removeAttribute("data-look");
  const box = $("offline");
  const words = again && connection.session ? `${why}. Переподключаюсь…` : why;
  if (box.firstChild?.textContent !== words) {
    box.replaceChildren(made("span", "", words));
    if (!connection.session) {
      const link = made("a", "", "Войти");
      link.href = "/enter";
      box.append(" ", link);
    }
  }
  box.hidden = false;
  hush();
}

export function found() {
  connection.cut = "";
  document.body.classList.remove("offline");
  $("offline").hidden = true;
  $("offline").replaceChildren();
}

export function watch() { // each second
  const now = performance.now();
  if (!connection.session) return;
  if (now - heard > SILENT_MS) {
    lost("Нет связи с программой");
    if (now - opened > SILENT_MS / 2) open();
  } else if (!connection.cut && inCall() && now - changed > STALLED_MS) {
    lost("Программа на гарнитуре не отвечает", false);
  } else if (source?.readyState === EventSource.CLOSED && now - opened > 2000) {
    open();
  }
}
