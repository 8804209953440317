// Clocks between messages: the silence, and the phrase whose window comes.
//
//   value = base + time
//
// The base is moved gently where a message came a little late, and at once where it is another clock. A clock
// that nothing was heard of for a second stands. Times of a page, `now` and `at`, are performance.now(), in ms.

export const FARTHEST_MS = 1000; // a clock runs no farther than this by itself

export const silence = { runs: false, base: 0, at: 0 }; // s that nothing is heard
export const phrase = { runs: false, base: 0, at: 0 }; // s since its window opened; below 0: until it does

/** In seconds. */
export const value = (one, now) => one.base + Math.min(now, one.at + FARTHEST_MS) / 1000;

function anchor(one, value, now) {
  const base = value - now / 1000;
  const off = base - one.base;
  one.base = one.runs && Math.abs(off) < 0.25 ? one.base + Math.max(off * 0.2, off > 0 ? off : -1) : base;
  one.at = now;
  one.runs = true;
}

/** `told`: state.clock */
export function anchorSilence(told, now) {
  if (told?.silence_s == null) silence.runs = false;
  else anchor(silence, told.silence_s, now);
}

let phraseName = null;

/** `told`: state.phrase */
export function anchorPhrase(told, now) {
  if (!told) { phrase.runs = false; return; }
  const name = `${told.text} ${told.to_s - told.from_s > 0}`;
  if (name !== phraseName) phrase.runs = false;
  phraseName = name;
  anchor(phrase, -told.from_s, now);
}

export function hush() {
  silence.runs = phrase.runs = false;
}
