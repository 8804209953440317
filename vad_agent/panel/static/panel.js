// The operator's panel: what arrives over /panel/stream is shown, keys go to /panel/send. No truth of its own.
//
//   /panel/stream ── whole state, then what changed ──> state ──> view   (each message)
//                                                         └─────> frame  (clocks, between messages)
//   keys, buttons, forms ──> /panel/send        /panel/callbacks <── asked every 3 s, or where they have changed
//
// Text from elsewhere goes through textContent alone. What is typed lives in sessionStorage until it is sent.

const SILENT_MS = 8000; // the server says something every 5 s
const STALLED_MS = 3000; // in a call its time moves ten times a second
const FARTHEST_MS = 1000; // a clock runs no farther than this by itself
const FORGET_MS = 5000; // a question not answered, or a remark, is gone
const APART_MS = 400; // a double click is not two presses
const POLL_MS = 3000;
const TOLD_MS = 15000; // the same, where the server tells of changes
const OLD_MS = 15000; // callbacks not heard of for so long have no countdown
const REGRET_MS = 3000; // an outcome can be taken back for so long

const me = document.body.dataset;
const GONE = "Программа на вашей гарнитуре не запущена" + (me.logins === "yes" ? ` или работает не под логином ${me.operator}` : "");

const $ = (id) => document.getElementById(id);

// -- words ----------------------------------------------------------------------------------------------

const comma = (value, digits) => value.toFixed(digits).replace(".", ",");
const tenths = (value) => comma(Math.max(0, value), 1) + " с";
const short = (value) => comma(value, 2).replace(/,?0+$/, "");
const two = (value) => String(value).padStart(2, "0");

