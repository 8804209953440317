// Numbers and times as the page writes them.

const comma = (value, digits) => value.toFixed(digits).replace(".", ",");
const two = (value) => String(value).padStart(2, "0");

/** 2,1 с */
export const tenths = (seconds) => comma(Math.max(0, seconds), 1) + " с";

/** 2 or 2,5: as few digits as it needs. */
export const short = (value) => comma(value, 2).replace(/,?0+$/, "");

/** 3:42 or 1:03:42 */
export function clock(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

/** 15:30, of Unix time in ms */
export function hours(ms) {
  const at = new Date(ms);
  return `${two(at.getHours())}:${two(at.getMinutes())}`;
}

/** в 15:30, завтра в 15:30 or 02.03 в 15:30, of Unix times in ms */
export function day(ms, now) {
  const [at, today] = [new Date(ms), new Date(now)];
  if (at.toDateString() === today.toDateString()) return `в ${hours(ms)}`;
  today.setDate(today.getDate() + 1);
  if (at.toDateString() === today.toDateString()) return `завтра в ${hours(ms)}`;
  return `${two(at.getDate())}.${two(at.getMonth() + 1)} в ${hours(ms)}`;
}

/** For the server: with the zone of this computer. */
export function iso(at) {
  const east = -at.getTimezoneOffset();
  const minutes = Math.abs(east);
  const zone = `${east < 0 ? "-" : "+"}${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`;
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}` +
    `T${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}${zone}`;
}
