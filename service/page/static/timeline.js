// The changes of one process that this page has seen, newest first, and the start that the document names.

import { el } from "./dom.js";
import { count, label, percent, timeOfDay } from "./format.js";
import { schema } from "./schema.js";
import { kindOf, wordOf } from "./status.js";

const LONGEST = 40; // characters of a value that is shown in full

const more = (was, is, word) => {
  const difference = (is ?? 0) - (was ?? 0);
  if (difference === 0) return [];
  return [`${difference > 0 ? "+" : "−"}${count(Math.abs(difference))} ${word}, now ${count(is ?? 0)}`];
};

// A change in words.
export function wordsOf({ was, is }) {
  if (was === undefined) return [`appeared as ${wordOf(is.status)}`];
  const words = [];
  if (was.status !== is.status) words.push(`${wordOf(was.status)} → ${wordOf(is.status)}`);
  for (const role of ["processed", "failed"]) words.push(...more(schema.value(was, role), schema.value(is, role), role));
  if (schema.value(was, "progress") !== schema.value(is, "progress")) words.push(...percentOf(is));
  for (const role of ["started", "total", "error"]) words.push(...turned(schema.roles[role], was, is));
  for (const { name } of schema.others) words.push(...turned(name, was, is));
  return words.length ? words : ["touched"];
}

const percentOf = (process) => (schema.share(process) === null ? [] : [`now ${percent(schema.share(process))}`]);

function turned(key, was, is) {
  if (was[key] === undefined || is[key] === undefined || JSON.stringify(was[key]) === JSON.stringify(is[key])) return [];
  const isShown = typeof is[key] !== "object" && schema.roleOf.get(key) !== "started" && String(is[key]).length <= LONGEST;
  return [isShown ? `${label(key)}: ${is[key]}` : `${label(key)} changed`];
}

const entry = (ms, kind, text) =>
  el("li", { data: { kind } }, el("time", { text: timeOfDay(ms), datetime: new Date(ms).toISOString() }), el("span", { text }));

// A list element. `watchedSinceMs`: this page has seen no change before this time.
export function timeline(changes, watchedSinceMs) {
  const entries = changes.map((change) => {
    const turned = change.was?.status !== change.is.status;
    return entry(change.atMs, turned ? kindOf(change.is.status) : "step", wordsOf(change).join(" · "));
  });
  return el("ol", { class: "time-line" }, ...entries.reverse(), entry(watchedSinceMs, "begin", "this page began to watch"));
}
