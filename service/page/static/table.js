// The rows in their order: each process keeps its element, so what changes is the text in it.

import { byId, el } from "./dom.js";
import { columns, Row } from "./row.js";

export class Table {
  #body = byId("rows");
  #rows = new Map();

  constructor(open) {
    this.#body.addEventListener("click", (event) => {
      const row = event.target.closest("tr");
      if (row && !event.target.closest("a") && getSelection().isCollapsed) open(row.dataset.id);
    });
    this.#body.addEventListener("keydown", (event) => this.#move(event));
  }

  // Write the headings, once the columns are known.
  head() {
    const titles = [{ name: "state", title: "Status" }, { name: "id", title: "Process" }, ...columns(), { name: "changed", title: "Last change" }];
    byId("head").replaceChildren(...titles.map(({ name, title }) => el("th", { class: `of-${name}`, role: "columnheader", scope: "col", text: title })));
  }

  // `viewOf(process)`: see Row.show.
  show(processes, viewOf) {
    const gone = new Set(this.#rows.keys());
    let place = this.#body.firstElementChild;
    for (const process of processes) {
      const row = this.#row(process.process_id);
      gone.delete(process.process_id);
      row.show(process, viewOf(process));
      if (row.element === place) place = place.nextElementSibling;
      else this.#body.insertBefore(row.element, place);
    }
    for (const id of gone) {
      this.#rows.get(id).element.remove();
      this.#rows.delete(id);
    }
  }

  // Move the focus to a process's row, where it is shown.
  focus(id) {
    this.#rows.get(id)?.element.querySelector("a").focus();
  }

  focusFirst() {
    this.#body.querySelector("a")?.focus();
  }

  #row(id) {
    let row = this.#rows.get(id);
    if (row === undefined) this.#rows.set(id, (row = new Row()));
    return row;
  }

  #move(event) {
    const links = [...this.#body.querySelectorAll("a")];
    const at = links.indexOf(document.activeElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: links.length - 1 }[event.key];
    if (at < 0 || to === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    links[Math.min(Math.max(to, 0), links.length - 1)].focus();
  }
}
