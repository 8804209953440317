// Questions to the server and what is sent there; the page's own token goes with whatever changes something.

import { connection, ended } from "./connection.js";
import { remark } from "./page.js";

let csrf = document.querySelector("meta[name=csrf]").content;

/** The answer, whatever it says; throws where there is none. `body`: undefined in a question. */
export async function ask(method, path, body, options) {
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
  const found = new DOMParser().parseFromString(await page.text(), "text/html");
  const token = found.querySelector("meta[name=csrf]");
  if (!token || token.content === csrf) return false;
  if (found.body.dataset.operator !== document.body.dataset.operator) { // another one has logged in here
    ended();
    return false;
  }
  csrf = token.content;
  return true;
}

/** Empty: done. Otherwise what went wrong, in Russian. */
export async function told(method, path, body, options) {
  try {
    const answer = await ask(method, path, body, options);
    if (answer.ok) return "";
    if (answer.type === "opaqueredirect" || answer.status === 401) {
      ended();
      return "вход устарел: войдите снова";
    }
    const { error } = await answer.json().catch(() => ({}));
    return typeof error === "string" ? error : `сервер ответил ${answer.status}`;
  } catch {
    return "нет связи: не отправлено";
  }
}

/** An event or a command, as the server's inlet has them; answers as `told`. */
export const send = (body) => told("POST", "/panel/send", body);

/** The same by a key: what went wrong stands under the keys. */
export async function sendKey(body) {
  const wrong = connection.cut ? "нет связи: не отправлено" : await send(body);
  if (wrong) remark(wrong);
}
