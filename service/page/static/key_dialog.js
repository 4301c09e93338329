// Asks for the API key, or an ID token, when the service needs one, and can forget it again.

import { byId, setText } from "./dom.js";

export function askForKeys(api) {
  const dialog = byId("key-dialog");
  const forget = byId("forget-key");

  api.addEventListener("needskey", () => {
    const fault = api.fault || "the service does not accept this key";
    if (api.hasKey) setText(byId("key-why"), `${fault[0].toUpperCase()}${fault.slice(1)}. Try another one.`);
    byId("key").setAttribute("aria-invalid", String(api.hasKey));
    if (!dialog.open) dialog.showModal();
    byId("key").focus();
  });
  api.addEventListener("key", () => (forget.hidden = !api.hasKey));
  forget.hidden = !api.hasKey;

  byId("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    dialog.close();
    api.setKey(byId("key").value.trim());
    byId("key").value = "";
  });
  forget.addEventListener("click", () => {
    api.setKey(null);
    location.reload(); // removes everything that was shown with the key
  });
}
