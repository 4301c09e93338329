// Walks through GET /status with the filters of the moment, a page at a time. One request is under way at most: a new
// filter aborts the one of the old.

import { schema } from "./schema.js";

const PAGE = 50;

export class Pages {
  #api;
  #processes;
  #parameters = {};
  #token = null;
  #underWay = null;
  #listed = new Set();

  constructor(api, processes) {
    this.#api = api;
    this.#processes = processes;
    this.shown = PAGE;
  }

  // Whether the service has rows that were not asked for yet.
  get hasMore() {
    return this.#token !== null;
  }

  // From the newest again. Throws what Api.get does; resolves to false where newer filters have overtaken it.
  // `own`: the schema's filters.
  restart({ status, from, to, own }) {
    this.shown = PAGE;
    this.#token = null;
    this.#listed.clear();
    this.#parameters = { ...own, status, start_date: from, end_date: to };
    return this.#load();
  }

  // The newest once more, beside what is there.
  refresh() {
    this.#token = null;
    return this.#load();
  }

  // Whether a list with the filters of the moment has had it.
  has(id) {
    return this.#listed.has(id);
  }

  // The next page.
  more() {
    this.shown += PAGE;
    return this.#token === null ? Promise.resolve(true) : this.#load();
  }

  async #load() {
    this.#underWay?.abort();
    const underWay = (this.#underWay = new AbortController());
    this.#processes.beginPage();
    const query = new URLSearchParams({ limit: PAGE });
    for (const [name, value] of Object.entries({ ...this.#parameters, page_token: this.#token })) {
      if (value) query.set(name, value);
    }
    try {
      const response = await this.#api.get(`status?${query}`, { signal: underWay.signal });
      const page = await response.json();
      this.#token = page.next_page_token;
      const found = page.processes.map((process) => schema.named(process));
      this.#processes.add(found);
      for (const { process_id: id } of found) this.#listed.add(id);
      return true;
    } catch (error) {
      if (underWay.signal.aborted) return false;
      throw error;
    }
  }
}
