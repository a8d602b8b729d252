// The operators' live page: reads the history once, then one snapshot a second from the stream.
import { TimeChart } from "./chart.js";
import * as fmt from "./format.js";

const MAX_POINTS = 1800;
const PRECISIONS = ["bf16", "fp8", "int8", "int4"];
const STATES = [["serving", "on"], ["draining", "draining"], ["waking", "waking"], ["sleeping", "asleep"], ["off", "off"], ["unreachable", "down"]];
const MODES = { act: "acting", recommend: "recommending", observe: "observing" };
const byId = (id) => document.getElementById(id);
const reload = { pools: "" };
let points = [];
let windowS = Number(sessionStorage.getItem("window")) || 300;
let latest = null;
let shareChart = null;
let hovered = null;

function element(tag, className = "", text = null) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== null) made.textContent = text;
  return made;
}

function tint(target, name) {
  target.style.setProperty("--c", `var(--${PRECISIONS.includes(name) ? name : "muted"})`);
  return target;
}

function pointOf(snapshot) {
  return {
    now_s: snapshot.now_s,
    measured_w: snapshot.power.measured_w,
    predicted_w: snapshot.power.predicted_w,
    limit_w: snapshot.power.limit_w,
    baseline_w: snapshot.power.baseline_w,
    event: snapshot.event !== null && snapshot.event.state === "active",
    price_usd_per_mwh: snapshot.price_usd_per_mwh,
    carbon_kg_per_mwh: snapshot.carbon_kg_per_mwh,
    j_per_output_token: snapshot.j_per_output_token,
    share_frac: snapshot.pools.map((pool) => pool.share_frac),
    ...snapshot.latency,
  };
}

// Null where nobody told a value: the sum of none is not zero.
function sumOfKnown(values) {
  const known = values.filter((value) => value !== null && value !== undefined);
  return known.length ? known.reduce((sum, value) => sum + value, 0) : null;
}

const field = (key) => (point) => point[key] ?? null;
const digitsOf = (step) => [0, 1, 2, 3].find((digits) => Math.abs(step * 10 ** digits - Math.round(step * 10 ** digits)) < 1e-6) ?? 3;
const scaled = (factor, unit) => (value, step) => `${fmt.fixed(value * factor, digitsOf(step * factor))}${unit}`;
const kilowatts = scaled(1e-3, " kW");
const millis = scaled(1e3, " ms");
const secondsAxis = scaled(1, " s");
const joules = scaled(1, " J");
const number = scaled(1, "");

const spans = { colour: "event", inside: (point) => point.event };
const charts = {
  power: new TimeChart(byId("c-power"), {
    axes: { left: { format: kilowatts, floor: 0, least: 1000 } }, spans,
    series: [
      { name: "measured", value: field("measured_w"), colour: "measured", kind: "area", width: 2, text: fmt.wattsText },
      { name: "predicted", value: field("predicted_w"), colour: "predicted", dash: [4, 3], width: 1.25, kind: "step", text: fmt.wattsText },
      { name: "baseline", value: field("baseline_w"), colour: "baseline", dash: [1, 3], kind: "step", width: 1.5, text: fmt.wattsText },
      { name: "limit", value: field("limit_w"), colour: "limit", kind: "step", width: 2.25, text: fmt.wattsText },
    ],
  }),
  ttft: new TimeChart(byId("c-ttft"), {
    axes: { left: { format: secondsAxis, floor: 0, least: 0.1 } }, spans,
    series: [
      { name: "p50", value: field("ttft_p50_s"), colour: "first", text: fmt.secondsText },
      { name: "p99", value: field("ttft_p99_s"), colour: "second", text: fmt.secondsText },
    ],
  }),
  itl: new TimeChart(byId("c-itl"), {
    axes: { left: { format: millis, floor: 0, least: 0.01 } }, spans,
    series: [
      { name: "p50", value: field("itl_p50_s"), colour: "first", text: fmt.secondsText },
      { name: "p99", value: field("itl_p99_s"), colour: "second", text: fmt.secondsText },
    ],
  }),
  jpt: new TimeChart(byId("c-jpt"), {
    axes: { left: { format: joules, floor: 0, least: 0.5 } }, spans,
    series: [{ name: "whole site", value: field("j_per_output_token"), colour: "jpt", kind: "area", text: (value) => `${fmt.fixed(value, 2)} J` }],
  }),
  grid: new TimeChart(byId("c-grid"), {
    axes: { left: { format: number, colour: "price", least: 4 }, right: { format: number, colour: "carbon", least: 20 } }, spans,
    series: [
      { name: "price, USD/MWh", value: field("price_usd_per_mwh"), colour: "price", kind: "step", text: (value) => fmt.fixed(value, 2) },
      { name: "carbon, kg/MWh", value: field("carbon_kg_per_mwh"), colour: "carbon", kind: "step", axis: "right", text: (value) => fmt.fixed(value) },
    ],
  }),
};

