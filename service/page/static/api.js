// Requests to the service. Three kinds of error say why there is no answer. The API key, or the ID token, is kept in the
// session storage of this tab and is sent as a header, never in a URL.

export class NeedsKey extends Error {}
class Unreachable extends Error {}
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

const STORED_AS = "process-status-key";

// The value of a header is bytes: a key with other characters is sent as UTF-8.
const asHeader = (text) => String.fromCharCode(...new TextEncoder().encode(text));

// An ID token has three parts.
const asHeaders = (key) =>
  key.split(".").length === 3 ? { Authorization: `Bearer ${asHeader(key)}` } : { "X-API-Key": asHeader(key) };

export class Api extends EventTarget {
  #base = new URL(".", document.baseURI); // relative to the page, so that a proxy can put both under a prefix

  fault = ""; // what was wrong with the token that was refused last

  get hasKey() {
    return sessionStorage.getItem(STORED_AS) !== null;
  }

  // Set the key. Emits a `key` event.
  setKey(key) {
    if (key === null) sessionStorage.removeItem(STORED_AS);
    else sessionStorage.setItem(STORED_AS, key);
    this.dispatchEvent(new Event("key"));
  }

  // A response below 300, or with a status that the caller `accepts`. Throws: NeedsKey (after a `needskey` event),
  // Unreachable, Refused, or the reason with which the signal was aborted.
  async get(path, { headers = {}, signal, accepts } = {}) {
    const key = sessionStorage.getItem(STORED_AS);
    const own = key === null ? {} : asHeaders(key);
    const response = await this.#fetch(new URL(path, this.#base), { headers: { ...headers, ...own }, signal });
    if (response.status === 401) {
      if (sessionStorage.getItem(STORED_AS) !== key) return this.get(path, { headers, signal, accepts }); // there is another
      this.fault = faultOf(response);
      this.dispatchEvent(new Event("needskey"));
      throw new NeedsKey();
    }
    if (!response.ok && response.status !== accepts) throw new Refused(response.status, await messageOf(response));
    return response;
  }

  async #fetch(url, options) {
    try {
      return await fetch(url, options);
    } catch (error) {
      if (options.signal?.aborted) throw error;
      throw new Unreachable("the service does not answer");
    }
  }
}

// What is wrong with a token. The service never says why a key is wrong.
function faultOf(response) {
  return /error_description="([^"]*)"/.exec(response.headers.get("WWW-Authenticate") ?? "")?.[1] ?? "";
}

async function messageOf(response) {
  try {
    return (await response.clone().json()).message;
  } catch {
    return `the answer was ${response.status}`; // from a proxy, not from the service
  }
}
