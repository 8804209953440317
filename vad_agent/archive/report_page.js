// The page of an audit: adds the cells that the filters choose, and draws. No network, no library.
"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const at = Object.fromEntries(data.sums.map((name, place) => [name, place]));
const $ = (id) => document.getElementById(id);
const number = (value, digits = 0) =>
  value.toLocaleString("ru", { minimumFractionDigits: digits, maximumFractionDigits: digits });
const share = (part, whole) => (whole ? number((100 * part) / whole, 1) + " %" : "–");
const mean = (sum, count, digits = 1) => (count ? number(sum / count, digits) + " с" : "–");
const escape = (text) =>
  String(text).replace(/[&<>"']/g, (sign) => "&#" + sign.charCodeAt(0) + ";");
const clock = (seconds) =>
  Math.floor(seconds / 60) + ":" + String(Math.floor(seconds % 60)).padStart(2, "0");
const dayName = (day) => (day ? day.split("-").reverse().join(".") : "дата неизвестна");

const chosen = () => ({
  operator: $("operator").value,
  from: $("from").value,
  to: $("to").value,
  hour: $("hour").value,
});
const fits = (one, [day, operator, hour]) =>
  (!one.operator || operator === one.operator) &&
  (!one.from || (day && day >= one.from.slice(0, day.length))) &&
  (!one.to || (day && day <= one.to.slice(0, day.length))) &&
  (!one.hour || hour === Number(one.hour));

function grouped(cells, key) {
  const groups = new Map();
  for (const cell of cells) {
    const name = key(cell);
    const sums = groups.get(name) || new Float64Array(data.width);
    for (const [place, value] of cell[3]) sums[place] += value;
    groups.set(name, sums);
  }
  return groups;
}

// -- drawings --------------------------------------------------------------------------------------

function bars(rows, { height = 150, label = (x) => x, name, unit = "" }) {
  const wide = Math.max(14, Math.min(60, 900 / Math.max(1, rows.length)));
  const most = Math.max(1e-9, ...rows.map((row) => row[1]));
  const width = rows.length * wide + 10;
  const every = Math.ceil(rows.length / (width / 52));
  const drawn = rows.map(([key, value, note], place) => {
    const tall = (value / most) * height;
    const x = place * wide + 5;
    const text = `${label(key)}: ${note ?? number(value, value % 1 ? 1 : 0) + unit}`;
    const below = place % every ? "" :
      `<text x="${x + wide / 2}" y="${height + 34}" text-anchor="middle">${escape(label(key))}</text>`;
    const above = wide < 26 || !value ? "" :
      `<text x="${x + wide / 2}" y="${height + 15 - tall}" text-anchor="middle">${number(value, value < 10 && value % 1 ? 1 : 0)}</text>`;
    return `<g><title>${escape(text)}</title><rect x="${x}" y="${height + 20 - tall}"
      width="${wide - 3}" height="${Math.max(tall, 0.5)}"/>${above}${below}</g>`;
  });
  return `<svg viewBox="0 0 ${width} ${height + 40}" style="max-width:${width}px" role="img"
    aria-label="${escape(name)}">${drawn.join("")}</svg>`;
}

function stacked(parts) {
  const whole = parts.reduce((sum, part) => sum + part.value, 0);
  if (!whole) return "<p class=hint>Пауз нет.</p>";
  return `<div class=stack>${parts
    .filter((part) => part.value)
    .map((part) => `<div class="${part.kind}" style="flex:${part.value}" title="${escape(part.name)}">
      ${share(part.value, whole)}</div>`)
    .join("")}</div><ul class=keys>${parts
    .map((part) => `<li class="${part.kind}">${part.name}: ${share(part.value, whole)}
      (${number(part.value / 60, 1)} мин)</li>`)
    .join("")}</ul>`;
}

// -- what stands out ------------------------------------------------------------------------------

const LEAST = 10; // calls, below which nobody is judged
const SURE = 3; // standard errors: some dozens of comparisons seldom give a false one
const STEP = 0.03; // a smaller difference is not worth a sentence

/** Wilson's interval of 95 % of a share. */
function interval(part, whole, z = 1.96) {
  const [p, w] = [part / whole, 1 + (z * z) / whole];
  const middle = p + (z * z) / (2 * whole);
  const wide = z * Math.sqrt((p * (1 - p)) / whole + (z * z) / (4 * whole * whole));
  return [(middle - wide) / w, (middle + wide) / w];
}

/** Groups whose share is above that of all others by more than chance; the highest first. */
function outliers(groups, part, whole) {
  const rows = [...groups].map(([key, s]) => ({ key, part: part(s), whole: whole(s) }));
  let inside = rows.filter((row) => row.whole > 0);
  const found = [];
  // The highest is taken out first, so that one bad group does not hide the next one.
  for (const row of [...inside].sort((a, b) => b.part / b.whole - a.part / a.whole)) {
    const others = inside.filter((one) => one !== row);
    const [k, n] = [sum(others, "part"), sum(others, "whole")];
    const pooled = (k + row.part) / (n + row.whole);
    const error = Math.sqrt(pooled * (1 - pooled) * (1 / n + 1 / row.whole));
    const more = row.part / row.whole - k / n;
    if (row.whole < LEAST || !n) continue;
    const [low] = interval(row.part, row.whole, SURE); // for a few calls, where `error` is too small
    if (!(more > STEP && more > SURE * error && low > k / n)) continue;
    found.push(row);
    inside = others;
  }
  const rest = { part: sum(inside, "part"), whole: sum(inside, "whole") };
  return { found, rest };
}
const sum = (rows, name) => rows.reduce((total, row) => total + row[name], 0);

const percent = (part, whole) => (whole ? Math.round((100 * part) / whole) + " %" : "–");
function told({ part, whole }) {
  const [low, high] = interval(part, whole);
  return `${percent(part, whole)} (${part} из ${whole}; от ${Math.round(100 * low)} до ${percent(high, 1)})`;
}

/** A sentence: who stands out, and how the others are. */
function compared(groups, part, whole, name, others, nobody) {
  const { found, rest } = outliers(groups, part, whole);
  if (!found.length) {
    const few = [...groups].every(([, s]) => whole(s) < LEAST);
    return few
      ? `${percent(rest.part, rest.whole)} (${rest.part} из ${rest.whole}). Звонков слишком мало, чтобы кого-то выделить.`
      : `${nobody}: ${percent(rest.part, rest.whole)} (${rest.part} из ${rest.whole}).`;
  }
  const list = found.map((row) => `<b>${escape(name(row.key))}</b> – ${told(row)}`);
  const more = rest.whole ? `; ${others} – ${percent(rest.part, rest.whole)}` : "";
  return list.join(", ") + more + ".";
}

const late = (s) => s[at.late_greeting] + s[at.no_greeting];
const judged = (s) => s[at.told];
const MEASURES = {
  greeting: [late, judged],
  early: [(s) => s[at.early_calls], (s) => s[at.live_calls]],
  left: [(s) => s[at.left_calls], (s) => s[at.live_calls]],
  waits: [(s) => s[at.wait_calls], judged],
  line: [(s) => s[at.line_calls], (s) => s[at.calls] - s[at.unreadable]],
  missing: [(s) => s[at.missing], (s) => s[at.owed]],
  rung: [(s) => s[at.late], (s) => s[at.owed]],
};
const hourName = (hour) => `${hour}:00–${hour}:59`;

/** Of the whole archive: a part of it, such as one operator, has nothing to be compared with. */
function headlines(cells, all) {
  const by = [1, 0, 2].map((place) => grouped(cells, (cell) => cell[place]));
  const [people, days, hours] = by;
  days.delete("");
  hours.delete(-1);
  const person = (measure) =>
    compared(people, ...MEASURES[measure], (x) => x, "у остальных", "никто не выделяется, в среднем");
  const day = (measure) =>
    compared(days, ...MEASURES[measure], dayName, "в остальные дни", "все дни похожи");
  const hour = (measure) =>
    compared(hours, ...MEASURES[measure], hourName, "в остальные часы", "все часы похожи");
  const seconds = (value) => number(value, value % 1 ? 1 : 0) + " с";
  const [owed, gone] = [all[at.owed], all[at.missing]];
  const callbacks = !data.joined
    ? "Не сверялись: запустите аудит с --callbacks."
    : `Должны перезвонить после ${owed} звонков: <a href="#callbacks">${gone} раз</a> никто не запросил перезвон, ${all[at.late]} раз перезвонили поздно.
       <br>Не запрашивает: ${person("missing")}<br>Перезванивает поздно: ${person("rung")}`;
  const worst = document.querySelector("#worst details");
  const list = [
    [`Кто поздно здоровается`, `позже ${seconds(data.greeting_s)} или вовсе нет`, upper(person("greeting"))],
    [`Когда клиенты ждут`, `ответа дольше ${seconds(data.dead_air_s)}`,
      `${upper(hour("waits"))}<br>По дням: ${day("waits")}<br>По операторам: ${person("waits")}`],
    [`Каких перезвонов нет`, "", callbacks],
    [`Линия или люди`, `тишина дольше ${seconds(data.dead_air_s)}, потому что с линии нет звука`,
      `${verdict(people, days)}<br>Из всех пауз ждали клиента ${share(all[at.dead_client_s], all[at.dead_s])}, оператора
       ${share(all[at.dead_operator_s], all[at.dead_s])}, не было линии ${share(all[at.dead_line_s], all[at.dead_s])}.<br>По операторам: ${person("line")}<br>По дням: ${day("line")}`],
    [`Фразы скрипта`, "в звонках без пауз из-за линии", `Говорит раньше срока: ${person("early")}<br>Не говорит: ${person("left")}`],
    [`Худший звонок`, "", worst ? `<a href="#worst" id="to-worst">${escape(head(worst))}</a>` : "Таких нет."],
  ];
  $("headlines").innerHTML = list
    .map(([title, hint, text]) =>
      `<div class=answer><h3>${title}${hint ? `<small>${hint}</small>` : ""}</h3><p>${text}</p></div>`)
    .join("");
}

const upper = (text) => text[0].toUpperCase() + text.slice(1);
function head(call) {
  const faults = [...call.querySelectorAll(".faults li")].map((one) => one.textContent);
  return `${call.querySelector("summary").firstChild.textContent}: ${faults.join("; ")}`;
}

/** What the outliers of the line mean. */
function verdict(people, days) {
  const names = outliers(people, ...MEASURES.line).found.map((row) => escape(row.key));
  const dates = outliers(days, ...MEASURES.line).found.map((row) => dayName(row.key));
  const found = [];
  if (names.length)
    found.push(`Проверьте аппарат и линию: <b>${names.join(", ")}</b> – это не вина оператора.`);
  if (dates.length)
    found.push(`<b>${dates.sort().join(", ")}</b> – сбой у всех: внешняя линия, а не люди.`);
  return found.join(" ") || "Ни у кого и ни в один день линия не отказывала чаще, чем у остальных.";
}

// -- parts -----------------------------------------------------------------------------------------

function tiles(all) {
  const calls = all[at.calls];
  const list = [
    [number(calls), "звонков"],
    [share(all[at.wrong_calls], all[at.told]), "не по скрипту", "bad"],
    [share(late(all), all[at.told]), "приветствие поздно или его нет", "bad"],
    [mean(all[at.greeting_s], all[at.greeted]), "до приветствия"],
    [number(all[at.owed]), "должны перезвонить"],
    [data.joined ? number(all[at.missing]) : "–", "перезвон не запрошен", "bad"],
    [data.joined ? number(all[at.late]) : "–", "перезвонили поздно", "bad"],
    [share(all[at.dropped], all[at.told]), "оборвались"],
    [share(all[at.spoke_over], all[at.told]), "перебивали клиента"],
    [share(all[at.dead_s], all[at.seconds]), "времени занимают паузы"],
  ];
  if (all[at.unreadable]) list.push([number(all[at.unreadable]), "записей не прочитать", "bad"]);
  $("tiles").innerHTML = list
    .map(([value, name, kind]) => `<div class="tile ${kind || ""}"><b>${value}</b>${name}</div>`)
    .join("");
}

const dayLabel = (day) => dayName(day).slice(0, day.length > 7 ? 5 : 7);

/** Rows of `bars`: a share in percent by day. */
function daily(cells, part, whole) {
  const days = [...grouped(cells, (cell) => cell[0])].filter(([day]) => day).sort();
  return days.map(([day, s]) =>
    [day, whole(s) ? (100 * part(s)) / whole(s) : 0, `${share(part(s), whole(s))} из ${whole(s)}`]);
}

function line(all, cells) {
  $("line").innerHTML = stacked([
    { kind: "operator", name: "Ждали оператора: последним говорил клиент", value: all[at.dead_operator_s] },
    { kind: "client", name: "Ждали клиента на живой линии", value: all[at.dead_client_s] },
    { kind: "dead", name: "Линия: нет сигнала, нет звука, гудки", value: all[at.dead_line_s] },
  ]) + "<h3>Звонков с паузой из-за линии по дням, %</h3>" +
    bars(daily(cells, ...MEASURES.line), { label: dayLabel, name: "линия по дням", height: 90 });
}

function trends(cells) {
  const days = [...grouped(cells, (cell) => cell[0])].filter(([day]) => day).sort();
  const rows = (value, note) => days.map(([day, sums]) => [day, value(sums), note(sums)]);
  const label = dayLabel;
  $("days").innerHTML =
    "<h3>Звонков не по скрипту, %</h3>" +
    bars(daily(cells, (s) => s[at.wrong_calls], judged), { label, name: "не по скрипту по дням" }) +
    "<h3>Перезвонов не запрошено и поздних</h3>" +
    (!data.joined ? "<p class=hint>Не сверялись со стойкой.</p>" : bars(rows((s) => s[at.missing] + s[at.late], (s) => `${s[at.missing]} не запрошено, ${s[at.late]} поздно`),
      { label, name: "перезвоны по дням", height: 90 }));
  const hours = [...grouped(cells, (cell) => cell[2])].filter(([hour]) => hour >= 0);
  hours.sort((a, b) => a[0] - b[0]);
  $("hours").innerHTML =
    `<h3>Звонков, где клиент ждал ответа дольше ${number(data.dead_air_s)} с, %</h3>` +
    bars(hours.map(([hour, s]) => [hour, s[at.told] ? (100 * s[at.wait_calls]) / s[at.told] : 0,
      `${share(s[at.wait_calls], s[at.told])} из ${s[at.told]}, ${mean(s[at.dead_operator_s], s[at.calls])} на звонок`]),
      { label: (hour) => hour + ":00", name: "ожидание по часам" }) +
    "<h3>Звонков</h3>" +
    bars(hours.map(([hour, s]) => [hour, s[at.calls]]),
      { label: (hour) => hour + ":00", name: "звонки по часам", height: 70 });
}

const COLUMNS = [
  ["Оператор", (s, name) => name, (s, name) => escape(name)],
  ["Звонков", (s) => s[at.calls], (s) => number(s[at.calls])],
  ["Не по скрипту", (s) => s[at.wrong_calls] / (s[at.told] || 1), (s) => share(s[at.wrong_calls], s[at.told])],
  ["Раньше срока", ...measured("early")],
  ["Нет фразы", ...measured("left")],
  ["Здоровается через", (s) => s[at.greeting_s] / (s[at.greeted] || 1), (s) => mean(s[at.greeting_s], s[at.greeted])],
  ["Здоровается поздно", ...measured("greeting")],
  ["Перебивания", (s) => s[at.spoke_over] / (s[at.told] || 1), (s) => share(s[at.spoke_over], s[at.told])],
  ["Ответ клиенту через", (s) => s[at.response_s] / (s[at.answered] || 1), (s) => mean(s[at.response_s], s[at.answered], 2)],
  ["Клиент ждёт", ...measured("waits")],
  ["Перезвон не запрошен", ...measured("missing", data.joined)],
  ["Перезвон поздно", ...measured("rung", data.joined)],
  ["Пауза из-за линии", ...measured("line")],
];
/** Of a column with a share: its key, its text, and the measure by which a row may stand out. */
function measured(measure, known = true) {
  const [part, whole] = MEASURES[measure];
  return [
    (s) => part(s) / (whole(s) || 1),
    (s) => (known ? share(part(s), whole(s)) : "–"),
    measure,
  ];
}
let order = { column: 2, down: true };

/** `compared`: the cells of all operators, among whom one may stand out. */
function operators(cells, compared) {
  const { column, down } = order;
  const rows = [...grouped(cells, (cell) => cell[1])];
  const key = COLUMNS[column][1];
  rows.sort(([a, s], [b, t]) => {
    const [x, y] = [key(s, a), key(t, b)];
    const by = typeof x === "string" ? x.localeCompare(y, "ru", { numeric: true }) : x - y;
    return down ? -by : by;
  });
  const head = COLUMNS.map(([name], place) => {
    const sorted = place === column ? (down ? "descending" : "ascending") : "none";
    return `<th aria-sort="${sorted}"><button data-column="${place}">${name}</button></th>`;
  });
  const everybody = [...grouped(compared, (cell) => cell[1])];
  const out = COLUMNS.map(([, , , measure]) =>
    new Set(measure ? outliers(everybody, ...MEASURES[measure]).found.map((row) => row.key) : []));
  const body = rows.map(([name, sums]) =>
    `<tr>${COLUMNS.map(([, , text], place) =>
      `<td${out[place].has(name) ? " class=out" : ""}>${text(sums, name)}</td>`).join("")}</tr>`);
  $("operators").innerHTML =
    `<thead><tr>${head.join("")}</tr></thead><tbody>${body.join("")}</tbody>`;
}

function distributions(all) {
  let place = data.sums.length;
  $("distributions").innerHTML = data.bins
    .map(({ title, labels }) => {
      const rows = labels.map((label, number) => [label, all[place + number]]);
      place += labels.length;
      return `<div><h3>${title}</h3>${bars(rows, { name: title, height: 110 })}</div>`;
    })
    .join("");
}

function lists(filter) {
  let shown = 0;
  for (const item of document.querySelectorAll("[data-cell]")) {
    const fit = fits(filter, JSON.parse(item.dataset.cell));
    item.hidden = !fit;
    shown += fit;
  }
  for (const list of document.querySelectorAll("[data-list]")) {
    const rows = [...list.querySelectorAll("[data-cell]")];
    list.querySelector(".none").hidden = rows.some((row) => !row.hidden);
  }
}

function draw() {
  const filter = chosen();
  const cells = data.cells.filter((cell) => fits(filter, cell));
  const all = grouped(cells, () => "").get("") || new Float64Array(data.width);
  tiles(all);
  line(all, cells);
  trends(cells);
  operators(cells, data.cells.filter((cell) => fits({ ...filter, operator: "" }, cell)));
  distributions(all);
  lists(filter);
}

document.addEventListener("click", (event) => {
  if (event.target.closest("#to-worst")) {
    reset(); // a filter may hide it
    document.querySelector("#worst details").open = true;
  }
  const button = event.target.closest("[data-column]");
  if (!button) return;
  const column = Number(button.dataset.column);
  order = { column, down: order.column === column ? !order.down : column > 0 };
  draw();
  document.querySelector(`[data-column="${column}"]`).focus();
});
for (const id of ["operator", "from", "to", "hour"]) $(id).addEventListener("change", draw);
function reset() {
  for (const id of ["operator", "from", "to", "hour"]) $(id).value = "";
  draw();
}
$("all").addEventListener("click", reset);
draw();
headlines(data.cells, grouped(data.cells, () => "").get("") || new Float64Array(data.width));
