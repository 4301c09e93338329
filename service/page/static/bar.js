// The progress bar. The documents name no total, so it claims none: its colours are the shares of processed and failed
// among what has been handled; while the process runs, its end is open and in motion.

import { el, setAttribute, setText } from "./dom.js";
import { count, rate } from "./format.js";
import { isOpen, kindOf } from "./status.js";

export class Bar {
  #processed = el("span", { class: "processed" });
  #failed = el("span", { class: "failed" });
  #track = el("div", { class: "track" }, this.#failed, this.#processed);
  #counts = el("span", { class: "counts" });
  #losses = el("span", { class: "losses" });
  #speed = el("span", { class: "speed" });
  element = el("div", { class: "bar" }, this.#track, el("p", { "aria-hidden": "true" }, this.#counts, this.#losses, this.#speed));

  // `speed`: products a second, or null.
  show(process, speed) {
    const { products_processed: processed, products_failed: failed } = process;
    const running = isOpen(process);
    const handled = (processed ?? 0) + (failed ?? 0);
    this.#processed.style.flexGrow = processed ?? 0;
    this.#failed.style.flexGrow = failed ?? 0;
    this.#failed.hidden = !failed;
    const shape = handled === 0 ? "bare" : running ? "open" : "closed";
    this.#track.className = `track ${shape}${running ? " moving" : ""}`;
    this.#track.dataset.kind = kindOf(process.status);
    setText(this.#counts, processed === null && failed === null ? "no counts" : `✓ ${count(processed ?? 0)}`);
    setText(this.#losses, failed ? `✕ ${count(failed)}` : "");
    setText(this.#speed, running && speed ? rate(speed) : "");
    this.#describe(running, processed ?? 0, failed ?? 0);
  }

  // A progress bar without a value is one whose end is not known.
  #describe(running, processed, failed) {
    setAttribute(this.#track, "role", running ? "progressbar" : "img");
    const speed = this.#speed.textContent && `, ${this.#speed.textContent}`;
    setAttribute(this.#track, "aria-label", `${count(processed)} processed, ${count(failed)} failed${speed}`);
  }
}
