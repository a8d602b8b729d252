// Numbers as people read them. Every function takes null for "not known" and then gives a dash.
export const DASH = "–";

const known = (value) => value !== null && value !== undefined && Number.isFinite(value);

export function fixed(value, digits = 0) {
  return known(value) ? value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits }) : DASH;
}

export function watts(value) {
  if (!known(value)) return [DASH, ""];
  const size = Math.abs(value);
  if (size >= 1e6) return [fixed(value / 1e6, 2), "MW"];
  if (size >= 1e3) return [fixed(value / 1e3, size >= 1e5 ? 1 : 2), "kW"];
  return [fixed(value), "W"];
}

export function wattsText(value) {
  const [number, unit] = watts(value);
  return unit ? `${number} ${unit}` : number;
}

export function seconds(value) {
  if (!known(value)) return [DASH, ""];
  if (value < 1) return [fixed(value * 1000, value < 0.1 ? 1 : 0), "ms"];
  return [fixed(value, 2), "s"];
}

export function secondsText(value) {
  const [number, unit] = seconds(value);
  return unit ? `${number} ${unit}` : number;
}

export function count(value) {
  if (!known(value)) return DASH;
  if (value >= 1e9) return `${fixed(value / 1e9, 2)} B`;
  if (value >= 1e6) return `${fixed(value / 1e6, 2)} M`;
  if (value >= 1e5) return `${fixed(value / 1e3, 1)} k`;
  return fixed(value);
}

export function percent(value, digits = 0) {
  return known(value) ? `${fixed(value * 100, digits)} %` : DASH;
}

export function duration(value) {
  if (!known(value)) return DASH;
  const total = Math.max(0, Math.round(value));
  const hours = Math.floor(total / 3600);
  const minutes = Math.floor((total % 3600) / 60);
  const rest = String(total % 60).padStart(2, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}

export function clock(timeS, withSeconds = true) {
  const options = { hour: "2-digit", minute: "2-digit", hour12: false };
  return new Date(timeS * 1000).toLocaleTimeString("en-GB", withSeconds ? { ...options, second: "2-digit" } : options);
}
