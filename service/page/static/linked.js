// A text as a link, if it is an address that is safe for a browser; otherwise as plain text. So a document cannot contain a
// link that runs a script.

import { el } from "./dom.js";

const path = (name) => name.split("/").map(encodeURIComponent).join("/");

// The address for a link, or null. For gs://bucket/object it is the download page of the storage.
export function safeAddress(address) {
  if (!URL.canParse(address)) return null;
  const { protocol } = new URL(address);
  if (protocol === "gs:") return `https://storage.cloud.google.com/${path(address.slice("gs://".length))}`;
  return protocol === "https:" || protocol === "http:" ? address : null;
}

export function linked(address) {
  const href = safeAddress(address);
  if (href === null) return el("span", { text: address });
  const name = address.split("/").at(-1) || address;
  return el("a", { href, title: address, rel: "noopener noreferrer", target: "_blank", text: name });
}
