// The changes of one process that this page has seen, newest first, and the start that the document names.

import { el } from "./dom.js";
import { count, timeOfDay } from "./format.js";
import { kindOf } from "./status.js";

const more = (was, is, word) => {
  const difference = (is ?? 0) - (was ?? 0);
  if (difference === 0) return [];
  return [`${difference > 0 ? "+" : "−"}${count(Math.abs(difference))} ${word}, now ${count(is ?? 0)}`];
};

// What a change changed, in words.
export function wordsOf({ was, is }) {
  if (was === undefined) return [`appeared as ${is.status ?? "no status"}`];
  const words = [];
  if (was.status !== is.status) words.push(`${was.status ?? "no status"} → ${is.status ?? "no status"}`);
  words.push(...more(was.products_processed, is.products_processed, "processed"));
  words.push(...more(was.products_failed, is.products_failed, "failed"));
  if (was.csv_url !== undefined && was.csv_url !== is.csv_url) words.push("source file changed");
  if (was.start_time !== is.start_time) words.push("start time changed");
  return words.length ? words : ["touched"];
}

const entry = (ms, kind, text) =>
  el("li", { data: { kind } }, el("time", { text: timeOfDay(ms), datetime: new Date(ms).toISOString() }), el("span", { text }));

// A list element. `watchedSinceMs`: the page has seen no earlier change.
export function timeline(changes, watchedSinceMs) {
  const entries = changes.map((change) => {
    const turned = change.was?.status !== change.is.status;
    return entry(change.atMs, turned ? kindOf(change.is.status) : "step", wordsOf(change).join(" · "));
  });
  return el("ol", { class: "time-line" }, ...entries.reverse(), entry(watchedSinceMs, "begin", "this page began to watch"));
}
