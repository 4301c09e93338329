// The connection status. `live` needs two things: an answer to the list, and a confirmation of the service's model within
// its lease. Each failure has its own colour and text. While the status is `stale` or `reconnecting`, the rows are dimmed,
// and a line above them gives their time.

import { NeedsKey } from "./api.js";
import { byId, setText } from "./dom.js";
import { duration, timeOfDay } from "./format.js";

const WORDS = {
  connecting: "Connecting",
  live: "Live",
  stale: "Stale",
  reconnecting: "Reconnecting",
  locked: "Locked",
};

const OVERDUE_MS = 8000; // /readyz is polled every 5 s

// Pure. `list`: {isOpen, error, retryAtMs} of its poll; `readiness`: see Readiness.present. Returns [state, detail].
export function judge(list, readiness, nowMs) {
  if (list.error instanceof NeedsKey) return ["locked", "an API key or ID token is needed"];
  if (readiness === null) {
    if (list.isOpen === null) return ["connecting", ""];
    return ["reconnecting", `the service does not answer; ${nextTry(list, nowMs)}`];
  }
  if (nowMs - readiness.heardAtMs > OVERDUE_MS && list.isOpen) return ["stale", "the service does not say how fresh this is"];
  if (!readiness.model_trusted) return ["stale", wordOf(readiness, nowMs)];
  if (!list.isOpen) return list.isOpen === null ? ["connecting", ""] : ["reconnecting", nextTry(list, nowMs)];
  return ["live", `confirmed by Firestore ${duration(confirmedMs(readiness, nowMs))} ago`];
}

const confirmedMs = (readiness, nowMs) => readiness.confirmed_s_ago * 1000 + nowMs - readiness.heardAtMs;

function wordOf(readiness, nowMs) {
  if (readiness.confirmed_s_ago === null) return `${readiness.reason}; rows are read now and then`;
  return `no word from Firestore for ${duration(confirmedMs(readiness, nowMs))}; rows may be old`;
}

function nextTry(list, nowMs) {
  const waitMs = list.retryAtMs - nowMs;
  return waitMs > 1000 ? `next try in ${duration(waitMs)}` : "trying now";
}

// Screen readers read the text when the state changes; the seconds after it are only visible.
export function showStatus([state, detail]) {
  const light = byId("light");
  if (light.dataset.state !== state) light.dataset.state = state;
  setText(byId("light-word"), WORDS[state]);
  setText(byId("light-detail"), detail);
}

// `asOfMs`: the time of the rows; null if there are none.
export function showAge([state], asOfMs) {
  const isOld = (state === "stale" || state === "reconnecting") && asOfMs !== null;
  byId("as-of").hidden = !isOld;
  byId("board").classList.toggle("dimmed", isOld);
  if (isOld) setText(byId("as-of-time"), `As of ${timeOfDay(asOfMs)}`);
}
