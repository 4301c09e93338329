// The panel: one process in full. It changes in place.

import { Bar } from "./bar.js";
import { byId, el, setAttribute, setText } from "./dom.js";
import { ago, count, duration, moment, rate, UNKNOWN, utc } from "./format.js";
import { linked } from "./linked.js";
import { changedAtMs, durationMs } from "./order.js";
import { productsTable } from "./products.js";
import { schema, textOf } from "./schema.js";
import { isOpen, kindOf, wordOf } from "./status.js";
import { timeline } from "./timeline.js";

// The facts that the panel shows for every process, if the answers have their keys.
function ownFacts() {
  const facts = ["started", "ended"].filter((role) => schema.has(role)).map((role) => schema.labelOf(schema.roles[role]));
  if (schema.has("started")) facts.push("Took");
  facts.push("Last change");
  for (const role of ["processed", "failed", "total"]) if (schema.has(role)) facts.push(schema.labelOf(schema.roles[role]));
  if (schema.has("processed")) facts.push("Speed");
  return facts;
}

const section = (title, ...children) => el("section", {}, el("h3", { text: title }), ...children);

export class Detail {
  #panel = byId("detail");
  #badge = el("span", { class: "badge" });
  #stalled = el("span", { class: "mark", text: "stalled", data: { kind: "stalled" } });
  #title = el("h2", { id: "detail-id", tabindex: "-1" });
  #notice = el("p", { class: "notice", role: "status" });
  #bar = new Bar();
  #facts = new Map(ownFacts().map((name) => [name, el("dd", { text: UNKNOWN })]));
  #others = new Map(schema.others.map((key) => [key, el("dd", { text: UNKNOWN })]));
  #products = el("div");
  #line = el("div");
  #shown = {};

  constructor(close) {
    const button = el("button", { class: "icon-button", type: "button", "aria-label": "Close", text: "✕" });
    button.addEventListener("click", close);
    const facts = [...this.#facts].flatMap(([name, value]) => [el("dt", { text: name }), value]);
    const others = [...this.#others].flatMap(([key, value]) => [el("dt", { text: schema.labelOf(key.name) }), value]);
    this.#panel.append(
      el("div", { class: "head" }, el("div", { class: "pills" }, this.#badge, this.#stalled), this.#title, button),
      this.#notice,
      this.#bar.element,
      el("dl", {}, ...facts),
      el("dl", { class: "others" }, ...others),
      ...(schema.has_products ? [section("Products", this.#products)] : []),
      section("Changes seen", this.#line),
    );
  }

  open(id) {
    this.#shown = {};
    setText(this.#title, id);
    this.#panel.hidden = false;
    this.#panel.classList.add("blank");
    this.#panel.scrollTop = 0;
  }

  close() {
    this.#panel.hidden = true;
  }

  focus() {
    this.#title.focus();
  }

  // `process` is undefined while nothing is known; `view`: {changes, watchedSinceMs, speed, changedMs, nowMs, products, stalledSince, notice}.
  show(process, view) {
    setText(this.#notice, view.notice);
    this.#notice.hidden = view.notice === "";
    if (process !== undefined) this.#showProcess(process, view);
    this.#once("products", view.products, (products) => this.#products.replaceChildren(...(products ? [productsTable(products)] : [])));
    this.#once("changes", view.changes, (changes) => this.#line.replaceChildren(timeline(changes, view.watchedSinceMs)));
  }

  #showProcess(process, { speed, changedMs, nowMs, stalledSince }) {
    this.#panel.classList.remove("blank");
    this.#badge.dataset.kind = kindOf(process.status);
    setText(this.#badge, wordOf(process.status));
    this.#stalled.hidden = stalledSince === null;
    setText(this.#stalled, `stalled, last written ${moment(stalledSince, nowMs)}`);
    setAttribute(this.#stalled, "title", utc(stalledSince));
    this.#panel.classList.toggle("stalled", stalledSince !== null);
    this.#bar.show(process, stalledSince === null ? speed : null);
    const [started, ended, updated] = ["started", "ended", "updated"].map((role) => schema.value(process, role));
    this.#fact("Started", moment(started, nowMs), utc(started));
    this.#fact("Ended", moment(ended, nowMs), utc(ended));
    this.#fact("Took", duration(durationMs(process, nowMs)));
    this.#fact("Last change", ago(changedAtMs(process, changedMs), nowMs), utc(updated));
    for (const role of ["processed", "failed", "total"]) this.#fact(schema.labelOf(schema.roles[role] ?? ""), count(schema.value(process, role)));
    this.#fact("Speed", speed === null || !isOpen(process) ? UNKNOWN : rate(speed));
    for (const [key, element] of this.#others) this.#once(`of ${key.name}`, textOf(key, process[key.name], nowMs), (text) => element.replaceChildren(linked(text)));
  }

  #fact(name, text, title) {
    if (!this.#facts.has(name)) return;
    setText(this.#facts.get(name), text);
    if (title) setAttribute(this.#facts.get(name), "title", title);
  }

  // Build a part again only if its content has changed, so that the user can go on reading or scrolling in it.
  #once(name, content, build) {
    if (name in this.#shown && this.#shown[name] === content) return;
    this.#shown[name] = content;
    build(content);
  }
}
