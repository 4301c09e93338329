// How long to wait before the next try: longer each time, with jitter so that clients do not return all at once.

const LONGEST_MS = 15_000;

export class Backoff {
  #waitMs = 0;
  leastMs = 1000;

  next() {
    this.#waitMs = Math.min(Math.max(this.leastMs, this.#waitMs * 2), LONGEST_MS);
    return this.#waitMs * (0.75 + Math.random() / 2);
  }

  // Start again after a success.
  reset() {
    this.#waitMs = 0;
  }
}
