// What is looked at, kept in the URL's fragment: a link shows others the same, and the service's logs never see it.

// The schema's own filters stand there with a prefix, since they can have any name.

import { schema } from "./schema.js";

const NAMES = ["status", "from", "to", "search", "process"];
const OWN = "filter.";
const DAY = /^\d{4}-\d\d-\d\d$/;

export class Filters extends EventTarget {
  own = {}; // the values of the schema's filters, by name

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
    for (const [name, value] of Object.entries(this.own)) present[OWN + name] = value;
    const wanted = Object.entries({ ...present, ...changes }).filter(([, value]) => value);
    return `#${new URLSearchParams(wanted)}`;
  }

  get areSet() {
    return Boolean(this.status || this.from || this.to || this.search || Object.keys(this.own).length);
  }

  // The changes that turn all filters off.
  get none() {
    const own = Object.keys(this.own).map((name) => [OWN + name, ""]);
    return { status: "", from: "", to: "", search: "", ...Object.fromEntries(own) };
  }

  // The change that sets one of the schema's filters.
  ownly(name, value) {
    return { [OWN + name]: value };
  }

  // Whether a filter is set whose value no answer shows: only the service knows what it lets through.
  get needLists() {
    return schema.filters.some(({ name, key }) => key === null && name in this.own);
  }

  // All but the status: what the counters count. `isListed(id)`: whether a list with these filters has had it.
  matchesButForStatus(process, isListed) {
    if (this.needLists && !isListed(process.process_id)) return false;
    for (const { name, key } of schema.filters) {
      if (key !== null && name in this.own && String(process[key]) !== this.own[name]) return false;
    }
    const day = schema.has_days ? (process[schema.order_key]?.slice(0, 10) ?? "") : "";
    if (this.from && day < this.from) return false;
    if (this.to && (day === "" || day > this.to)) return false;
    return !this.search || process.process_id.toLowerCase().includes(this.search.toLowerCase());
  }

  matches(process, isListed) {
    return (!this.status || process.status === this.status) && this.matchesButForStatus(process, isListed);
  }

  #read() {
    const fragment = new URLSearchParams(location.hash.slice(1));
    for (const name of NAMES) this[name] = fragment.get(name) ?? "";
    const own = [...fragment].filter(([name, value]) => name.startsWith(OWN) && value);
    this.own = Object.fromEntries(own.map(([name, value]) => [name.slice(OWN.length), value]));
    for (const name of ["from", "to"]) if (!DAY.test(this[name])) this[name] = "";
  }

  #changed() {
    this.#read();
    this.dispatchEvent(new Event("change"));
  }
}
