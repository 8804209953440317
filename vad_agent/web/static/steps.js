// The steps that finish a call with a callback agreed, to be ticked off. Kept until they are put away.

import { $, keep, kept, text } from "./page.js";

const boxes = [...$("steps").querySelectorAll("input")];

/** `about`: which callback. */
export function beginSteps(about) {
  keep("sessionStorage", "steps", { about, ticked: [] });
  show();
  boxes[0].focus();
}

function show() {
  const steps = kept("sessionStorage", "steps", null);
  $("steps").hidden = !steps;
  if (!steps) return;
  text($("steps-about"), `Перезвон: ${steps.about}`);
  for (const box of boxes) box.checked = steps.ticked.includes(box.name);
  text($("steps-hide"), boxes.every((box) => box.checked) ? "Всё сделано, убрать" : "Убрать");
}

for (const box of boxes) {
  box.addEventListener("change", () => {
    const { about } = kept("sessionStorage", "steps", { about: "" });
    const ticked = boxes.filter((one) => one.checked).map((one) => one.name);
    keep("sessionStorage", "steps", { about, ticked });
    show();
  });
}

$("steps-hide").addEventListener("click", () => {
  keep("sessionStorage", "steps", null);
  show();
});

show();
