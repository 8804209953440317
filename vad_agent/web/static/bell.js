// A callback is due: a sound, once for each of its attempts, and the title of the window, which flashes.

import { connection } from "./connection.js";
import { $, keep, kept, still, text } from "./page.js";
import { toggle } from "./settings.js";
import { headline, inCall } from "./state.js";

const sound = toggle("sound", (on) => { if (on) chime(); });
const sounded = new Set(kept("sessionStorage", "sounded", []));
let due = [];
let flash = false;
let audio = null;

/** `rows`: the callbacks that are due, the first one first. */
export function ring(rows) {
  due = rows;
  title();
  const name = (one) => `${one.id} ${one.key ?? one.attempt ?? ""}`;
  const fresh = rows.filter((one) => !sounded.has(name(one)));
  if (!fresh.length || inCall()) return; // in a call it would be heard for the client's
  for (const one of fresh) sounded.add(name(one));
  keep("sessionStorage", "sounded", [...sounded].slice(-200));
  const whom = fresh.map((one) => one.name || one.phone || "номер неизвестен");
  text($("announce"), `Пора перезвонить: ${whom.join(", ")}`);
  if (sound.on) chime();
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

export function title() {
  const plain = `${connection.cut ? "Нет связи" : headline() || "Панель"} · панель оператора`;
  const loud = due.length ? `● ПЕРЕЗВОНИТЕ${due[0].name ? ` · ${due[0].name}` : ""}` : plain;
  const words = due.length && (flash || still.matches) ? loud : plain;
  if (document.title !== words) document.title = words;
}

export function blink() { // each second
  flash = !flash;
  title();
}
