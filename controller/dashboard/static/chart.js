// A time chart on a canvas: lines, areas, stacked areas, steps and shaded spans over a common time axis.
import { clock } from "./format.js";

const MARGIN = { top: 8, right: 10, bottom: 20, left: 46 };
const RIGHT_AXIS = 46;

export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

function niceStep(range, steps) {
  const raw = range / steps;
  const power = 10 ** Math.floor(Math.log10(raw));
  const lead = raw / power;
  return (lead <= 1 ? 1 : lead <= 2 ? 2 : lead <= 2.5 ? 2.5 : lead <= 5 ? 5 : 10) * power;
}

function axisRange(values, { floor = null, ceiling = null, least = 0, steps = 4 }) {
  if (floor !== null && ceiling !== null) return { low: floor, high: ceiling, step: (ceiling - floor) / steps };
  let low = Math.min(...values);
  let high = Math.max(...values);
  if (!Number.isFinite(low)) [low, high] = [0, least || 1];
  if (floor !== null) low = Math.min(floor, low);
  if (high - low < least) {
    low -= floor === null ? (least - (high - low)) / 2 : 0;
    high = low + least;
  }
  if (high <= low) high = low + (Math.abs(low) || 1) * 0.5;
  const step = niceStep((high - low) * 1.06, steps);
  return { low: Math.floor(low / step + 1e-9) * step, high: Math.ceil(high / step - 1e-9) * step, step };
}

export class TimeChart {
  // axes: {left: {format, floor, ceiling, least}, right?}; series: [{key, name, colour, axis, kind, dash, width, format}]
  constructor(canvas, { axes, series, spans = null }) {
    this.canvas = canvas;
    this.axes = axes;
    this.series = series;
    this.spans = spans;
    this.hoverS = null;
    canvas.setAttribute("role", "img");
    canvas.addEventListener("pointermove", (event) => this.onHover?.(this, event));
    canvas.addEventListener("pointerleave", () => this.onHover?.(null, null));
  }

  plot() {
    const right = this.axes.right ? RIGHT_AXIS : MARGIN.right;
    return {
      x: MARGIN.left, y: MARGIN.top,
      w: this.canvas.clientWidth - MARGIN.left - right, h: this.canvas.clientHeight - MARGIN.top - MARGIN.bottom,
    };
  }

  timeAt(clientX) {
    const box = this.canvas.getBoundingClientRect();
    const plot = this.plot();
    const frac = (clientX - box.left - plot.x) / plot.w;
    return frac < 0 || frac > 1 ? null : this.startS + frac * (this.endS - this.startS);
  }

  draw(points, startS, endS) {
    this.startS = startS;
    this.endS = endS;
    const ratio = window.devicePixelRatio || 1;
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (!width || !height) return;
    if (this.canvas.width !== Math.round(width * ratio) || this.canvas.height !== Math.round(height * ratio)) {
      this.canvas.width = Math.round(width * ratio);
      this.canvas.height = Math.round(height * ratio);
    }
    const pen = this.canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.font = `11px ${getComputedStyle(document.body).fontFamily}`;
    const plot = this.plot();
    // One point before the window keeps lines from starting inside the frame.
    const first = Math.max(0, points.findIndex((point) => point.now_s >= startS) - 1);
    const shown = points.slice(points.length && points[points.length - 1].now_s < startS ? points.length : first);
    const x = (timeS) => plot.x + ((timeS - startS) / (endS - startS)) * plot.w;
    const scales = {};
    for (const [name, axis] of Object.entries(this.axes)) scales[name] = this.scale(shown, name, axis, plot);
    if (this.spans) this.drawSpans(pen, shown, x, plot);
    this.drawGrid(pen, scales, x, plot);
    pen.save();
    pen.beginPath();
    pen.rect(plot.x, plot.y - 2, plot.w, plot.h + 4);
    pen.clip();
    this.drawStacks(pen, shown, x, scales, plot);
    for (const series of this.series) if (series.kind !== "stack") this.drawLine(pen, shown, x, scales, plot, series);
    if (this.hoverS !== null) {
      pen.fillStyle = colour("muted");
      pen.fillRect(x(this.hoverS) - 0.5, plot.y, 1, plot.h);
    }
    pen.restore();
    if (!shown.length) {
      pen.fillStyle = colour("faint");
      pen.textAlign = "center";
      pen.fillText("no data yet", plot.x + plot.w / 2, plot.y + plot.h / 2);
    }
  }

  scale(points, name, axis, plot) {
    const values = [];
    for (const series of this.series) {
      if ((series.axis || "left") !== name || series.kind === "stack") continue;
      for (const point of points) {
        const value = series.value(point);
        if (Number.isFinite(value) && value !== null) values.push(value);
      }
    }
    const isFixed = (axis.ceiling ?? null) !== null;
    const range = axisRange(values, { ...axis, steps: plot.h < 110 ? (isFixed ? 2 : 3) : plot.h < 200 || isFixed ? 4 : 5 });
    return { ...range, y: (value) => plot.y + plot.h * (1 - (value - range.low) / (range.high - range.low)) };
  }