function clock(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

const hours = (ms) => { const at = new Date(ms); return `${two(at.getHours())}:${two(at.getMinutes())}`; };

function day(ms, now) {
  const [at, today] = [new Date(ms), new Date(now)];
  if (at.toDateString() === today.toDateString()) return `в ${hours(ms)}`;
  today.setDate(today.getDate() + 1);
  if (at.toDateString() === today.toDateString()) return `завтра в ${hours(ms)}`;
  return `${two(at.getDate())}.${two(at.getMonth() + 1)} в ${hours(ms)}`;
}

function iso(at) { // with the zone of this computer
  const minutes = -at.getTimezoneOffset();
  const zone = `${minutes < 0 ? "-" : "+"}${two(Math.floor(Math.abs(minutes) / 60))}:${two(Math.abs(minutes) % 60)}`;
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}` +
    `T${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}${zone}`;
}

// -- small things of the page ---------------------------------------------------------------------------

function text(element, value) {
  if (element.textContent !== value) element.textContent = value;
}

function mark(element, name, value) {
  if (element.dataset[name] !== value) element.dataset[name] = value;
}

function made(tag, kind, words) {
  const element = document.createElement(tag);
  if (kind) element.className = kind;
  if (words) element.textContent = words;
  return element;
}

function kept(storage, name, otherwise) {
  try {
    return JSON.parse(storage.getItem(`panel:${name}`)) ?? otherwise;
  } catch {
    return otherwise; // nothing may be stored here, or it is not ours
  }
}

function keep(storage, name, value) {
  try {
    if (value === null) storage.removeItem(`panel:${name}`);
    else storage.setItem(`panel:${name}`, JSON.stringify(value));
  } catch { /* nothing may be stored here: the page works all the same */ }
}

let remarkTimer = 0;

function remark(words) {
  text($("remark"), words);
  clearTimeout(remarkTimer);
  if (words) remarkTimer = setTimeout(() => remark(""), FORGET_MS);
}

// -- the server -----------------------------------------------------------------------------------------

let csrf = document.querySelector("meta[name=csrf]").content;

async function ask(method, path, body, options) {
  const asked = () => fetch(path, {
    method,
    redirect: "manual",
    cache: "no-store",
    headers: body === undefined ? {} : { "Content-Type": "application/json", "X-CSRF-Token": csrf },
    body: body === undefined ? undefined : JSON.stringify(body),
    ...options,
  });
  let answer = await asked();
  if (answer.status === 403 && body !== undefined && await renewed()) answer = await asked();
  return answer;
}

async function renewed() { // the server was started anew: the page's own token is another one
  const page = await fetch("/panel", { redirect: "manual", cache: "no-store" });
  if (!page.ok) return false;
  const found = new DOMParser().parseFromString(await page.text(), "text/html").querySelector("meta[name=csrf]");
  if (!found || found.content === csrf) return false;
  csrf = found.content;
  return true;
}

/** Empty: done. Otherwise what went wrong, in Russian. */
async function told(method, path, body, options) {
  try {
    const answer = await ask(method, path, body, options);
    if (answer.ok) return "";
    if (answer.type === "opaqueredirect" || answer.status === 401) { ended(); return "вход устарел: войдите снова"; }
    const { error } = await answer.json().catch(() => ({}));
    return typeof error === "string" ? error : `сервер ответил ${answer.status}`;
  } catch {
    return "нет связи: не отправлено";
  }
}

const send = (body) => told("POST", "/panel/send", body);

async function sent(body) {
  const wrong = cut ? "нет связи: не отправлено" : await send(body);
  if (wrong) remark(wrong);
  return wrong;
}

// -- the stream -----------------------------------------------------------------------------------------

const state = {};
let source = null;
let opened = -Infinity;
let heard = performance.now(); // anything
let changed = performance.now(); // more than a sign of life
let cut = ""; // why nothing of the state is shown; empty: it is
let session = true;

function open() {
  source?.close();
  opened = performance.now();
  source = new EventSource("/panel/stream");
  source.onmessage = (message) => take(JSON.parse(message.data));
  source.onerror = () => {
    lost("Нет связи с программой");
    if (source.readyState === EventSource.CLOSED) reason();
  };
}

async function reason() { // an event source does not tell why it was refused
  const stop = new AbortController();
  try {
    const answer = await fetch("/panel/stream", { redirect: "manual", cache: "no-store", signal: stop.signal });
    if (answer.type === "opaqueredirect" || [401, 403].includes(answer.status)) ended();
  } catch { /* no server: it is tried again */ }
  stop.abort();
}

function ended() {
  session = false;
  source?.close();
  lost("Вход устарел. Введённое сохранено.");
}

function take(news) {
  heard = performance.now();
  const keys = Object.keys(news);
  if (keys.length) {
    changed = heard;
    Object.assign(state, news);
    if ("clock" in news) anchorClock(heard);
    if ("phrase" in news) anchorPhrase(heard);
  }
  if (state.gone === true) lost(GONE, false);
  else if (cut && state.keys) found();
  if (keys.length && !cut) view(news);
  if ("callbacks" in news) polled = -Infinity;
  if (heard - polled > pollEvery()) poll(); // timers of a page in the background are late
}

function lost(why, again = true) {
  cut = why;
  document.body.classList.add("offline");
  text($("phase"), "Нет связи");
  const box = $("offline");
  const words = again && session ? `${why}. Переподключаюсь…` : why;
  if (box.firstChild?.textContent !== words) {
    box.replaceChildren(made("span", "", words));
    if (!session) {
      const link = made("a", "", "Войти");
      link.href = "/enter";
      box.append(" ", link);
    }
  }
  box.hidden = false;
  hush();
}

function found() {
  cut = "";
  document.body.classList.remove("offline");
  $("offline").hidden = true;
  $("offline").replaceChildren();
  announced.clear();
  view(state);
}

function watch() { // each second
  const now = performance.now();
  if (!session) return;
  if (now - heard > SILENT_MS) {
    lost("Нет связи с программой");
    if (now - opened > SILENT_MS / 2) open();
  } else if (!cut && inCall() && now - changed > STALLED_MS) {
    lost("Программа на гарнитуре не отвечает", false);
  } else if (source?.readyState === EventSource.CLOSED && now - opened > 2000) {
    open();
  }
}

const inCall = () => state.phase != null && state.phase !== "ended";

// -- clocks between messages ----------------------------------------------------------------------------
//
// value = base + time: the base is moved gently where a message came a little late, and at once where it is
// another clock. A clock that nothing was heard of for a second stands.

const silence = { runs: false, base: 0, at: 0 };
const phrase = { runs: false, base: 0, at: 0 };

function anchor(one, value, now) {
  const base = value - now / 1000;
  const off = base - one.base;
  one.base = one.runs && Math.abs(off) < 0.25 ? one.base + Math.max(off * 0.2, off > 0 ? off : -1) : base;
  one.at = now;
  one.runs = true;
}

const value = (one, now) => one.base + Math.min(now, one.at + FARTHEST_MS) / 1000;

function anchorClock(now) {
  const seconds = state.clock?.silence_s;
  if (seconds == null) silence.runs = false;
  else anchor(silence, seconds, now);
}

let phraseText = null;

function anchorPhrase(now) {
  const one = state.phrase;
  if (!one) { phrase.runs = false; return; }
  const name = `${one.text} ${one.to_s - one.from_s > 0}`;
  if (name !== phraseText) phrase.runs = false;
  phraseText = name;
  anchor(phrase, -one.from_s, now);
}

let asleep = true;

function wake() {
  if (!asleep || cut || !(silence.runs || phrase.runs)) return;
  asleep = false;
  requestAnimationFrame(frame);
}

function frame() {
  asleep = true;
  if (cut) return;
  const now = performance.now();
  showClock(now);
  showSay(now);
  wake();
}

function hush() {
  silence.runs = phrase.runs = false;
}

// -- the view -------------------------------------------------------------------------------------------

function view(news) {
  const now = performance.now();
  if ("phase_text" in news) text($("phase"), state.phase_text);
  if ("call_s" in news || "phase" in news) text($("call-time"), state.phase == null ? "" : clock(Math.floor(state.call_s)));
  if ("client_name" in news) text($("client"), state.client_name ?? "");
  if ("guessed" in news) $("guessed").hidden = !state.guessed;
  if ("mode_text" in news) text($("mode"), `· ${state.mode_text}`);
  if ("operator" in news) text($("operator"), state.operator);
  if ("sides" in news) for (const [name, side] of Object.entries(state.sides)) showSide(name, side);
  if ("keys" in news) showKeys();
  if ("messages" in news) showMessages();
  if ("callback" in news) {
    text($("callback").firstElementChild, state.callback ?? "");
    $("callback").hidden = !state.callback;
  }
  if (["hang_up", "voice_problem", "sides"].some((key) => key in news)) showAlarms();
  showClock(now);
  showSay(now);
  announce();
  if ("phase_text" in news) title();
  wake();
}

function showSide(name, side) {
  const box = $(`side-${name}`);
  if (!box) return;
  mark(box, "kind", side.kind);
  text(box.querySelector(".words"), side.text);
  text(box.querySelector("small"), side.device ?? "");
  const level = `scaleX(${side.level})`;
  const bar = box.querySelector("i");
  if (bar.style.transform !== level) bar.style.transform = level;
}

function showAlarms() {
  const words = [];
  if (state.hang_up) words.push("ЗАВЕРШИТЕ ЗВОНОК");
  for (const side of Object.values(state.sides ?? {})) if (side.lost) words.push(side.text);
  if (state.voice_problem) words.push(`Фразы не озвучить, говорите сами: ${state.voice_problem}`);
  const box = $("alarms");
  const shown = [...box.children];
  for (const one of shown) if (!words.includes(one.textContent)) one.remove();
  for (const one of words) {
    if (shown.some((known) => known.textContent === one && known.isConnected)) continue;
    box.append(made("p", one === words[0] && state.hang_up ? "alarm loud" : "alarm", one));
  }
}

function showMessages() {
  const list = $("messages").querySelector("ol");
  const rows = (state.messages ?? []).map(([at, words]) => {
    const row = made("li");
    row.append(made("time", "digits", clock(Math.floor(at))), made("span", "", words));
    return row;
  });
  list.replaceChildren(...rows.reverse());
}

function showClock(now) {
  const told = state.clock;
  if (!told) return;
  const [box, bar] = [$("clock"), $("clock-bar")];
  text($("clock-name"), told.held ? "Держат" : inCall() ? "Тишина" : "");
  const runs = silence.runs && told.silence_s != null;
  const seconds = runs ? Math.max(0, value(silence, now)) : 0;
  const known = told.lo_s != null && told.hi_s != null;
  const span = known ? told.hi_s * 1.15 : 1;
  bar.hidden = !inCall() || !known;
  if (!runs) {
    mark(box, "look", told.odd ? "odd" : "still");
    text($("clock-value"), "");
    text($("clock-words"), told.stands ?? "");
  } else {
    const stalled = now - silence.at > FARTHEST_MS;
    const past = known && seconds > told.hi_s;
    const inside = known && seconds >= told.lo_s && !past;
    mark(box, "look", stalled ? "still" : past ? "past" : inside ? "in" : "on");
    text($("clock-value"), told.held ? clock(Math.floor(seconds)) : tenths(seconds));
    const from = known ? `из ${told.held ? `${clock(told.lo_s)}–${clock(told.hi_s)}` : `${short(told.lo_s)}–${short(told.hi_s)} с`}` : "фраза не нужна";
    text($("clock-words"), stalled ? `${from}, данные стоят` : past ? `${from}, поздно` : inside ? `${from}, пора` : from);
  }
  if (known) {
    const zone = `translateX(${(told.lo_s / span) * 100}%) scaleX(${(told.hi_s - told.lo_s) / span})`;
    if ($("clock-window").style.transform !== zone) $("clock-window").style.transform = zone;
    let share = Math.min(1, seconds / span);
    if (still.matches) share = Math.round(seconds * 10) / 10 / span;
    $("clock-fill").style.transform = `scaleX(${Math.min(1, share).toFixed(4)})`;
  }
}

const still = matchMedia("(prefers-reduced-motion: reduce)");
const paused = () => (state.keys ?? []).some(([letter, name]) => letter === "П" && name === "продолжить");

/** What the large block says now. */
function saying(now) {
  const one = state.phrase;
  if (paused() && !(one && one.state === "playing")) {
    return { look: "pause", title: "Пауза", text: "Контроль стоит, тишина не считается.", take: "Продолжить" };
  }
  if (one) return ofPhrase(one, now);
  if (state.hang_up && inCall()) return { look: "none", title: "Положите трубку в своём телефоне" };
  if (state.phase == null) return { look: "none", title: state.hang_up ? "Звонок окончен" : "Жду звонка" };
  if (state.phase === "ended") return { look: "none", title: "Звонок завершён" };
  const speaks = (state.sides?.client?.speaking ? "Клиент говорит" : "") || (state.sides?.operator?.speaking ? "Вы говорите" : "");
  return { look: "none", title: speaks || "Фраза не нужна" };
}

function ofPhrase(one, now) {
  const passed = phrase.runs ? value(phrase, now) : -one.from_s; // since the window opened
  const width = one.to_s - one.from_s;
  const words = `«${one.text}»`;
  const after = state.after == null ? "" : state.after === "" ? "затем: завершить звонок и перезвонить" : `затем: «${state.after}»`;
  const until = passed < 0 ? `через ${tenths(-passed)}` : "";
  if (one.state === "cue") {
    if (passed < 0) return { look: "soon", title: "СКАЖИТЕ", left: until, text: words, after };
    if (passed <= width) return { look: "now", title: "СКАЖИТЕ СЕЙЧАС", left: `ещё ${tenths(width - passed)}`, text: words, after };
    return { look: "late", title: "СКАЖИТЕ", left: `опоздание ${tenths(passed - width)}`, text: words, after };
  }
  if (one.state === "next") {
    return { look: "next", title: state.mode === "cue" ? "Приготовьтесь" : "Скоро прозвучит", left: until || "сейчас", text: words, after };
  }
  const heading = one.title ?? "Фраза";
  if (one.state === "asked") return { look: "asked", title: heading, left: until, text: words, after, take: "Остановить, скажу сам" };
  if (one.state === "playing") return { look: "air", title: heading, text: words, after, take: "Остановить, скажу сам" };
  return { look: one.state === "by_operator" ? "mine" : "next", title: heading, text: words, after };
}

function showSay(now) {
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

// -- what a screen reader is told: changes, never levels and clocks -------------------------------------

const announced = new Map();
let waiting = [];

function news(what, words) {
  if (announced.get(what) === words) return;
  const first = !announced.has(what);
  announced.set(what, words);
  if (words && !(first && what !== "phrase" && what !== "phase")) waiting.push(words);
}

function announce() {
  news("phase", state.phase_text ?? "");
  news("name", state.client_name ? `Клиент: ${state.client_name}` : "");
  for (const [name, side] of Object.entries(state.sides ?? {})) {
    news(name, side.kind === "odd" || side.kind === "bad" ? `${name === "client" ? "Клиент" : "Вы"}: ${side.text}` : "");
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

// -- keys: the terminal's letters, by place, so that the layout does not matter -------------------------

const PLACES = {
  KeyF: "А", KeyG: "П", KeyB: "И", KeyN: "Т", KeyE: "У", KeyR: "К", KeyY: "Н", KeyL: "Д", KeyD: "В",
  KeyP: "З", KeyC: "С", KeyJ: "О",
}; // Й, the way out, is where the program was started
const SURE = {
  Н: "Клиент вас не слышит? Прощаемся и перезваниваем",
  В: "Вы попрощались? Контроль до конца звонка выключится",
  З: "Звонок завершён?",
  С: "Звонок сорвался? Клиенту перезвонят",
};
const FORMS = { И: "name", Т: "phone", Д: "agreed" };
const DOES = {
  А: () => ({ command: "start_call" }),
  П: () => ({ kind: paused() ? "resume" : "pause" }),
  У: () => ({ kind: state.clock?.held ? "unhold" : "hold", party: "operator" }),
  К: () => ({ kind: "hold", party: "client" }),
  Н: () => ({ kind: "client_cannot_hear" }),
  В: () => ({ kind: "goodbye" }),
  З: () => ({ command: "end_call" }),
  С: () => ({ kind: "hangup", party: "client" }),
  О: () => ({ command: "undo" }),
};

let asked = null; // {letter, at}
let askedTimer = 0;

function showKeys() {
  const box = $("keys");
  const known = new Map([...box.children].map((one) => [one.dataset.letter, one]));
  let before = null;
  for (const [letter, name] of state.keys) {
    if (!DOES[letter] && !FORMS[letter]) continue;
    let button = known.get(letter);
    if (!button) {
      button = made("button", SURE[letter] ? "grave" : "");
      button.type = "button";
      button.dataset.letter = letter;
      button.append(made("span"), " ", made("kbd", "", SURE[letter] ? `${letter} ${letter}` : letter));
      button.addEventListener("click", () => press(letter));
    }
    known.delete(letter);
    text(button.firstElementChild, name);
    const place = before ? before.nextElementSibling : box.firstElementChild;
    if (place !== button) box.insertBefore(button, place);
    before = button;
  }
  for (const button of known.values()) button.remove();
}

const meaningful = (letter) => (DOES[letter] || FORMS[letter]) && (state.keys ?? []).some(([known]) => known === letter);

function press(letter) {
  remark("");
  const question = asked;
  if (question?.letter === letter) {
    if (considered()) answer(true);
    return;
  }
  answer(false);
  if (cut) { remark("нет связи: не отправлено"); return; }
  if (!meaningful(letter)) {
    if (letter === "А" && inCall()) remark("Звонок уже идёт");
    else if (letter !== "О" && letter !== "Т" && !inCall()) remark("Звонка нет. А: начать звонок");
    return;
  }
  if (FORMS[letter]) show(FORMS[letter]);
  else if (SURE[letter]) question_(letter);
  else sent(DOES[letter]());
}

function question_(letter) {
  asked = { letter, at: performance.now() };
  text($("sure-text"), SURE[letter]);
  text($("sure-yes").querySelector("kbd"), letter);
  $("sure").hidden = false;
  text($("announce"), `${SURE[letter]} Ещё раз ${letter}: да, Esc: нет`);
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
  if (cut) remark("нет связи: не отправлено");
  else if (!meaningful(question.letter)) remark("Звонка нет. А: начать звонок");
  else sent(DOES[question.letter]());
}

const considered = () => asked !== null && performance.now() - asked.at >= APART_MS;

$("sure-yes").addEventListener("click", () => { if (considered()) answer(true); });
$("sure-no").addEventListener("click", () => { if (considered()) answer(false); });
$("take-over").addEventListener("click", () => { if (!cut) sent(DOES.П()); });

let letters = kept(localStorage, "letters", true);

document.addEventListener("keydown", (event) => {
  if (event.repeat && (event.target.tagName === "BUTTON" || !event.target.matches?.("input"))) {
    if (event.key === "Enter" || event.key === " ") event.preventDefault(); // a key held down is one press
    return;
  }
  if (event.isComposing) return;
  if (event.key === "Escape") { escape(event); return; }
  if (event.target.matches?.("input:not([type=checkbox])")) return;
  if (event.key === "Enter" && asked && event.target.id !== "sure-no") {
    event.preventDefault();
    if (considered()) answer(true);
    return;
  }
  if (!letters || event.metaKey || event.altKey) return;
  if (event.ctrlKey) {
    if (event.code === "KeyZ" && meaningful("О")) { event.preventDefault(); press("О"); }
    return;
  }
  const digit = /^(?:Digit|Numpad)([1-4])$/.exec(event.code);
  if (digit && !event.shiftKey) { outcomeKey(Number(digit[1])); return; }
  const letter = PLACES[event.code];
  if (!letter) return;
  event.preventDefault(); // the letter is not the first one of the line that opens
  press(letter);
});

function escape(event) {
  if (asked) { answer(false); return; }
  const form = event.target.closest?.("form.ask");
  if (form && $("form-" + form.id.slice(5)) === form) { leave(form.id.slice(5)); return; }
  if (regret()) return;
  const open = Object.values(FORMS).find((name) => !$(`form-${name}`).hidden);
  if (open) leave(open);
  remark("");
}

// -- forms: what is typed is kept until it is sent or given up -------------------------------------------

const form = (name) => $(`form-${name}`);

function show(name) {
  for (const other of Object.values(FORMS)) if (other !== name) form(other).hidden = true;
  const draft = kept(sessionStorage, `draft:${name}`, null);
  const one = form(name);
  const known = { name: state.client_name ?? "" };
  for (const field of one.querySelectorAll("input")) {
    field.value = draft?.values[field.name] ?? known[field.name] ?? "";
  }
  one.hidden = false;
  keepDraft(name);
  const first = one.querySelector("input");
  first.focus();
  first.select();
}

function keepDraft(name) {
  const fields = [...form(name).querySelectorAll("input")].map((field) => [field.name, field.value]);
  keep(sessionStorage, `draft:${name}`, { values: Object.fromEntries(fields), open: !form(name).hidden });
}

function leave(name) {
  const one = form(name);
  const within = one.contains(document.activeElement);
  one.hidden = true;
  one.reset();
  mistake(one, "");
  keep(sessionStorage, `draft:${name}`, null);
  if (within) {
    const letter = Object.keys(FORMS).find((known) => FORMS[known] === name);
    $("keys").querySelector(`[data-letter="${letter}"]`)?.focus();
  }
}

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

function clientName(words) {
  if (!/^[\p{L}\p{M} \-.'’]*$/u.test(words)) throw new Error("в имени только буквы");
  if (words && !/\p{L}/u.test(words)) throw new Error("в имени нет букв");
  return words;
}

function phoneNumber(words) {
  if (!words) return null;
  const digits = words.replace(/[ ()\-.]/g, "");
  if (!/^\+?[0-9]{5,15}$/.test(digits)) throw new Error("номер: от 5 до 15 цифр, пример +79123456789");
  return digits;
}

function agreedTime(words, now) {
  const minutes = /^\+ ?([0-9]{1,4})$/.exec(words);
  if (minutes) {
    if (minutes[1] < 1 || minutes[1] > 24 * 60) throw new Error("минут: от 1 до 1440");
    return new Date(now.getTime() + minutes[1] * 60000);
  }
  const time = /^([0-9]{1,2})[:.,;жЖ^ -]([0-9]{2})$/.exec(words);
  if (!time) throw new Error("пример: 15:30 или +20");
  if (time[1] > 23 || time[2] > 59) throw new Error("такого времени нет, пример: 15:30");
  const at = new Date(now);
  at.setHours(time[1], time[2], 0, 0);
  const minute = new Date(now);
  minute.setSeconds(0, 0);
  if (at < minute) at.setDate(at.getDate() + 1);
  return at;
}

const SUBMITS = {
  async name(one) {
    const name = read(one, "name", clientName);
    if (name === undefined) return;
    await submit(one, "name", [{ kind: "client_name", name }]);
  },
  async phone(one) {
    const phone = read(one, "phone", (words) => {
      if (!words) throw new Error("пример: +79123456789");
      return phoneNumber(words);
    });
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
      stepsBegin([name, day(at.getTime(), now.getTime()), phone].filter(Boolean).join(", "));
    }
  },
};

async function submit(one, name, events) {
  let wrong = cut ? "нет связи, введённое сохранено" : inCall() ? "" : "звонка уже нет, Esc: отмена";
  for (const event of events) wrong ||= await send(event);
  mistake(one, wrong);
  if (!wrong) leave(name);
  return !wrong;
}

for (const name of Object.values(FORMS)) {
  const one = form(name);
  one.addEventListener("input", () => { mistake(one, ""); keepDraft(name); });
  one.addEventListener("submit", (event) => { event.preventDefault(); SUBMITS[name](one); });
  one.querySelector(".leave").addEventListener("click", () => leave(name));
  const draft = kept(sessionStorage, `draft:${name}`, null);
  if (draft?.open) show(name);
}

// -- the steps that finish a call with a callback agreed -------------------------------------------------

const boxes = [...$("steps").querySelectorAll("input")];

function stepsBegin(about) {
  keep(sessionStorage, "steps", { about, ticked: [] });
  stepsShow();
  boxes[0].focus();
}

function stepsShow() {
  const kept_ = kept(sessionStorage, "steps", null);
  $("steps").hidden = !kept_;
  if (!kept_) return;
  text($("steps-about"), `Перезвон: ${kept_.about}`);
  for (const box of boxes) box.checked = kept_.ticked.includes(box.name);
  text($("steps-hide"), boxes.every((box) => box.checked) ? "Всё сделано, убрать" : "Убрать");
}

for (const box of boxes) {
  box.addEventListener("change", () => {
    const { about } = kept(sessionStorage, "steps", { about: "" });
    keep(sessionStorage, "steps", { about, ticked: boxes.filter((one) => one.checked).map((one) => one.name) });
    stepsShow();
  });
}
$("steps-hide").addEventListener("click", () => { keep(sessionStorage, "steps", null); stepsShow(); });
stepsShow();

// -- my callbacks ---------------------------------------------------------------------------------------

const OUTCOMES = [["reached", "Дозвонились"], ["no_answer", "Не ответил"], ["busy", "Занято"], ["machine", "Автоответчик"]];

const pollEvery = () => ("callbacks" in state ? TOLD_MS : POLL_MS);

let polled = -Infinity;
let polling = false;
let desk = document.body.dataset.callbacks === "yes";
let server = null; // {ms, at}: the server's clock at a moment of ours
let callbacks = [];
let rings = true; // a desk has them: what is due is rung
let pending = null; // {id, body, until, words}
let sounded = new Set(kept(sessionStorage, "sounded", []));
let sound = kept(localStorage, "sound", true);

const when = (told) => (told == null ? null : typeof told === "number" ? told * 1000 : Date.parse(told));
const serverNow = () => (server ? server.ms + performance.now() - server.at : null);

async function poll() {
  if (!desk || polling || !session) return;
  polling = true;
  const asked = polled = performance.now();
  try {
    const answer = await ask("GET", "/panel/callbacks");
    if (answer.status === 404) {
      desk = false;
      $("callbacks").hidden = true;
    } else if (answer.ok) {
      const told = await answer.json();
      const at = performance.now();
      server = { ms: when(told.now), at: (asked + at) / 2 };
      callbacks = told.callbacks;
      rings = told.rings !== false;
      showCallbacks();
    }
  } catch { /* what is shown says how old it is */ }
  polling = false;
}

const moment = (one) => when(one.next) ?? when(one.due);
const isOpen = (one) => one.state === "ringing" || (["waiting", "needs_person"].includes(one.state) && moment(one) !== null && moment(one) <= serverNow());

const isOverdue = (one) => one.overdue || (one.overdue_from != null && serverNow() > when(one.overdue_from));

function order(one, other) {
  const rank = (each) => (isOverdue(each) ? 0 : isOpen(each) ? 1 : 2);
  return rank(one) - rank(other) || (moment(one) ?? Infinity) - (moment(other) ?? Infinity);
}

function showCallbacks() {
  if (!desk || !server) return;
  const old = performance.now() - server.at > Math.max(OLD_MS, 2.5 * pollEvery());
  const now = serverNow();
  const status = $("callbacks-state");
  status.className = old ? "wrong" : "";
  text(status, old ? `Стол перезвонов не отвечает, данные на ${hours(server.ms)}` : !callbacks.length ? "Перезванивать некому" : rings ? "" : "Стол перезвонов не запущен: в срок звоните сами");
  const list = $("callbacks-list");
  const known = new Map([...list.children].map((row) => [row.dataset.id, row]));
  const rows = [...callbacks].sort(order);
  const active = rows.find((one) => one.phone && isOpen(one));
  rows.forEach((one, index) => {
    const row = known.get(one.id) ?? row_(one);
    known.delete(one.id);
    fillRow(row, one, now, old, one === active);
    if (list.children[index] !== row) list.insertBefore(row, list.children[index] ?? null);
  });
  for (const row of known.values()) row.remove();
  ring(old ? [] : rows.filter((one) => isOverdue(one) || isOpen(one)));
}

function row_(one) {
  const row = made("li", "one");
  row.dataset.id = one.id;
  const heading = made("h3");
  heading.append(made("span", "whom"), made("span", "when digits"));
  const outcomes = made("div", "row outcomes");
  OUTCOMES.forEach(([outcome, name], index) => {
    const button = made("button");
    button.type = "button";
    button.append(name, " ", made("kbd", "", String(index + 1)));
    button.addEventListener("click", () => chosen(row.dataset.id, outcome, name));
    outcomes.append(button);
  });
  const sending = made("p", "sending");
  sending.hidden = true;
  const undo = made("button", "undo");
  undo.type = "button";
  undo.hidden = true;
  undo.append("Отменить ", made("kbd", "", "Esc"));
  undo.addEventListener("click", regret);
  const number = made("form", "row number");
  number.noValidate = true;
  const label = made("label", "", "Номер не известен. Нашли? ");
  const field = made("input");
  field.name = "phone";
  field.type = "tel";
  field.maxLength = 60;
  field.autocomplete = "off";
  field.value = kept(sessionStorage, `number:${one.id}`, "");
  label.append(field);
  const save = made("button", "", "Записать");
  save.type = "submit";
  number.append(label, save);
  number.addEventListener("input", () => keep(sessionStorage, `number:${one.id}`, field.value || null));
  number.addEventListener("submit", (event) => { event.preventDefault(); saveNumber(row, one.id, field); });
  const called = made("button", "small called", "Клиент позвонил сам");
  called.type = "button";
  called.addEventListener("click", () => clientCalled(row, called));
  const wrong = made("p", "wrong");
  wrong.setAttribute("role", "alert");
  const phone = made("p", "phone");
  phone.append(made("a"));
  const opening = made("p", "opening");
  row.append(heading, phone, opening, made("p", "about"), outcomes, sending, undo, number, called, wrong);
  return row;
}

function fillRow(row, one, now, old, active) {
  const part = (kind) => row.querySelector(`.${kind}`);
  const late = isOverdue(one);
  const at = late ? when(one.due) : moment(one);
  const open = isOpen(one);
  mark(row, "look", late ? "over" : open ? "due" : "later");
  text(part("whom"), one.name || "Имя неизвестно");
  let words = at === null || one.state === "needs_number" ? one.state_text : day(at, now);
  if (!old && at !== null && one.state !== "needs_number") {
    if (late) words = `просрочен на ${clock((now - at) / 1000)}, ждал ${words}`;
    else if (open) words = `${one.state === "waiting" ? "пора" : one.state_text}, ${words}`;
    else words = `через ${clock(Math.ceil((at - now) / 1000))}, ${words}`;
  }
  text(part("when"), words);
  const link = part("phone").firstElementChild;
  part("phone").hidden = !one.phone;
  if (one.phone) {
    text(link, one.phone);
    const href = `tel:${String(one.phone).replace(/[^+0-9]/g, "")}`;
    if (link.getAttribute("href") !== href) link.setAttribute("href", href);
  }
  text(part("opening"), one.opening ? `«${one.opening}»` : "");
  const attempt = one.attempts ? `попытка ${Math.max(1, one.attempt ?? 1)} из ${one.attempts}` : "";
  text(part("about"), [attempt, one.reasons_text, one.topic ? `вопрос: ${one.topic}` : "", one.phone_given ? `сказан номер: ${one.phone_given}` : ""].filter(Boolean).join(" · "));
  const mine = pending?.id === one.id;
  part("outcomes").hidden = mine || !one.phone || !(open || late);
  for (const kbd of part("outcomes").querySelectorAll("kbd")) kbd.hidden = !active;
  part("sending").hidden = part("undo").hidden = !mine;
  if (mine) text(part("sending"), `${pending.words}: записываю…`);
  part("number").hidden = Boolean(one.phone);
  part("called").hidden = !one.phone || mine;
  row.dataset.key = one.key ?? "";
  row.dataset.phone = one.phone ?? "";
}

function outcomeKey(number) {
  const row = [...$("callbacks-list")?.children ?? []].find((one) => !one.querySelector(".outcomes").hidden && !one.querySelector("kbd").hidden);
  if (row) chosen(row.dataset.id, ...OUTCOMES[number - 1]);
}

function chosen(id, outcome, words) {
  flush();
  const row = rowOf(id);
  text(row.querySelector(".wrong"), "");
  pending = { id, body: { outcome, key: row.dataset.key || null }, words };
  pending.timer = setTimeout(flush, REGRET_MS);
  const within = row.contains(document.activeElement);
  showCallbacks();
  if (within) row.querySelector(".undo").focus();
}

const rowOf = (id) => [...$("callbacks-list").children].find((row) => row.dataset.id === id);

async function flush(options) {
  const one = pending;
  if (!one) return;
  clearTimeout(one.timer);
  pending = null;
  const wrong = await told("POST", `/panel/callbacks/${encodeURIComponent(one.id)}/outcome`, one.body, options);
  const row = rowOf(one.id);
  if (row) text(row.querySelector(".wrong"), wrong ? `${one.words}: ${wrong}` : "");
  showCallbacks();
  await poll();
}

function regret() {
  if (!pending) return false;
  const row = rowOf(pending.id);
  clearTimeout(pending.timer);
  pending = null;
  const within = row?.contains(document.activeElement);
  showCallbacks();
  if (within) row.querySelector(".outcomes button").focus();
  return true;
}

async function saveNumber(row, id, field) {
  let wrong = "";
  let phone = null;
  try {
    phone = phoneNumber(field.value.trim());
    if (!phone) wrong = "пример: +79123456789";
  } catch (error) {
    wrong = error.message;
  }
  wrong ||= await told("POST", `/panel/callbacks/${encodeURIComponent(id)}/number`, { phone });
  text(row.querySelector(".wrong"), wrong);
  if (wrong) return;
  keep(sessionStorage, `number:${id}`, null);
  await poll();
}

async function clientCalled(row, button) {
  const at = Number(button.dataset.at ?? 0);
  const now = performance.now();
  if (!at || now - at > FORGET_MS) {
    button.dataset.at = String(now);
    text(button, "Клиент позвонил сам? Ещё раз: да, перезвон закрыть");
    setTimeout(() => { button.dataset.at = "0"; text(button, "Клиент позвонил сам"); }, FORGET_MS);
    return;
  }
  if (now - at < APART_MS) return;
  button.dataset.at = "0";
  text(button, "Клиент позвонил сам");
  text(row.querySelector(".wrong"), await told("POST", "/panel/client-called", { phone: row.dataset.phone }));
  await poll();
}

// -- due: a sound, the title ----------------------------------------------------------------------------

let due = [];
let audio = null;

function ring(rows) {
  due = rows;
  title();
  const name = (one) => `${one.id} ${one.key ?? one.attempt ?? ""}`;
  const fresh = rows.filter((one) => !sounded.has(name(one)));
  if (!fresh.length || inCall()) return; // in a call it would be heard for the client's
  for (const one of fresh) sounded.add(name(one));
  keep(sessionStorage, "sounded", [...sounded].slice(-200));
  text($("announce"), `Пора перезвонить: ${fresh.map((one) => one.name || one.phone || "номер неизвестен").join(", ")}`);
  if (sound) chime();
}

async function chime() {
  audio ??= new AudioContext();
  await Promise.race([audio.resume(), new Promise((done) => setTimeout(done, 200))]);
  $("sound-blocked").hidden = audio.state === "running";
  if (audio.state !== "running") return;
  [660, 880, 660].forEach((pitch, index) => {
    const [tone, gain] = [audio.createOscillator(), audio.createGain()];
    const at = audio.currentTime + index * 0.22;
    tone.frequency.value = pitch;
    gain.gain.setValueAtTime(0, at);
    gain.gain.linearRampToValueAtTime(0.25, at + 0.02);
    gain.gain.linearRampToValueAtTime(0, at + 0.2);
    tone.connect(gain).connect(audio.destination);
    tone.start(at);
    tone.stop(at + 0.21);
  });
  setTimeout(() => audio.suspend(), 1500); // an open output costs processor time
}

document.addEventListener("pointerdown", () => { if ($("sound-blocked")) $("sound-blocked").hidden = true; });

let flash = false;

function title() {
  const plain = `${cut ? "Нет связи" : state.phase_text ?? "Панель"} · панель оператора`;
  const loud = due.length ? `● ПЕРЕЗВОНИТЕ${due[0].name ? ` · ${due[0].name}` : ""}` : plain;
  const words = due.length && (flash || still.matches) ? loud : plain;
  if (document.title !== words) document.title = words;
}

// -- settings -------------------------------------------------------------------------------------------

const THEMES = { system: "как в системе", light: "светлая", dark: "тёмная" };
let theme = kept(localStorage, "theme", "system");

function showTheme() {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  text($("theme"), `Тема: ${THEMES[theme]}`);
}

function showPressed() {
  $("letters").setAttribute("aria-pressed", String(letters));
  $("sound")?.setAttribute("aria-pressed", String(sound));
}

$("theme").addEventListener("click", () => {
  const names = Object.keys(THEMES);
  theme = names[(names.indexOf(theme) + 1) % names.length];
  keep(localStorage, "theme", theme);
  showTheme();
});
$("letters").addEventListener("click", () => { letters = !letters; keep(localStorage, "letters", letters); showPressed(); });
$("sound")?.addEventListener("click", () => {
  sound = !sound;
  keep(localStorage, "sound", sound);
  showPressed();
  if (sound) chime();
});

// -- on -------------------------------------------------------------------------------------------------

showTheme();
showPressed();
open();
poll();
setInterval(() => {
  watch();
  flash = !flash;
  title();
  if (desk && performance.now() - polled > pollEvery() - 500) poll();
  showCallbacks();
}, 1000);
addEventListener("pagehide", () => { flush({ keepalive: true }); source?.close(); });
addEventListener("pageshow", (event) => { if (event.persisted) open(); });