function legend(list, entries) {
  list.replaceChildren(...entries.map(({ name, colourName, kind, text, tag }) => {
    const item = element("li");
    const mark = element("i", kind || "");
    mark.style.setProperty("--c", `var(--${colourName})`);
    item.append(mark, name);
    if (tag) item.append(element("span", "tag", tag));
    if (text) item.append(element("em", "", text));
    return item;
  }));
}

function lineLegend(list, chart, values = true) {
  const last = points[points.length - 1];
  legend(list, chart.series.filter((series) => points.some((point) => series.value(point) !== null)).map((series) => ({
    name: series.name, colourName: series.colour, kind: series.dash ? "dash" : "",
    text: values && last && series.value(last) !== null ? series.text(series.value(last)) : "",
  })));
}

function tagOf(pool) {
  return pool.evidence === "estimated" ? "estimate" : "";
}

function buildShare(pools) {
  const key = pools.map((pool) => `${pool.pool_id}/${pool.precision}/${pool.evidence}`).join(",");
  if (key === reload.pools) return;
  reload.pools = key;
  shareChart = new TimeChart(byId("c-share"), {
    axes: { left: { format: (value) => fmt.percent(value), floor: 0, ceiling: 1 } }, spans: null,
    series: pools.map((pool, index) => ({
      name: pool.pool_id, kind: "stack", colour: PRECISIONS.includes(pool.precision) ? pool.precision : "muted",
      faded: pools.slice(0, index).some((other) => other.precision === pool.precision),
      value: (point) => point.share_frac?.[index] ?? null, text: (value) => fmt.percent(value, 1),
    })),
  });
  shareChart.onHover = onHover;
  charts.share = shareChart;
}

function figure(id, [value, unit]) {
  const target = byId(id);
  target.replaceChildren(value);
  if (unit) target.append(element("i", "", unit));
}

function showTiles(s) {
  figure("t-power", fmt.watts(s.power.measured_w));
  const sub = byId("t-power-sub");
  sub.className = "";
  if (s.power.missing) {
    sub.textContent = s.power.modelled_w === null ? `not measured: ${s.power.missing}` : `not measured · model ${fmt.wattsText(s.power.modelled_w)}`;
    sub.className = "bad";
  } else if (s.power.limit_w !== null) {
    const room = s.power.limit_w - s.power.measured_w;
    sub.textContent = `limit ${fmt.wattsText(s.power.limit_w)}, ${fmt.wattsText(Math.abs(room))} ${room >= 0 ? "below" : "above"}`;
    sub.className = room >= 0 ? "good" : "bad";
  } else sub.textContent = `no limit · read ${fmt.fixed(s.power.age_s, 1)} s ago`;
  sub.title = s.power.missing || `${s.power.source}, ${s.power.quality}`;
  figure("t-jpt", [fmt.fixed(s.j_per_output_token, 2), s.j_per_output_token === null ? "" : "J"]);
  byId("t-jpt-sub").textContent = `${fmt.fixed(s.energy_j / 3.6e6, 2)} kWh so far`;
  figure("t-ttft", fmt.seconds(s.latency.ttft_p50_s));
  byId("t-ttft-sub").textContent = `p50 · p99 ${fmt.secondsText(s.latency.ttft_p99_s)}`;
  figure("t-itl", fmt.seconds(s.latency.itl_p50_s));
  byId("t-itl-sub").textContent = `p50 · p99 ${fmt.secondsText(s.latency.itl_p99_s)}`;
  figure("t-served", [fmt.count(s.tokens.served), ""]);
  const rate = sumOfKnown(s.pools.map((pool) => pool.output_tokens_per_s));
  byId("t-served-sub").textContent = `${fmt.fixed(rate)} tok/s now`;
  figure("t-refused", [fmt.count(s.tokens.refused), ""]);
  byId("t-refused").className = s.tokens.refused > 0 ? "bad" : "";
  byId("t-refused-sub").textContent = `${fmt.fixed(sumOfKnown(s.classes.map((item) => item.queued)))} requests queued`;
  figure("t-price", [fmt.fixed(s.price_usd_per_mwh, 2), ""]);
  figure("t-carbon", [fmt.fixed(s.carbon_kg_per_mwh), ""]);
}

