// What a person types, read: a value, or an error whose message stands beside the field.

/** Empty: to be forgotten. */
export function clientName(words) {
  if (!/^[\p{L}\p{M} \-.'’]*$/u.test(words)) throw new Error("в имени только буквы");
  if (words && !/\p{L}/u.test(words)) throw new Error("в имени нет букв");
  return words;
}

/** Digits, perhaps after a plus; null: nothing was typed. */
export function phoneNumber(words) {
  if (!words) return null;
  const digits = words.replace(/[ ()\-.]/g, "");
  if (!/^\+?[0-9]{5,15}$/.test(digits)) throw new Error("номер: от 5 до 15 цифр, пример +79123456789");
  return digits;
}

/** As `phoneNumber`, where there has to be one. */
export function somePhoneNumber(words) {
  if (!words) throw new Error("пример: +79123456789");
  return phoneNumber(words);
}

/** 15:30, the next one, or +20 minutes: a Date after `now`, a Date. */
export function agreedTime(words, now) {
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
