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
    const text = `${label(key)}: ${note ?? number(value, 1) + unit}`;
    const below = place % every ? "" :
      `<text x="${x + wide / 2}" y="${height + 34}" text-anchor="middle">${escape(label(key))}</text>`;
    const above = wide < 26 || !value ? "" :
      `<text x="${x + wide / 2}" y="${height + 15 - tall}" text-anchor="middle">${number(value, value < 10 ? 1 : 0)}</text>`;
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

// -- parts -----------------------------------------------------------------------------------------

function tiles(all) {
  const calls = all[at.calls];
  const list = [
    [number(calls), "звонков"],
    [share(all[at.wrong_calls], all[at.told]), "не по скрипту", "bad"],
    [share(all[at.no_greeting], all[at.told]), "оператор не поздоровался", "bad"],
    [mean(all[at.greeting_s], all[at.greeted]), "до приветствия"],
    [number(all[at.owed]), "должны перезвонить"],
    [data.joined ? number(all[at.missing]) : "–", "перезвонов не запрошено", "bad"],
    [data.joined ? number(all[at.late]) : "–", "перезвонили поздно", "bad"],
    [share(all[at.dropped], all[at.told]), "оборвались"],
    [share(all[at.spoke_over], all[at.told]), "перебивали клиента"],
    [share(all[at.dead_s], all[at.seconds]), "времени – паузы"],
    [number(all[at.unreadable]), "записей не прочитано"],
  ];
  $("tiles").innerHTML = list
    .map(([value, name, kind]) => `<div class="tile ${kind || ""}"><b>${value}</b>${name}</div>`)
    .join("");
}

function line(all) {
  $("line").innerHTML = stacked([
    { kind: "operator", name: "Ждали оператора: последним говорил клиент", value: all[at.dead_operator_s] },
    { kind: "client", name: "Ждали клиента на живой линии", value: all[at.dead_client_s] },
    { kind: "dead", name: "Линия: цифровой ноль, нет звука, гудки", value: all[at.dead_line_s] },
  ]);
}

function trends(cells) {
  const days = [...grouped(cells, (cell) => cell[0])].filter(([day]) => day).sort();
  const rows = (value, note) => days.map(([day, sums]) => [day, value(sums), note(sums)]);
  const label = (day) => dayName(day).slice(0, day.length > 7 ? 5 : 7);
  $("days").innerHTML =
    "<h3>Звонков не по скрипту, %</h3>" +
    bars(rows((s) => (s[at.told] ? (100 * s[at.wrong_calls]) / s[at.told] : 0),
      (s) => `${share(s[at.wrong_calls], s[at.told])} из ${s[at.told]}`), { label, name: "не по скрипту по дням" }) +
    "<h3>Перезвонов не запрошено и поздних</h3>" +
    (!data.joined ? "<p class=hint>Не сверялись со стойкой.</p>" : bars(rows((s) => s[at.missing] + s[at.late], (s) => `${s[at.missing]} не запрошено, ${s[at.late]} поздно`),
      { label, name: "перезвоны по дням", height: 90 }));
  const hours = [...grouped(cells, (cell) => cell[2])].filter(([hour]) => hour >= 0);
  hours.sort((a, b) => a[0] - b[0]);
  $("hours").innerHTML =
    "<h3>Сколько клиент ждал оператора, секунд на звонок</h3>" +
    bars(hours.map(([hour, s]) => [hour, s[at.calls] ? s[at.dead_operator_s] / s[at.calls] : 0,
      `${mean(s[at.dead_operator_s], s[at.calls])}, звонков ${s[at.calls]}`]),
      { label: (hour) => hour + ":00", name: "ожидание по часам" }) +
    "<h3>Звонков</h3>" +
    bars(hours.map(([hour, s]) => [hour, s[at.calls]]),
      { label: (hour) => hour + ":00", name: "звонки по часам", height: 70 });
}

const COLUMNS = [
  ["Оператор", (s, name) => name, (s, name) => escape(name)],
  ["Звонков", (s) => s[at.calls], (s) => number(s[at.calls])],
  ["Не по скрипту", (s) => s[at.wrong_calls] / (s[at.told] || 1), (s) => share(s[at.wrong_calls], s[at.told])],
  ["До приветствия", (s) => s[at.greeting_s] / (s[at.greeted] || 1), (s) => mean(s[at.greeting_s], s[at.greeted])],
  ["Не поздоровался", (s) => s[at.no_greeting], (s) => number(s[at.no_greeting])],
  ["Перебивал", (s) => s[at.spoke_over] / (s[at.told] || 1), (s) => share(s[at.spoke_over], s[at.told])],
  ["Ответ клиенту через", (s) => s[at.response_s] / (s[at.answered] || 1), (s) => mean(s[at.response_s], s[at.answered], 2)],
  ["Клиент ждал, на звонок", (s) => s[at.dead_operator_s] / (s[at.calls] || 1), (s) => mean(s[at.dead_operator_s], s[at.calls])],
  ["Удержание, на звонок", (s) => s[at.hold_s] / (s[at.calls] || 1), (s) => mean(s[at.hold_s], s[at.calls])],
  ["Перезвон не запрошен", (s) => s[at.missing], (s) => (data.joined ? number(s[at.missing]) : "–")],
  ["Поздно", (s) => s[at.late], (s) => (data.joined ? number(s[at.late]) : "–")],
];
let order = { column: 2, down: true };

function operators(cells) {
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
  const body = rows.map(([name, sums]) =>
    `<tr>${COLUMNS.map(([, , text]) => `<td>${text(sums, name)}</td>`).join("")}</tr>`);
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
  line(all);
  trends(cells);
  operators(cells);
  distributions(all);
  lists(filter);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-column]");
  if (!button) return;
  const column = Number(button.dataset.column);
  order = { column, down: order.column === column ? !order.down : column > 0 };
  draw();
  document.querySelector(`[data-column="${column}"]`).focus();
});
for (const id of ["operator", "from", "to", "hour"]) $(id).addEventListener("change", draw);
$("all").addEventListener("click", () => {
  for (const id of ["operator", "from", "to", "hour"]) $(id).value = "";
  draw();
});
draw();
