// Server-Sent Events as text (WHATWG HTML, 9.2.6): a parser without a connection. EventSource can't send an API key.

export class EventParser {
  #rest = "";
  #name = "";
  #data = [];
  #id;

  // The events that this piece of the stream completes: {name, data, id}; `id` is undefined if the event has none. A line
  // `retry:` yields {retryMs}. Comments yield nothing.
  *push(text) {
    const lines = (this.#rest + text).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop();
    for (const line of lines) {
      if (line === "") yield* this.#dispatch();
      else yield* this.#field(line);
    }
  }

  *#field(line) {
    const colon = line.indexOf(":");
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (name === "event") this.#name = value;
    else if (name === "data") this.#data.push(value);
    else if (name === "id") this.#id = value;
    else if (name === "retry" && /^\d+$/.test(value)) yield { retryMs: Number(value) };
  }

  *#dispatch() {
    if (this.#data.length) yield { name: this.#name || "message", data: this.#data.join("\n"), id: this.#id };
    [this.#name, this.#data, this.#id] = ["", [], undefined];
  }
}
