// The sensors chart: the readings of one engine, several at once as multiples of their healthy spread or one in its own unit.
// The cursor follows the pointer and the arrow keys, and what it stands on is told in words. uPlot is a classic script: window.uPlot.

const chart = document.getElementById("sensor-chart");
if (chart) start(chart);

function token(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** A token's colour as the canvas understands it: light-dark() is resolved by a probe. */
function colour(name) {
  const probe = document.createElement("span");
  probe.className = "hidden-visually";
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

async function start(element) {
  const select = document.getElementById("sensor-choice");
  const readout = document.getElementById("sensor-readout");
  const box = document.getElementById("sensor-table");
  const lang = element.dataset.locale;
  const zone = element.dataset.zone;
  const number = new Intl.NumberFormat(lang, { maximumSignificantDigits: 6 });
  const moment = new Intl.DateTimeFormat(lang, { dateStyle: "medium", timeStyle: "short", timeZone: zone });
  const day = new Intl.DateTimeFormat(lang, { day: "numeric", month: "short", timeZone: zone });
  const hour = new Intl.DateTimeFormat(lang, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", timeZone: zone });
  let data = null;
  let plot = null;

  async function load() {
    const response = await fetch(element.dataset.source, { headers: { Accept: "application/json" } });
    if (!response.ok) throw new Error(String(response.status));
    data = await response.json();
  }

  function series() {
    return data.sensors.find((sensor) => sensor.name === select.value) ?? data.sensors[0];
  }

  function draw() {
    const sensor = series();
    if (!sensor) return;
    const times = data.at;
    const healthy = sensor.healthy === null ? null : times.map(() => sensor.healthy);
    const values = healthy ? [times, sensor.values, healthy] : [times, sensor.values];
    const text = colour("--ink-2");
    const grid = { stroke: colour("--rule"), width: 1 };
    const font = `400 12px ${token("--font")}`;
    plot?.destroy();
    plot = new window.uPlot({
      width: Math.max(240, element.clientWidth),
      height: Math.max(220, Math.min(320, element.clientWidth * 0.45)),
      tzDate: (ts) => window.uPlot.tzDate(new Date(ts * 1000), zone),
      legend: { show: false },
      cursor: { y: false, points: { size: 8 } },
      scales: { x: { time: true } },
      axes: [
        { stroke: text, grid: { show: false }, ticks: grid, font, space: 80, incrs: [1, 3, 6, 12, 24, 48, 96, 168, 336, 672, 1344].map((hours) => hours * 3600), values: (_u, splits, _axis, _space, step) => splits.map((ts) => (step < 86400 ? hour : day).format(ts * 1000)) },
        { stroke: text, grid, ticks: { show: false }, font, size: 64, values: (_u, splits) => splits.map((value) => number.format(value)) },
      ],
      series: [
        {},
        { label: sensor.name, stroke: colour("--accent"), width: 2, points: { show: false }, spanGaps: false },
        ...(healthy ? [{ label: element.dataset.healthyText, stroke: text, width: 1.5, dash: [5, 4], points: { show: false } }] : []),
      ],
      hooks: { setCursor: [(u) => tell(u.cursor.idx, sensor)] },
    }, values, element);
    element.setAttribute("aria-label", `${sensor.title}. ${element.dataset.keysText}`);
    fill(sensor);
    tell(null, sensor);
  }

  function tell(index, sensor) {
    const at = index ?? data.at.length - 1;
    const value = sensor.values[at];
    if (value === undefined) { readout.textContent = ""; return; }
    const shown = value === null ? element.dataset.missingText : `${number.format(value)} ${sensor.unit}`.trim();
    const healthy = sensor.healthy === null ? "" : ` · ${element.dataset.healthyText} ${number.format(sensor.healthy)}`;
    readout.textContent = `${sensor.name} ${shown} · ${moment.format(data.at[at] * 1000)}${healthy}`;
  }

  function fill(sensor) {
    box.querySelector("caption").textContent = sensor.title;
    const rows = data.at.map((ts, index) => {
      const row = document.createElement("tr");
      const when = document.createElement("td");
      const what = document.createElement("td");
      when.textContent = moment.format(ts * 1000);
      what.textContent = sensor.values[index] === null ? "–" : number.format(sensor.values[index]);
      what.className = "number";
      row.append(when, what);
      return row;
    });
    box.querySelector("tbody").replaceChildren(...rows.reverse());
  }

  element.addEventListener("keydown", (event) => {
    if (!plot) return;
    const last = data.at.length - 1;
    const now = plot.cursor.idx ?? last;
    const steps = { ArrowLeft: -1, ArrowRight: 1, PageUp: -24, PageDown: 24, Home: -last, End: last };
    if (!(event.key in steps)) return;
    event.preventDefault();
    const index = Math.min(last, Math.max(0, now + steps[event.key]));
    plot.setCursor({ left: plot.valToPos(data.at[index], "x"), top: 10 });
  });

  select.addEventListener("change", draw);
  for (const button of document.querySelectorAll("[data-sensor]")) {
    button.addEventListener("click", () => {
      select.value = button.dataset.sensor;
      draw();
      element.focus();
    });
  }
  let width = 0;
  new ResizeObserver(() => {
    if (plot && Math.abs(element.clientWidth - width) > 2) { width = element.clientWidth; draw(); }
  }).observe(element);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => data && draw());

  let waiting = false;
  document.addEventListener("vigia:updated", () => {
    if (waiting || !data) return;
    waiting = true;
    setTimeout(async () => {
      try { await load(); draw(); } catch { /* told by the event stream */ }
      waiting = false;
    }, 4000);
  });

  try {
    await load();
    document.getElementById("sensor-controls").hidden = false;
    width = element.clientWidth;
    draw();
  } catch {
    readout.textContent = element.dataset.failedText;
  }
}
