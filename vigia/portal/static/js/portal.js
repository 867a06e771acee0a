// What every page does: follow changes, keep forms through failures, small helps. Each page works without it.
import { follow } from "./live.js";
import { keepForms } from "./forms.js";

follow();
keepForms(document);

// A password can be read by the one who types it.
for (const button of document.querySelectorAll("[data-reveal]")) {
  const field = document.getElementById(button.dataset.reveal);
  const show = button.textContent;
  button.hidden = false;
  button.addEventListener("click", () => {
    const visible = field.type === "password";
    field.type = visible ? "text" : "password";
    button.textContent = visible ? button.dataset.hideText : show;
    button.setAttribute("aria-pressed", String(visible));
    field.focus();
  });
}

// Escape hides the absolute time that hovering or focus shows; leaving arms it again.
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const shown of document.querySelectorAll(".when:is(:hover, :focus-visible)")) shown.dataset.dismissed = "";
});
for (const type of ["pointerout", "focusout"]) {
  document.addEventListener(type, (event) => {
    if (event.target instanceof Element && event.target.matches(".when[data-dismissed]")) delete event.target.dataset.dismissed;
  });
}

// A page that failed for want of the database tries again by itself.
const failed = document.querySelector("[data-retry]");
if (failed) setTimeout(() => location.reload(), 1000 * Number(failed.dataset.retry));
