// The answer of GET /stats for the present filters without a status: `present`, null before the first answer. And, requested
// less often, how many processes ended in each minute: `byMinute`.

import { Poll } from "./poll.js";
import { isEnd } from "./status.js";

const INTERVAL_MS = 1000;
export const MINUTES = 180; // of `byMinute`
const MINUTES_INTERVAL_MS = 10_000;

export class Statistics extends EventTarget {
  #polls;
  present = null;
  byMinute = null;

  constructor(api, filters) {
    super();
    const counts = () => `stats?${new URLSearchParams(filters.parametersButForStatus)}`.replace(/\?$/, "");
    const minutes = () => `stats?${new URLSearchParams({ ...filters.parametersButForStatus, by_minute: MINUTES })}`;
    this.#polls = [
      new Poll(api, counts, ({ body }) => this.#take({ present: body ?? this.present }, INTERVAL_MS)),
      new Poll(api, minutes, ({ body }) => this.#take({ byMinute: body?.finished_by_minute ?? this.byMinute }, MINUTES_INTERVAL_MS)),
    ];
    this.#polls[0].addEventListener("change", () => this.dispatchEvent(new Event("change")));
  }

  start() {
    for (const poll of this.#polls) poll.start();
  }

  // The filters have changed.
  restart() {
    for (const poll of this.#polls) poll.restart();
  }

  wake() {
    for (const poll of this.#polls) poll.wake();
  }

  // Whether the model's window has the whole collection; true while it is not known.
  get isWhole() {
    return this.present?.complete !== false;
  }

  // The number of processes with this status; of all for "". Null while it is not known.
  count(status) {
    if (this.present === null) return null;
    if (status === "") return this.present.processes;
    return Object.hasOwn(this.present.by_status, status) ? this.present.by_status[status] : 0;
  }

  get unfinished() {
    return Object.entries(this.present?.by_status ?? {}).reduce((sum, [status, count]) => (isEnd(status) ? sum : sum + count), 0);
  }

  #take(known, waitMs) {
    Object.assign(this, known);
    return waitMs;
  }
}
