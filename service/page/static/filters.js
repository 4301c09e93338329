// The filters, the sort and the chosen process. They are kept in the URL's fragment: so a link shows the same everywhere, and
// never appears in the service's logs. The schema's own filters have a prefix there, because they can have any name.

const NARROWING = ["status", "stalled", "from", "to", "search"];
const NAMES = [...NARROWING, "sort", "process"];
const OWN = "filter.";
const DAY = /^\d{4}-\d\d-\d\d$/;

export class Filters extends EventTarget {
  own = {}; // the values of the schema's filters, by name

  constructor() {
    super();
    addEventListener("hashchange", () => this.#changed());
    this.#read();
  }

  // Change the URL, as a new step of the browser's history or in place of the present one. Emits `change`.
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
    return NARROWING.some((name) => this[name]) || Object.keys(this.own).length > 0;
  }

  // The changes that turn all filters off.
  get none() {
    const names = [...NARROWING, ...Object.keys(this.own).map((name) => OWN + name)];
    return Object.fromEntries(names.map((name) => [name, ""]));
  }

  // The change that sets one of the schema's filters.
  ownly(name, value) {
    return { [OWN + name]: value };
  }

  // The parameters for GET /status.
  get parameters() {
    return { ...this.parametersButForStatus, ...(this.status && { status: this.status }) };
  }

  // The parameters for the counters.
  get parametersButForStatus() {
    return { ...this.own, ...(this.from && { start_date: this.from }), ...(this.to && { end_date: this.to }) };
  }

  // Whether a process matches the search, which the service does not know.
  isFound(process) {
    return process.process_id.toLowerCase().includes(this.search.toLowerCase());
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