function showEvent(s) {
  const banner = byId("event");
  banner.hidden = s.event === null;
  if (s.event === null) return;
  const event = s.event;
  const active = event.state === "active";
  banner.className = `event ${event.state}${event.over_limit ? " over" : ""}`;
  byId("event-title").textContent = active ? "Curtailment in force" : "Curtailment announced";
  const parts = [`limit ${fmt.wattsText(event.limit_w)}`];
  if (event.asked_limit_w !== null) parts.push(`followed in part: asked for ${fmt.wattsText(event.asked_limit_w)}`);
  if (active && event.delivered_w !== null) parts.push(`${fmt.wattsText(event.delivered_w)} below the baseline of ${fmt.wattsText(event.baseline_w)}`);
  const rampLeft = event.start_s + event.ramp_s - s.now_s;
  if (active && rampLeft > 0) parts.push(`to be met within ${fmt.duration(rampLeft)}`);
  if (event.over_limit) parts.push("OVER THE LIMIT");
  byId("event-text").textContent = parts.join(" · ");
  byId("event-timing").textContent = active ? `ends in ${fmt.duration(event.end_s - s.now_s)}` : `starts in ${fmt.duration(event.start_s - s.now_s)}`;
  const done = active ? (s.now_s - event.start_s) / (event.end_s - event.start_s) : 0;
  byId("event-progress").style.width = `${Math.min(100, Math.max(0, done * 100))}%`;
}

function showPools(s) {
  byId("pools").replaceChildren(...s.pools.map((pool) => {
    const row = tint(element("div", "pool"), pool.precision);
    row.append(element("span", "badge", pool.precision.toUpperCase()));
    const name = element("span", "name", `${pool.pool_id} `);
    name.append(element("span", "muted", `${pool.gpus_per_instance}×${pool.gpu} `));
    if (tagOf(pool)) {
      const tag = element("span", "tag", "estimate");
      tag.title = pool.evidence_source;
      name.append(tag);
    }
    if (pool.mode !== s.mode) {
      const tag = element("span", "tag", MODES[pool.mode] || pool.mode);
      tag.title = ["its instances are left as they are", ...pool.recommended].join("\n");
      name.append(tag);
    }
    row.append(name);
    const figures = element("span", "figures", `${fmt.wattsText(pool.power_w)} `);
    figures.append(element("span", "", `· ${fmt.fixed(pool.output_tokens_per_s)} tok/s`));
    const joules = Object.entries(pool.j_per_output_token);
    if (joules.length) {
      const figure = element("span", "", ` · ${joules.map(([, value]) => fmt.fixed(value, 1)).join(" / ")} J/tok`);
      figure.title = joules.map(([name, value]) => `${name} ${fmt.fixed(value, 2)} J per output token in the last settlement`).join("\n");
      figures.append(figure);
    }
    row.append(figures);
    const dots = element("div", "dots");
    for (const instance of pool.instances) {
      const dot = element("span", `dot ${instance.state}`);
      const load = instance.state === "unreachable" ? "" : `, ${instance.running} running, ${instance.waiting} waiting`;
      dot.title = `${instance.instance_id}: ${instance.state}${load}, ${fmt.wattsText(instance.power_w)}`;
      dots.append(dot);
    }
    row.append(dots);
    const target = pool.target_on;
    row.append(element("span", "target", `${pool.on} of ${pool.instances.length} on${target !== null && target !== pool.on ? ` → ${target}` : ""}`));
    return row;
  }));
}

function showClasses(s) {
  const table = element("table");
  const head = element("tr");
  for (const title of ["class", "sent to", "tok/s", "in flight", "queued", "quality budget"]) head.append(element("th", "", title));
  table.append(head);
  const precisions = Object.fromEntries(s.pools.map((pool) => [pool.pool_id, pool.precision]));
  for (const item of s.classes) {
    const row = element("tr");
    row.append(element("td", "", item.class_id));
    const mix = element("div", "mix");
    for (const pool of s.pools) {
      const share = item.weights[pool.pool_id];
      if (!share) continue;
      const part = tint(element("i"), precisions[pool.pool_id]);
      part.style.width = `${share * 100}%`;
      part.title = `${pool.pool_id} ${fmt.percent(share, 1)}`;
      mix.append(part);
    }
    const cell = element("td", "mixcell");
    cell.append(mix);
    row.append(cell, element("td", "", fmt.fixed(item.demand_tokens_per_s)), element("td", "", fmt.fixed(item.in_flight)), element("td", "", fmt.fixed(item.queued)));
    const budget = element("td");
    if (item.quality_burn_frac !== null) {
      const bar = element("span", "burn");
      const used = element("i", item.quality_burn_frac > 1 ? "over" : item.quality_burn_frac > 0.8 ? "high" : "");
      used.style.width = `${Math.min(100, item.quality_burn_frac * 100)}%`;
      bar.append(used);
      budget.append(bar, fmt.percent(item.quality_burn_frac));
      budget.title = `mean loss ${fmt.percent(item.quality_burnt_frac, 3)} of ${fmt.percent(item.quality_budget_frac, 2)} allowed`;
    } else budget.append("none");
    row.append(budget);
    table.append(row);
  }
  byId("classes").replaceChildren(table);
}

