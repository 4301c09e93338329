// One question, asked repeatedly. While nothing changes it costs a 304. One request is under way at most, so answers
// come in the order of the questions; none is sent while the page is hidden.
//
// Announces `change` after each answer and each failure. `isOpen`: null before the first of them, then whether the service
// answered last. `error` is the last failure, null after an answer.

import { NeedsKey, Refused } from "./api.js";
import { Backoff } from "./backoff.js";

const TIMEOUT_MS = 20_000; // in an outage the service tries to reach Firestore first, for some seconds

export class Poll extends EventTarget {
  #api;
  #question;
  #take;
  #path = null;
  #etag = null;
  #asking = new AbortController();
  #endPause = () => {};
  #isWoken = false;
  #backoff = new Backoff();
  isOpen = null;
  error = null;
  retryAtMs = 0;

  // `question()`: the path to ask for now, or null. `take(answer)` gets {body, askedAtMs, source, ageMs}, `body` null where
  // nothing has changed, and returns after how many milliseconds to ask again.
  constructor(api, question, take) {
    super();
    [this.#api, this.#question, this.#take] = [api, question, take];
    api.addEventListener("key", () => this.restart());
    addEventListener("online", () => this.wake());
    document.addEventListener("visibilitychange", () => this.wake());
  }

  async start() {
    for (;;) await this.#pause(await this.#ask());
  }

  // Ask now, or as soon as the request that is under way has its answer.
  wake() {
    this.#isWoken = true;
    this.#endPause();
  }

  // The question has changed: the answer that is under way is dropped.
  restart() {
    this.#asking.abort();
    this.wake();
  }

  // Resolves to the milliseconds until the next time.
  async #ask() {
    this.#isWoken = false;
    const path = this.#question();
    if (path === null || document.hidden) return Infinity;
    if (path !== this.#path) [this.#path, this.#etag] = [path, null];
    const asking = (this.#asking = new AbortController());
    try {
      const answer = await this.#answer(path, AbortSignal.any([asking.signal, AbortSignal.timeout(TIMEOUT_MS)]));
      if (asking.signal.aborted) return 0;
      this.#backoff.reset();
      const waitMs = this.#take(answer);
      this.#become({ isOpen: true, error: null });
      return waitMs;
    } catch (error) {
      return asking.signal.aborted ? 0 : this.#failed(error);
    }
  }

  async #answer(path, signal) {
    const headers = this.#etag === null ? {} : { "If-None-Match": this.#etag };
    const askedAtMs = Date.now();
    const response = await this.#api.get(path, { headers, signal, accepts: 304 });
    const body = response.status === 304 ? null : await response.json();
    this.#etag = response.headers.get("ETag");
    return { body, askedAtMs, source: response.headers.get("X-Cache"), ageMs: Number(response.headers.get("Age")) * 1000 };
  }

  // Where only another question or key can help, it waits until that comes.
  #failed(error) {
    const isWrong = error instanceof Refused && error.status < 500;
    const waitMs = this.#backoff.next();
    this.#become({ isOpen: error instanceof Refused, error, retryAtMs: Date.now() + waitMs });
    return isWrong || error instanceof NeedsKey ? Infinity : waitMs;
  }

  #become(fields) {
    Object.assign(this, fields);
    this.dispatchEvent(new Event("change"));
  }

  #pause(waitMs) {
    return new Promise((resolve) => {
      if (this.#isWoken) return resolve();
      const timer = waitMs < Infinity ? setTimeout(resolve, waitMs) : undefined;
      this.#endPause = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
