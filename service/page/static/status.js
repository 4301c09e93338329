// The look of a status, from the schema's description, so that every word has a colour.

import { schema } from "./schema.js";

const KINDS = ["waiting", "running", "completed", "failed", "cancelled", "other"];

// The name of its colour in the style sheet.
export function kindOf(status) {
  if (status === null || status === undefined) return "other";
  if (!schema.terminal.has(status)) return schema.waiting.test(status) ? "waiting" : "running";
  if (schema.failed.has(status)) return "failed";
  return schema.cancelled.test(status) ? "cancelled" : "completed";
}

export const wordOf = (status) => status ?? "no status";

// Whether it ends a process.
export const isEnd = (status) => schema.terminal.has(status);

// Whether the process goes on: neither its status nor an end time says that it is over.
export const isOpen = (process) => schema.value(process, "ended") === null && !isEnd(process.status);

// The order of statuses: that of a process's life, then by name.
export function byLife(a, b) {
  return KINDS.indexOf(kindOf(a)) - KINDS.indexOf(kindOf(b)) || a.localeCompare(b);
}