function showLadder(s) {
  const ladder = byId("ladder");
  const line = [];
  const plan = element("span", "", "plan ");
  plan.append(element("b", "", (s.solver.origin || "none yet").replace("_", " ")));
  line.push(plan);
  if (s.power.rung !== null) {
    const known = element("span", "", "power by ");
    known.append(element("b", "", s.power.rung), element("span", "muted", ` (${fmt.percent(s.power.margin_frac)} kept free)`));
    known.title = s.power.sources.map((one) => `${one.name}: ${one.gpus} fresh, ${one.age_s === null ? fmt.DASH : `${fmt.fixed(one.age_s, 1)} s`}${one.error ? `, ${one.error}` : ""}`).join("\n");
    line.push(known);
  }
  const offers = s.capability ? s.capability.offers : [];
  const sheddable = offers.filter((one) => one.qos_cost === "none");
  if (sheddable.length > 0) {
    const can = element("span", "", "can shed ");
    can.append(element("b", "", sheddable.map((one) => `${fmt.fixed(one.shed_w / 1000, 1)} kW in ${one.lead_s < 90 ? `${one.lead_s} s` : `${one.lead_s / 60} min`}`).join(", ")));
    const deepest = offers.filter((one) => one.qos_cost === "held").map((one) => fmt.fixed(one.shed_w / 1000, 1));
    can.append(element("span", "muted", ` (${deepest.join(", ")} kW where promises yield)`));
    can.title = offers.map((one) => `in ${one.lead_s} s at cost ${one.qos_cost}: down to ${fmt.fixed(one.achievable_w / 1000, 1)} kW`).join("\n");
    line.push(can);
    for (const derate of s.capability.derates.filter((one) => one.state === "active")) {
      const less = element("span", "step", `derated to ${fmt.fixed(derate.shed_w / 1000, 1)} kW`);
      less.append(element("span", "muted", ` (${derate.reason})`));
      line.push(less);
    }
  }
  if (s.ladder.length === 0) line.push(element("span", "ok", "every ladder on its top rung"));
  for (const step of s.ladder) {
    const item = element("span", step.ladder === "loop" ? "bad" : "step", `${step.ladder === "loop" ? "" : `${step.ladder}${step.subject ? ` of ${step.subject}` : ""}: `}${step.step.replaceAll("_", " ")}`);
    item.append(element("span", "muted", ` (${step.reason})`));
    line.push(item);
  }
  for (const slack of s.slack) line.push(element("span", "bad", `cannot keep: ${slack.promise} of ${slack.subject}, short by ${fmt.fixed(slack.amount, slack.amount < 10 ? 2 : 0)} ${slack.unit}`));
  const right = element("span", "right mono", `solver ${fmt.fixed(s.solver.slow_ms)} ms slow, ${fmt.fixed(s.solver.fast_ms, 1)} ms fast, ${s.solver.fallbacks} fallbacks`);
  line.push(right);
  const obeyed = s.sequence !== null && s.acknowledged_sequence === s.sequence;
  const table = element("span", "mono", s.sequence === null ? "no table" : `table ${s.sequence % 1e6} ${obeyed ? "obeyed" : "not obeyed yet"}`);
  table.title = `issued ${s.sequence ?? fmt.DASH}, routers obey ${s.acknowledged_sequence ?? fmt.DASH}`;
  line.push(table);
  ladder.replaceChildren(...line);
}

