// The connection status. `live` needs two things: the stream is open, and Firestore has confirmed the service's model
// within its lease. Each failure has its own colour and its own words.

import { NeedsKey } from "./api.js";
import { byId, setText } from "./dom.js";
import { duration } from "./format.js";

const WORDS = {
  connecting: "Connecting",
  live: "Live",
  stale: "Stale",
  reconnecting: "Reconnecting",
  locked: "Locked",
};

const OVERDUE_MS = 8000; // it is asked every 5 s

// Pure. `stream`: {isOpen, error, retryAtMs}; `readiness`: see Readiness.present. Returns [state, detail].
export function judge(stream, readiness, nowMs) {
  if (stream.error instanceof NeedsKey) return ["locked", "an API key is needed"];
  if (readiness === null) {
    if (stream.isOpen === null) return ["connecting", ""];
    return ["reconnecting", `the service does not answer; ${nextTry(stream, nowMs)}`];
  }
  if (nowMs - readiness.heardAtMs > OVERDUE_MS && stream.isOpen) return ["stale", "the service does not say how fresh this is"];
  if (!readiness.model_trusted) return ["stale", wordOf(readiness, nowMs)];
  if (!stream.isOpen) return stream.isOpen === null ? ["connecting", ""] : ["reconnecting", nextTry(stream, nowMs)];
  return ["live", `confirmed by Firestore ${duration(confirmedMs(readiness, nowMs))} ago`];
}

const confirmedMs = (readiness, nowMs) => readiness.confirmed_s_ago * 1000 + nowMs - readiness.heardAtMs;

function wordOf(readiness, nowMs) {
  if (readiness.confirmed_s_ago === null) return `${readiness.reason}; rows do not update by themselves`;
  return `no word from Firestore for ${duration(confirmedMs(readiness, nowMs))}; rows may be old`;
}

function nextTry(stream, nowMs) {
  const waitMs = stream.retryAtMs - nowMs;
  return waitMs > 1000 ? `next try in ${duration(waitMs)}` : "trying now";
}

// Screen readers read the words when the state changes; the seconds beside them are visible only.
export function showStatus([state, detail]) {
  const light = byId("light");
  if (light.dataset.state !== state) light.dataset.state = state;
  setText(byId("light-word"), WORDS[state]);
  setText(byId("light-detail"), detail);
}
