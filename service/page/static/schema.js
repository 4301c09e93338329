// The service's description of its answers: their keys, the keys' roles, the filters, and which statuses end a process.
// It is loaded once, before any data.

import { count, label, moment, UNKNOWN } from "./format.js";

const MOST_COLUMNS = 3; // in addition to those of every table
const LONGEST_JSON = 2000;

const NAMES = { started: "Started", ended: "Ended", updated: "Last change", progress: "Progress", processed: "Processed", failed: "Failed", total: "Total", error: "Error" };

class Schema {
  isLearnt = false;
  keys = [];
  roles = {};
  filters = [];
  terminal = new Set();
  failed = new Set();
  collection = "";
  order_field = "";
  order_type = "";
  #pathKeys = []; // the answer keys that show the variables of a process's path, where the collection is a pattern

  // `description`: /ui/schema.json, see service/api/description.py.
  learn(description) {
    Object.assign(this, description);
    this.terminal = new Set(description.terminal);
    this.failed = new Set(description.failed);
    this.waiting = new RegExp(description.waiting, "i");
    this.cancelled = new RegExp(description.cancelled, "i");
    this.isLearnt = true;
    this.#pathKeys = this.path_variables.map((name) => this.filters.find((filter) => filter.name === name)?.key ?? null);
    this.roleOf = new Map(Object.entries(this.roles).filter(([, key]) => key !== null).map(([role, key]) => [key, role]));
  }

  // A unique name of a process: in a collection group, the variables of its path come before its ID, separated by slashes,
  // which no ID contains.
  named(process) {
    const above = this.#pathKeys.filter((key) => key !== null).map((key) => process[key]);
    return above.length ? { ...process, process_id: [...above, process.process_id].join("/") } : process;
  }

  // The path of requests for the process with this name, followed by `below`, and with these further parameters.
  pathOf(name, below = "", parameters = {}) {
    const ids = name.split("/");
    const query = new URLSearchParams(parameters);
    this.path_variables.filter((_, at) => this.#pathKeys[at] !== null).forEach((variable, at) => query.set(variable, ids[at] ?? ""));
    const text = query.toString();
    return `status/${encodeURIComponent(ids.at(-1))}${below}${text && "?"}${text}`;
  }

  has(...roles) {
    return roles.some((role) => (this.roles[role] ?? null) !== null);
  }

  // Whether any key shows the progress of a process.
  get hasProgress() {
    return this.has("progress", "processed", "failed");
  }

  // The value of a process for this role, or null.
  value(process, role) {
    return process[this.roles[role]] ?? null;
  }

  // Keys without a role. In lists only the first few of them.
  get others() {
    return this.keys.filter((key) => key.name !== "status" && !this.roleOf.has(key.name));
  }

  get columns() {
    return this.others.filter((key) => key.in_list).slice(0, MOST_COLUMNS);
  }

  // A key in words.
  labelOf(name) {
    return NAMES[this.roleOf.get(name)] ?? label(name);
  }

  // How much of a process is done: between 0 and 1; null if no key says it.
  share(process) {
    const progress = this.value(process, "progress");
    if (typeof progress === "number") return Math.min(1, Math.max(0, progress / this.progress_of));
    const [processed, failed, total] = ["processed", "failed", "total"].map((role) => this.value(process, role));
    if (processed === null || !(total > 0)) return null;
    return Math.min(1, Math.max(0, (processed + (failed ?? 0)) / total));
  }
}

export const schema = new Schema();

// A value as text, according to the type of its key.
export function textOf({ type }, value, nowMs) {
  if (value === null || value === undefined) return UNKNOWN;
  if (type === "time") return moment(value, nowMs);
  if (typeof value === "number") return count(value);
  if (typeof value === "boolean") return value ? "yes" : "no";
  return typeof value === "string" ? value : JSON.stringify(value).slice(0, LONGEST_JSON);
}
