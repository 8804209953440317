// The operator's panel: what arrives over /panel/stream is shown, keys go to /panel/send. No truth of its own.
//
//   /panel/stream ── whole state, then what changed ──> state ──> view   (each message)
//                                                         └─────> frame  (clocks, between messages)
//   keys, buttons, forms ──> /panel/send        /panel/callbacks <── asked every 3 s, or where they have changed
//
//   connection, server                    the stream; questions and answers
//   state, clocks                         what the headset has told; time between its messages
//   view, with say, line, announce        what that looks like, and what a screen reader is told of it
//   keys, forms, steps, questions         what the operator does
//   callbacks, with callback_row, desk    his callbacks; bell: one is due
//   page, words, typed, settings          know nothing of calls
//
// Text from elsewhere goes through textContent alone. What is typed lives in sessionStorage until it is sent.

import { announced } from "./announce.js";
import { blink } from "./bell.js";
import { flush, poll, pollInTime, showCallbacks } from "./callbacks.js";
import { anchorPhrase, anchorSilence } from "./clocks.js";
import { close, connection, ended, follow, found, lost, open, watch } from "./connection.js";
import { changedThere } from "./desk.js";
import { state } from "./state.js";
import { view } from "./view.js";

const me = document.body.dataset;
const LOGIN = me.logins === "yes" ? ` или работает не под логином ${me.operator}` : "";
const GONE = `Программа на вашей гарнитуре не запущена${LOGIN}`;
const EARLY_MS = 500; // a timer of each second may be a little early

const folded = (login) => login.normalize().trim().toLowerCase();
const isMine = (operator) => folded(operator) === folded(me.operator);

/** A message, empty where it is a sign of life alone. */
function take(news, now) {
  if (news.operator && !isMine(news.operator)) { ended(); return; } // another one has logged in in this browser
  const isNews = Object.keys(news).length > 0;
  Object.assign(state, news);
  if ("clock" in news) anchorSilence(state.clock, now);
  if ("phrase" in news) anchorPhrase(state.phrase, now);
  if (state.gone === true) lost(GONE, false);
  else if (connection.cut && state.keys) again();
  if (isNews && !connection.cut) view(news);
  if ("callbacks" in news) changedThere();
  pollInTime(); // timers of a page in the background are late
}

function again() {
  found();
  announced.clear();
  view(state);
}

follow(take);
poll();
setInterval(() => {
  watch();
  blink();
  pollInTime(EARLY_MS);
  showCallbacks();
}, 1000);
addEventListener("pagehide", () => { flush({ keepalive: true }); close(); });
addEventListener("pageshow", (event) => { if (event.persisted) open(); });