  drawGrid(pen, scales, x, plot) {
    pen.textBaseline = "middle";
    for (const [name, scale] of Object.entries(scales)) {
      const axis = this.axes[name];
      pen.textAlign = name === "left" ? "right" : "left";
      for (let n = 0; n <= Math.round((scale.high - scale.low) / scale.step); n += 1) {
        const value = scale.low + n * scale.step;
        const y = Math.round(scale.y(value)) + 0.5;
        if (name === "left") {
          pen.strokeStyle = colour("line");
          pen.lineWidth = 1;
          pen.beginPath();
          pen.moveTo(plot.x, y);
          pen.lineTo(plot.x + plot.w, y);
          pen.stroke();
        }
        pen.fillStyle = axis.colour ? colour(axis.colour) : colour("muted");
        pen.fillText(axis.format(value, scale.step), name === "left" ? plot.x - 7 : plot.x + plot.w + 7, y);
      }
    }
    const span = this.endS - this.startS;
    const most = Math.max(2, Math.floor(plot.w / 90));
    const step = [15, 30, 60, 120, 300, 600, 900].find((candidate) => span / candidate <= most) || 1800;
    pen.textBaseline = "alphabetic";
    pen.textAlign = "center";
    pen.fillStyle = colour("muted");
    for (let tick = Math.ceil(this.startS / step) * step; tick <= this.endS; tick += step) {
      const at = x(tick);
      if (at < plot.x + 14 || at > plot.x + plot.w - 14) continue;
      pen.fillText(clock(tick, step < 60), at, plot.y + plot.h + 15);
    }
  }

  drawSpans(pen, points, x, plot) {
    pen.fillStyle = colour(this.spans.colour);
    let from = null;
    points.forEach((point, index) => {
      const inside = this.spans.inside(point);
      if (inside && from === null) from = point.now_s;
      const isLast = index === points.length - 1;
      if (from !== null && (!inside || isLast)) {
        const left = Math.max(plot.x, x(from));
        pen.fillRect(left, plot.y, Math.min(plot.x + plot.w, x(point.now_s)) - left, plot.h);
        from = null;
      }
    });
  }

  drawLine(pen, points, x, scales, plot, series) {
    const scale = scales[series.axis || "left"];
    const runs = this.runs(points, series.value);
    pen.strokeStyle = colour(series.colour);
    pen.lineWidth = series.width || 1.75;
    pen.lineJoin = "round";
    pen.setLineDash(series.dash || []);
    for (const run of runs) {
      const path = new Path2D();
      run.forEach((point, index) => {
        const [at, y] = [x(point.now_s), scale.y(series.value(point))];
        if (index === 0) path.moveTo(at, y);
        else {
          if (series.kind === "step") path.lineTo(at, scale.y(series.value(run[index - 1])));
          path.lineTo(at, y);
        }
      });
      pen.stroke(path);
      if (series.kind === "area") {
        path.lineTo(x(run[run.length - 1].now_s), plot.y + plot.h);
        path.lineTo(x(run[0].now_s), plot.y + plot.h);
        pen.save();
        pen.globalAlpha = 0.18;
        pen.fillStyle = colour(series.colour);
        pen.fill(path);
        pen.restore();
      }
    }
    pen.setLineDash([]);
  }

  drawStacks(pen, points, x, scales) {
    const stacked = this.series.filter((series) => series.kind === "stack");
    if (!stacked.length) return;
    const runs = this.runs(points, (point) => (stacked.some((series) => series.value(point) !== null) ? 1 : null));
    for (const run of runs) {
      let below = run.map(() => 0);
      for (const series of stacked) {
        const above = run.map((point, index) => below[index] + (series.value(point) || 0));
        const scale = scales[series.axis || "left"];
        pen.beginPath();
        run.forEach((point, index) => pen.lineTo(x(point.now_s), scale.y(above[index])));
        for (let index = run.length - 1; index >= 0; index -= 1) pen.lineTo(x(run[index].now_s), scale.y(below[index]));
        pen.closePath();
        pen.fillStyle = colour(series.colour);
        pen.globalAlpha = series.faded ? 0.55 : 0.85;
        pen.fill();
        pen.globalAlpha = 1;
        below = above;
      }
    }
  }

  // Stretches without a missing value, and without a hole in time.
  runs(points, value) {
    const runs = [];
    let run = [];
    for (const point of points) {
      const isKnown = value(point) !== null && value(point) !== undefined;
      const follows = run.length === 0 || point.now_s - run[run.length - 1].now_s < 15;
      if (run.length && (!isKnown || !follows)) {
        runs.push(run);
        run = [];
      }
      if (isKnown) run.push(point);
    }
    if (run.length) runs.push(run);
    return runs;
  }
}
