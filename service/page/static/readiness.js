// Polls /readyz for the freshness of the model. An open stream only proves that the service answers, not that Firestore still
// sends changes to it. Behind a load balancer, another replica can answer.
//
// `present` is the last answer with `heardAtMs`, or null while the service does not answer. Emits `change`.

import { NeedsKey } from "./api.js";

const INTERVAL_MS = 5000;
const INTERVAL_IN_TROUBLE_MS = 2000;
const TIMEOUT_MS = 10_000; // in an outage the service tries to reach Firestore first, for some seconds

export class Readiness extends EventTarget {
  #api;
  #serverAheadMs = 0;
  present = null;

  constructor(api) {
    super();
    this.#api = api;
  }

  // The service's time of day. The documents' times are compared with it, because this machine's clock can be wrong.
  now() {
    return Date.now() + this.#serverAheadMs;
  }

  // Poll again and again.
  async start() {
    while (await this.#lacksKey()) {
      await new Promise((resolve) => this.#api.addEventListener("key", resolve, { once: true }));
    }
    setTimeout(() => this.start(), this.present?.model_trusted ? INTERVAL_MS : INTERVAL_IN_TROUBLE_MS);
  }

  async #lacksKey() {
    try {
      const response = await this.#api.get("readyz", { signal: AbortSignal.timeout(TIMEOUT_MS), accepts: 503 });
      this.#setClock(response.headers.get("Date"));
      this.present = { ...(await response.json()), heardAtMs: Date.now() };
    } catch (error) {
      if (error.name !== "TimeoutError") this.present = null; // after a timeout the service is slow, but there
      if (error instanceof NeedsKey) return true;
    } finally {
      this.dispatchEvent(new Event("change"));
    }
    return false;
  }

  // `Date` has whole seconds, so a smaller difference means nothing.
  #setClock(date) {
    const ahead = Date.parse(date) - Date.now();
    this.#serverAheadMs = Math.abs(ahead) > 2000 ? ahead : 0;
  }
}
