// The page follows the fleet: an event says that something changed, then the changed parts of this very page are fetched and
// morphed in place, at most once a second. Focus, open details and scroll positions stay. It can be paused.
import htmx from "../vendor/htmx.js";

const INTERVAL_MS = 1000;
const KEY = "vigia-paused";
const EVENTS = ["telemetry", "prediction", "alarm", "work_order", "state", "command", "reload"];

htmx.config.morphSkip = "[data-keep-as-is]";
htmx.config.morphIgnore = ["data-htmx-powered", "open", "data-dismissed", "data-state"];

let paused = false;
let due = false;
let busy = false;
let last = 0;

export function follow() {
  const pause = document.getElementById("pause");
  if (!pause) return;
  paused = sessionStorage.getItem(KEY) === "1";
  pause.hidden = false;
  pause.addEventListener("click", () => {
    paused = !paused;
    sessionStorage.setItem(KEY, paused ? "1" : "0");
    show(pause);
    if (!paused) want();
  });
  show(pause);

  const source = new EventSource("/api/v1/events");
  let lost = false;
  source.addEventListener("open", () => {
    if (lost) { lost = false; announce("back"); want(); }
    show(pause);
  });
  source.addEventListener("error", () => {
    if (!lost) { lost = true; announce("lost"); }
    state("lost");
  });
  for (const name of EVENTS) source.addEventListener(name, want);
  document.addEventListener("visibilitychange", () => { if (!document.hidden && due) want(); });
  addEventListener("pagehide", () => source.close());
}

function want() {
  due = true;
  if (paused || busy || document.hidden) return;
  busy = true;
  setTimeout(refresh, Math.max(0, last + INTERVAL_MS - performance.now()));
}

async function refresh() {
  last = performance.now();
  due = false;
  try {
    if (!paused && !typing()) await update(location.href);
  } catch { /* the event stream tells when the connection is lost */ }
  busy = false;
  if (due) want();
}

/** Someone fills in a form inside a live part: it waits. */
function typing() {
  const active = document.activeElement;
  return active instanceof HTMLElement && active.matches("input:not([type=hidden]), textarea, select") && active.closest("[data-live]") !== null;
}

/** Fetch `address` and morph this page's live parts into what it has. */
export async function update(address) {
  const response = await fetch(address, { headers: { Accept: "text/html", "X-Vigia-Live": "1" }, redirect: "manual" });
  if (!response.ok) { if (response.type === "opaqueredirect") location.reload(); return; }
  await morph(await response.text());
}

export async function morph(html, selector = "[data-live][id]") {
  const fresh = new DOMParser().parseFromString(html, "text/html");
  for (const part of document.querySelectorAll(selector)) {
    const next = fresh.getElementById(part.id);
    if (next && !part.isEqualNode(next)) await htmx.swap({ text: next.outerHTML, target: part, swap: "outerMorph" });
  }
  document.dispatchEvent(new CustomEvent("vigia:updated"));
}

function show(pause) {
  pause.setAttribute("aria-pressed", String(paused));
  state(paused ? "paused" : "live");
}

function state(name) {
  const pulse = document.getElementById("pulse");
  if (!pulse) return;
  pulse.dataset.state = name;
  pulse.querySelector("[data-pulse-text]").textContent = pulse.dataset[`${name}Text`];
}

export function announce(key) {
  const region = document.getElementById("announcer");
  if (region) region.textContent = region.dataset[key] ?? key;
}
