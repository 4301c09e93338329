// The order of lists: newest first, with equal times by ID descending, as far as answers show the ordering field. And the
// sorts that the page does itself.

import { milliseconds } from "./format.js";
import { schema } from "./schema.js";
import { isOpen } from "./status.js";

// RFC 3339 in UTC with a fraction of any length becomes text that sorts by time; no value sorts as the oldest.
function sortable(process) {
  const value = process[schema.order_key] ?? null;
  if (typeof value !== "string") return value ?? -Infinity;
  return value.endsWith("Z") ? value.slice(0, 19) + value.slice(20, -1).padEnd(9, "0") : value;
}

export function precedes(a, b) {
  const [aValue, bValue] = [sortable(a), sortable(b)];
  if (aValue === bValue) return a.process_id > b.process_id;
  if (aValue === -Infinity || bValue === -Infinity) return bValue === -Infinity;
  return aValue > bValue;
}

export const byOrder = (a, b) => (precedes(a, b) ? -1 : 1);

// The duration until the end, or until now; NaN if it is not known.
export function durationMs(process, nowMs) {
  const ended = schema.value(process, "ended");
  const end = ended === null && isOpen(process) ? nowMs : milliseconds(ended);
  return end - milliseconds(schema.value(process, "started"));
}

// The time of the last change: from the document, or as this page has seen it; NaN if neither is known.
export const changedAtMs = (process, seenMs) => (schema.has("updated") ? milliseconds(schema.value(process, "updated")) : (seenMs ?? NaN));

export const STALLED_FIRST = "stalled";

// The sorts of the loaded rows. A first press sorts in the first direction.
const SORTS = {
  started: { title: "Started", ways: [["started", "oldest first"]] },
  duration: { title: "Duration", ways: [["-duration", "longest first"], ["duration", "shortest first"]] },
  changed: { title: "Last change", ways: [["-changed", "latest first"], ["changed", "longest ago first"]] },
};

// The column of a sort; "" for the order of the lists.
export function columnOf(sort) {
  const column = sort.replace("-", "");
  return Object.hasOwn(SORTS, column) && SORTS[column].ways.some(([name]) => name === sort) ? column : "";
}

// The sort in words; "" for the order of the lists.
export function wordsOfSort(sort) {
  const column = columnOf(sort);
  if (column === "") return "";
  const { title, ways } = SORTS[column];
  return `${title.toLowerCase()}, ${ways.find(([name]) => name === sort)[1]}`;
}

// The next sort, when the user presses the same column again.
export function nextSort(column, sort) {
  const names = SORTS[column].ways.map(([name]) => name);
  return names[names.indexOf(sort) + 1] ?? "";
}

// `valueOf(process, column)`: milliseconds. Equal values keep their order; rows without a value come last.
export function sorted(rows, sort, valueOf) {
  const column = columnOf(sort);
  if (column === "") return rows;
  const sign = sort.startsWith("-") ? -1 : 1;
  const values = new Map(rows.map((process) => [process, valueOf(process, column)]));
  return [...rows].sort((a, b) => {
    const [x, y] = [values.get(a), values.get(b)];
    if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y);
    return sign * (x - y);
  });
}
