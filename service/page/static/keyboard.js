// Keys that work anywhere on the page: / searches, Escape closes the panel. Rows have their arrows from the table.

import { byId } from "./dom.js";

export function listenToKeys({ close }) {
  byId("skip").addEventListener("click", (event) => {
    event.preventDefault(); // the fragment holds the filters
    byId("processes").focus();
  });
  addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.altKey || event.ctrlKey || event.metaKey || byId("key-dialog").open) return;
    const isTyping = event.target.matches("input");
    if (event.key === "/" && !isTyping) {
      event.preventDefault();
      byId("search").select();
    }
    if (event.key === "Escape" && !isTyping) close();
  });
}
