// A form marked data-keep is sent without leaving the page: when that fails the input stays and the reason stands beside it.
import { announce, morph } from "./live.js";

export function keepForms(root) {
  root.addEventListener("submit", async (event) => {
    const form = event.target;
    if (!(form instanceof HTMLFormElement) || !form.matches("[data-keep]") || event.defaultPrevented) return;
    event.preventDefault();
    const button = event.submitter;
    if (form.dataset.sending) return;
    form.dataset.sending = "1";
    button?.setAttribute("aria-disabled", "true");
    try {
      await send(form, button);
    } catch {
      fail(form);
    } finally {
      delete form.dataset.sending;
      button?.removeAttribute("aria-disabled");
    }
  });
}

async function send(form, button) {
  const data = new FormData(form, button);
  const at = form.elements.namedItem("device_at");
  if (at) data.set("device_at", new Date().toISOString());
  const response = await fetch(form.action, { method: "POST", body: new URLSearchParams(data), headers: { Accept: "text/html" } });
  if (response.redirected && new URL(response.url).pathname !== location.pathname) {
    location.assign(response.url);
    return;
  }
  const text = await response.text();
  const fresh = new DOMParser().parseFromString(text, "text/html");
  if (!fresh.getElementById("main")) throw new Error(`no page came back (${response.status})`);
  // Not one of this page's own answers: an error page replaces nothing the person typed.
  if (!response.ok && !fresh.querySelector("[data-keep]")) { fail(form, fresh.querySelector("h1")?.textContent); return; }
  await morph(text, "#content, [data-live][id]");
  const problem = document.querySelector("#content [role=alert]");
  if (problem) { problem.tabIndex = -1; problem.focus(); } else { announce(fresh.querySelector("[data-said]")?.textContent ?? ""); }
}

/** The reason, beside the form; what was typed is still there. */
function fail(form, reason) {
  const region = document.getElementById("announcer");
  let note = form.querySelector("[data-failure]");
  if (!note) {
    note = document.createElement("p");
    note.dataset.failure = "";
    note.className = "error-text";
    note.tabIndex = -1;
    note.setAttribute("role", "alert");
    form.prepend(note);
  }
  note.textContent = reason ?? region.dataset.failed;
  note.focus();
}
