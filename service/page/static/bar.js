// The progress bar. If the process says how much is done, the bar is filled accordingly. Otherwise its colours show the
// shares of processed and failed items; while the process runs, the end of the bar is open and moves.

import { el, setAttribute, setText } from "./dom.js";
import { count, percent, rate } from "./format.js";
import { schema } from "./schema.js";
import { isOpen, kindOf } from "./status.js";

export class Bar {
  #processed = el("span", { class: "processed" });
  #failed = el("span", { class: "failed" });
  #rest = el("span", { class: "rest" });
  #track = el("div", { class: "track" }, this.#failed, this.#processed, this.#rest);
  #counts = el("span", { class: "counts" });
  #losses = el("span", { class: "losses" });
  #speed = el("span", { class: "speed" });
  #error = el("p", { class: "error" });
  element = el("div", { class: "bar" }, this.#track, el("p", { "aria-hidden": "true" }, this.#counts, this.#losses, this.#speed), this.#error);

  // `speed`: items per second, or null.
  show(process, speed) {
    const running = isOpen(process);
    const [processed, failed] = [schema.value(process, "processed"), schema.value(process, "failed")];
    const share = schema.share(process);
    this.#fill(process, { running, processed: processed ?? 0, failed: failed ?? 0, share });
    setText(this.#counts, countsOf(process, processed, failed, share));
    setText(this.#losses, failed ? `✕ ${count(failed)}` : "");
    setText(this.#speed, running && speed ? rate(speed) : "");
    this.#describe(process, running, share);
    const error = schema.value(process, "error");
    this.#error.hidden = error === null;
    setText(this.#error, error === null ? "" : String(error));
    setAttribute(this.#error, "title", this.#error.textContent);
  }

  #fill(process, { running, processed, failed, share }) {
    const handled = processed + failed;
    const done = share === null ? handled : handled === 0 ? share : processed * (share / handled);
    this.#processed.style.flexGrow = share === null ? processed : done;
    this.#failed.style.flexGrow = share === null ? failed : handled === 0 ? 0 : failed * (share / handled);
    this.#rest.style.flexGrow = share === null ? 0 : 1 - share;
    this.#failed.hidden = !failed;
    this.#rest.hidden = share === null || share === 1;
    const shape = share !== null ? "measured" : handled === 0 ? "bare" : running ? "open" : "closed";
    this.#track.className = `track ${shape}${running ? " moving" : ""}`;
    this.#track.dataset.kind = kindOf(process.status);
    this.#track.hidden = !schema.hasProgress;
  }

  // Without a value, a progress bar has no known end.
  #describe(process, running, share) {
    setAttribute(this.#track, "role", running ? "progressbar" : "img");
    for (const [name, value] of [["aria-valuemin", 0], ["aria-valuemax", 100], ["aria-valuenow", Math.round((share ?? 0) * 100)]]) {
      if (running && share !== null) setAttribute(this.#track, name, String(value));
      else this.#track.removeAttribute(name);
    }
    setAttribute(this.#track, "aria-label", [...wordsOf(process, share), this.#speed.textContent].filter(Boolean).join(", "));
  }
}

function countsOf(process, processed, failed, share) {
  const total = schema.value(process, "total");
  if (schema.value(process, "progress") !== null && share !== null) return percent(share);
  if (processed === null && failed === null) return schema.has("processed", "failed") ? "no counts" : "";
  return total === null ? `✓ ${count(processed ?? 0)}` : `${count(processed ?? 0)} of ${count(total)}`;
}

function wordsOf(process, share) {
  const [processed, failed, total] = ["processed", "failed", "total"].map((role) => schema.value(process, role));
  const words = schema.value(process, "progress") !== null && share !== null ? [percent(share)] : [];
  if (schema.has("processed")) words.push(`${count(processed ?? 0)}${total === null ? "" : ` of ${count(total)}`} processed`);
  if (schema.has("failed")) words.push(`${count(failed ?? 0)} failed`);
  return words;
}
