// What is looked at, kept in the URL's fragment: a link shows others the same, and the service's logs never see it.

const NAMES = ["status", "from", "to", "search", "process"];
const DAY = /^\d{4}-\d\d-\d\d$/;

export class Filters extends EventTarget {
  constructor() {
    super();
    addEventListener("hashchange", () => this.#changed());
    this.#read();
  }

  // Go there, as a step of the browser's history or in place of the present one. Announces `change`.
  set(changes, { replace = false } = {}) {
    const link = this.link(changes);
    if (link === this.link({})) return;
    if (replace) history.replaceState(null, "", link);
    else history.pushState(null, "", link);
    this.#changed();
  }

  // A link to the present view with these changes.
  link(changes) {
    const present = Object.fromEntries(NAMES.map((name) => [name, this[name]]));
    const wanted = Object.entries({ ...present, ...changes }).filter(([, value]) => value);
    return `#${new URLSearchParams(wanted)}`;
  }

  get areSet() {
    return Boolean(this.status || this.from || this.to || this.search);
  }

  // All but the status: what the counters count.
  matchesButForStatus(process) {
    const day = process.start_time?.slice(0, 10) ?? "";
    if (this.from && day < this.from) return false;
    if (this.to && (day === "" || day > this.to)) return false;
    return !this.search || process.process_id.toLowerCase().includes(this.search.toLowerCase());
  }

  matches(process) {
    return (!this.status || process.status === this.status) && this.matchesButForStatus(process);
  }

  #read() {
    const fragment = new URLSearchParams(location.hash.slice(1));
    for (const name of NAMES) this[name] = fragment.get(name) ?? "";
    for (const name of ["from", "to"]) if (!DAY.test(this[name])) this[name] = "";
  }

  #changed() {
    this.#read();
    this.dispatchEvent(new Event("change"));
  }
}