function show(s) {
  latest = s;
  byId("site").textContent = s.site;
  byId("emulated").hidden = !s.emulated;
  byId("mode").textContent = MODES[s.mode] || s.mode;
  byId("clock").textContent = fmt.clock(s.now_s);
  buildShare(s.pools);
  showTiles(s);
  showEvent(s);
  showPools(s);
  showClasses(s);
  showLadder(s);
  legend(byId("l-share"), s.pools.map((pool) => ({
    name: pool.precision.toUpperCase() + (s.pools.filter((other) => other.precision === pool.precision).length > 1 ? ` ${pool.pool_id}` : ""),
    colourName: PRECISIONS.includes(pool.precision) ? pool.precision : "muted", kind: "box", text: fmt.percent(pool.share_frac), tag: tagOf(pool) && "est.",
  })));
  lineLegend(byId("l-power"), charts.power);
  for (const key of ["ttft", "itl", "jpt"]) lineLegend(byId(`l-${key}`), charts[key]);
  lineLegend(byId("l-grid"), charts.grid, false);
  draw();
}

function draw() {
  if (!points.length) return;
  const endS = points[points.length - 1].now_s;
  // A system that has just begun fills the chart with what there is.
  const lengthS = Math.min(windowS, Math.max(60, endS - points[0].now_s));
  for (const chart of Object.values(charts)) chart.draw(points, endS - lengthS, endS);
}

function onHover(chart, event) {
  hovered?.remove();
  hovered = null;
  const timeS = chart ? chart.timeAt(event.clientX) : null;
  const nearest = timeS === null ? null : points.reduce((best, point) => (Math.abs(point.now_s - timeS) < Math.abs(best.now_s - timeS) ? point : best), points[0]);
  for (const other of Object.values(charts)) other.hoverS = nearest ? nearest.now_s : null;
  if (nearest) {
    hovered = element("div");
    hovered.id = "tip";
    const head = element("div");
    head.append(element("span", "", fmt.clock(nearest.now_s)));
    hovered.append(head);
    for (const series of chart.series) {
      const value = series.value(nearest);
      if (value === null) continue;
      const row = element("div");
      row.append(element("span", "", series.name), element("span", "", series.text(value)));
      hovered.append(row);
    }
    document.body.append(hovered);
    const left = event.clientX + 16 + hovered.offsetWidth > window.innerWidth ? event.clientX - 16 - hovered.offsetWidth : event.clientX + 16;
    hovered.style.left = `${left}px`;
    hovered.style.top = `${Math.min(event.clientY + 12, window.innerHeight - hovered.offsetHeight - 8)}px`;
  }
  draw();
}

function setLink(text, kind) {
  const chip = byId("link");
  chip.textContent = text;
  chip.className = `chip ${kind}`;
}

async function loadHistory() {
  const answer = await fetch("/api/history");
  if (!answer.ok) throw new Error(`history: status ${answer.status}`);
  const { columns } = await answer.json();
  const keys = Object.keys(columns);
  const length = keys.length ? columns[keys[0]].length : 0;
  points = Array.from({ length }, (_, index) => Object.fromEntries(keys.map((key) => [key, columns[key][index]])));
}

// The history is read again on every connection, so that a page that was cut off has no hole.
function connect() {
  const stream = new EventSource("/api/stream");
  stream.onopen = () => loadHistory().then(() => setLink("live", "good"), () => setLink("no history", "bad"));
  stream.onmessage = (message) => {
    const snapshot = JSON.parse(message.data);
    if (!points.length || snapshot.now_s > points[points.length - 1].now_s) points.push(pointOf(snapshot));
    if (points.length > MAX_POINTS) points = points.slice(-MAX_POINTS);
    show(snapshot);
  };
  stream.onerror = () => {
    setLink("controller does not answer", "bad");
    if (stream.readyState === EventSource.CLOSED) setTimeout(connect, 2000);
  };
}

function selectWindow(lengthS) {
  windowS = lengthS;
  sessionStorage.setItem("window", String(lengthS));
  for (const button of document.querySelectorAll("[data-window]")) button.setAttribute("aria-pressed", String(Number(button.dataset.window) === lengthS));
  draw();
}

legend(byId("l-states"), []);
byId("l-states").append(...STATES.map(([state, name]) => {
  const item = element("li");
  item.append(element("span", `dot ${state}`), name);
  return item;
}));
for (const chart of Object.values(charts)) chart.onHover = onHover;
for (const button of document.querySelectorAll("[data-window]")) button.addEventListener("click", () => selectWindow(Number(button.dataset.window)));
for (const [id, text] of [["c-power", "Measured and predicted site power against its limit"], ["c-share", "Share of output tokens by precision"], ["c-ttft", "Time to first token"], ["c-itl", "Inter-token latency"], ["c-jpt", "Energy per output token"], ["c-grid", "Electricity price and carbon intensity"]]) byId(id).setAttribute("aria-label", text);
window.addEventListener("resize", draw);
window.matchMedia("(prefers-color-scheme: light)").addEventListener("change", () => latest && show(latest));
selectWindow(windowS);
connect();
