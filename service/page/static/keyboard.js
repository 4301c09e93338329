// Keys for the whole page: / goes to the search, Escape closes the panel. The table handles the arrow keys of its rows.

import { byId } from "./dom.js";

export function listenToKeys({ close }) {
  byId("skip").addEventListener("click", (event) => {
    event.preventDefault(); // otherwise the link would replace the fragment, which has the filters
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
