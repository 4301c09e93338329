// What a status looks like. The well-known ones have colours of their own; any other text is a status too.

const KINDS = {
  pending: "waiting",
  queued: "waiting",
  running: "running",
  processing: "running",
  completed: "completed",
  failed: "failed",
  cancelled: "cancelled",
};

// The name of its colour in the style sheet.
export const kindOf = (status) => (Object.hasOwn(KINDS, status ?? "") ? KINDS[status] : "other");

// A process without an end is still at work, whatever its status is called.
export const isOpen = (process) => process.end_time === null && !["completed", "failed", "cancelled"].includes(kindOf(process.status));

const ORDER = Object.keys(KINDS);

// Well-known ones first, in the order of a process's life; then by name.
export function byLife(a, b) {
  const [atA, atB] = [ORDER.indexOf(a), ORDER.indexOf(b)];
  if (atA >= 0 && atB >= 0) return atA - atB;
  return atA >= 0 ? -1 : atB >= 0 ? 1 : a.localeCompare(b);
}
