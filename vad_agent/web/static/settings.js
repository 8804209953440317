// What a person sets for this browser: the theme, and buttons that stay pressed. Kept by their names.

import { $, keep, kept, text } from "./page.js";

const THEMES = { system: "как в системе", light: "светлая", dark: "тёмная" };
const names = Object.keys(THEMES);

let theme = kept("localStorage", "theme", "system");
if (!names.includes(theme)) theme = "system"; // what is kept is not ours

function showTheme() {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  text($("theme"), `Тема: ${THEMES[theme]}`);
  $("theme").hidden = false;
}

$("theme").addEventListener("click", () => {
  theme = names[(names.indexOf(theme) + 1) % names.length];
  keep("localStorage", "theme", theme);
  showTheme();
});
showTheme();

/** The button of that id, where the page has one. `on`: pressed, as it is until somebody presses it. */
export function toggle(id, changed = () => {}) {
  const one = { on: kept("localStorage", id, true) };
  const show = () => $(id)?.setAttribute("aria-pressed", String(one.on));
  $(id)?.addEventListener("click", () => {
    one.on = !one.on;
    keep("localStorage", id, one.on);
    show();
    changed(one.on);
  });
  show();
  return one;
}
