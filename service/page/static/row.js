// One process as a row that is written to in place for as long as it is shown.

import { Bar } from "./bar.js";
import { el, glow, pulse, setAttribute, setText } from "./dom.js";
import { ago, moment } from "./format.js";
import { schema, textOf } from "./schema.js";
import { kindOf } from "./status.js";

export const hasProgress = () => schema.has("progress", "processed", "failed");

// The columns between a process's ID and its last change: each with its class and heading.
export function columns() {
  const shown = [];
  if (hasProgress() || schema.has("error")) shown.push({ name: "progress", title: hasProgress() ? "Progress" : "Error" });
  for (const key of schema.columns) shown.push({ name: "own", title: schema.labelOf(key.name), key });
  if (schema.has("started")) shown.push({ name: "started", title: "Started (UTC)" });
  return shown;
}

const cell = (className, ...children) => el("td", { class: className, role: "cell" }, ...children);

export class Row {
  #badge = el("span", { class: "badge" });
  #link = el("a");
  #bar = new Bar();
  #started = el("time");
  #changed = el("time");
  #pulse = el("span", { class: "pulse" });
  #process = null;
  #speed = null;
  #own = schema.columns.map((key) => [key, el("span")]);
  element = el(
    "tr",
    { role: "row" },
    cell("state", this.#badge),
    el("th", { class: "id", scope: "row", role: "rowheader" }, this.#link),
    ...columns().map(({ name, key }) => cell(name, this.#content(name, key))),
    cell("changed", this.#changed, this.#pulse),
  );

  #content(name, key) {
    if (name === "own") return this.#own.find(([each]) => each === key)[1];
    return name === "progress" ? this.#bar.element : this.#started;
  }

  // `view`: {link, isSelected, isFollowed, isNew, speed, changedMs, nowMs}.
  show(process, view) {
    const before = this.#process;
    if (process !== before || view.speed !== this.#speed) this.#bar.show(process, view.speed);
    if (process !== before) this.#write(process);
    if (view.isNew && before === null) glow(this.element);
    if (before !== null && process !== before) {
      if (before.status === process.status) pulse(this.#pulse);
      else glow(this.element);
    }
    [this.#process, this.#speed] = [process, view.speed];
    setAttribute(this.#link, "href", view.link);
    if (view.isSelected) setAttribute(this.#link, "aria-current", "true");
    else this.#link.removeAttribute("aria-current");
    this.element.classList.toggle("selected", view.isSelected);
    this.element.classList.toggle("unfollowed", !view.isFollowed);
    setText(this.#started, moment(schema.value(process, "started"), view.nowMs));
    setText(this.#changed, changed(process, view));
    for (const [key, element] of this.#own) setText(element, textOf(key, process[key.name], view.nowMs));
  }

  #write(process) {
    this.element.dataset.id = process.process_id;
    this.#badge.dataset.kind = kindOf(process.status);
    setText(this.#badge, process.status ?? "no status");
    setText(this.#link, process.process_id);
    setAttribute(this.#link, "title", process.process_id);
    setAttribute(this.#started, "datetime", schema.value(process, "started") ?? "");
    setAttribute(this.#changed, "datetime", schema.value(process, "updated") ?? "");
    setAttribute(this.#changed, "title", schema.value(process, "updated") ?? "");
  }
}

// When it last changed: as it says itself, else as this page has seen it.
export function changed(process, { changedMs, nowMs }) {
  if (schema.has("updated")) return ago(schema.value(process, "updated"), nowMs);
  return ago(changedMs === null ? null : new Date(changedMs).toISOString(), nowMs);
}
