// The supervisor's pages. The server writes them; this keeps the page of a day fresh, and does nothing else.
//
//   /supervisor/stream ── all rows, then what changed ──> the floor
//   the page itself    ── fetched again every 5 s ──────> [data-part]s that changed, patched in place
//
// Text goes through textContent alone, or came escaped from the server.

import { $, made, text } from "./page.js";
import { patch } from "./patch.js";
import "./settings.js"; // the theme, as it was chosen on the panel

const EVERY_MS = 5000;
const SILENT_MS = 8000; // the server says something every 5 s
const OLD_MS = 12000; // two pages were missed

// -- the page of a day, fetched again -------------------------------------------------------------------

const parts = (page) => [...page.querySelectorAll("[data-part]:not([data-live])")];
const told = new Map(parts(document).map((part) => [part.dataset.part, part.outerHTML]));
let fetched = performance.now();
let refreshing = false;
let session = true;

async function refresh() {
  if (refreshing || !session || document.hidden || selecting()) return;
  refreshing = true;
  try {
    const answer = await fetch(location.href, { redirect: "manual", cache: "no-store" });
    if (answer.type === "opaqueredirect" || [401, 403].includes(answer.status)) {
      ended();
    } else if (answer.ok || answer.status === 503) {
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (page.querySelector("[data-part]") && !selecting()) take(page);
    }
  } catch { /* no server: it is tried again, and the banner tells */ }
  refreshing = false;
  watch();
}

function take(page) {
  const [now, fresh] = [parts(document), parts(page)];
  const names = (all) => all.map((part) => part.dataset.part).join();
  if (names(now) !== names(fresh)) {
    location.reload(); // the store was away, or is back
    return;
  }
  fetched = performance.now();
  const focused = document.activeElement;
  const seen = now.find((part) => part.getBoundingClientRect().bottom > 0);
  const top = seen?.getBoundingClientRect().top;
  const before = critical();
  for (const [number, part] of fresh.entries()) {
    const html = part.outerHTML;
    if (told.get(part.dataset.part) === html) continue;
    told.set(part.dataset.part, html);
    patch(now[number], part);
  }
  document.title = page.title;
  if (focused !== document.activeElement && focused.isConnected) focused.focus({ preventScroll: true });
  if (seen && scrollY > 0) scrollBy(0, seen.getBoundingClientRect().top - top);
  announce(before);
}

const critical = () => new Map([...document.querySelectorAll("#critical [data-key]")].map(
  (one) => [one.dataset.key, one.querySelector(".what b").textContent]));

function announce(before) {
  const news = [...critical()].filter(([name]) => !before.has(name)).map(([, words]) => words);
  if (news.length) text($("announce"), `Новое критичное: ${news.slice(0, 3).join(", ")}`);
}

/** Who copies a number must not lose it. */
function selecting() {
  const chosen = getSelection();
  const so = chosen !== null && !chosen.isCollapsed && chosen.toString().trim() !== "";
  $("paused").hidden = !so;
  if (so) fetched = Math.max(fetched, performance.now() - EVERY_MS);
  return so;
}

// -- the floor ------------------------------------------------------------------------------------------

const rows = new Map(); // by operator
const shown = new Map();
let source = null;
let opened = 0;
let heard = performance.now();

function follow() {
  source?.close();
  opened = performance.now();
  source = new EventSource("/supervisor/stream");
  source.onmessage = (message) => {
    heard = performance.now();
    const news = JSON.parse(message.data);
    if (news.whole) rows.clear();
    for (const [operator, change] of Object.entries(news.rows ?? {})) {
      if (change === null) rows.delete(operator);
      else rows.set(operator, { ...rows.get(operator), ...change });
    }
    if (news.rows) showFloor();
    watch();
  };
}

function showFloor() {
  const all = [...rows].sort(([one], [other]) => (one < other ? -1 : 1));
  const busy = all.filter(([, row]) => !row.idle).sort(([, one], [, other]) => other.urgent - one.urgent);
  const idle = all.filter(([, row]) => row.idle).map(([operator]) => operator);
  const list = $("headsets");
  for (const [operator, element] of shown) {
    if (busy.some(([name]) => name === operator)) continue;
    element.remove();
    shown.delete(operator);
  }
  for (const stranger of [...list.children]) if (![...shown.values()].includes(stranger)) stranger.remove();
  for (const [number, [operator, row]] of busy.entries()) {
    const element = shown.get(operator) ?? $("headset").content.firstElementChild.cloneNode(true);
    shown.set(operator, element);
    fill(element, { ...row, operator });
    if (list.children[number] !== element) list.insertBefore(element, list.children[number] ?? null);
  }
  $("nobody").hidden = busy.length > 0;
  $("idle").hidden = idle.length === 0;
  text($("idle-count"), String(idle.length));
  text($("idle-names"), idle.join(", "));
}

function fill(element, row) {
  for (const place of element.querySelectorAll("[data-f]")) text(place, row[place.dataset.f] ?? "");
  element.dataset.urgent = row.urgent;
  element.querySelector(".line").dataset.look = row.look;
  const bar = element.querySelector(".bar");
  bar.toggleAttribute("hidden", !row.bar);
  if (!row.bar) return;
  const [zone, line] = bar.children;
  zone.setAttribute("x", row.bar[0]);
  zone.setAttribute("width", row.bar[1]);
  line.setAttribute("width", row.bar[2]);
}

// -- the connection -------------------------------------------------------------------------------------

function watch() { // each second, and after each answer
  const now = performance.now();
  if (!session || document.hidden) return;
  const [page, floor] = [now - fetched, now - heard];
  const at = $("age").querySelector("time").textContent;
  const old = `данные на ${at}, им ${Math.round(page / 1000)} с`;
  if (page > OLD_MS) lost(`Нет связи с сервером: ${old}. Пробую снова…`);
  else if (floor > SILENT_MS) lost(`Звонки на линии не обновляются ${Math.round(floor / 1000)} с. Пробую снова…`);
  else found();
  if ((floor > SILENT_MS || source?.readyState === EventSource.CLOSED) && now - opened > SILENT_MS / 2) follow();
}

function lost(words) {
  document.body.classList.add("offline");
  text($("offline"), words);
  $("offline").hidden = false;
}

function found() {
  document.body.classList.remove("offline");
  $("offline").hidden = true;
  text($("offline"), "");
}

function ended() {
  session = false;
  source?.close();
  lost("Вход устарел. ");
  const link = made("a", "", "Войти");
  link.href = "/enter?next=/supervisor";
  $("offline").append(link);
}

function back() { // a hidden page was not kept fresh: that is no lost connection
  if (document.hidden) return;
  fetched = heard = performance.now();
  refresh();
}

if ($("floor")) {
  follow();
  setInterval(refresh, EVERY_MS);
  setInterval(watch, 1000);
  document.addEventListener("visibilitychange", back);
  document.addEventListener("selectionchange", selecting);
}
