// Charts: plain SVG and plain bars. Every number of one can be read as text as well.

import { el } from "./dom.js";

const SPACE = "http://www.w3.org/2000/svg";

function svg(name, props = {}, ...children) {
  const made = document.createElementNS(SPACE, name);
  for (const [key, value] of Object.entries(props)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/** A number that is easy to read, at or above this one: 1, 2 or 5 and zeros. */
export function round(most) {
  const power = 10 ** Math.floor(Math.log10(Math.max(1, most)));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= most);
}

const WIDTH = 960;
const HEIGHT = 240;
const LEFT = 52;
const BOTTOM = 26;
const TOP = 18;

/** Columns over time, parts one on the other. `parts`: `{ name, kind, of }`, the lowest first; `label` says when a step is. */
export function columns(title, steps, parts, label) {
  const total = (step) => parts.reduce((sum, part) => sum + part.of(step), 0);
  const most = round(Math.max(1, ...steps.map(total)));
  const high = HEIGHT - BOTTOM - TOP;
  const wide = (WIDTH - LEFT) / steps.length;
  const y = (value) => TOP + high - (value / most) * high;
  const all = svg("g");
  for (const value of most % 2 ? [0, most] : [0, most / 2, most]) {
    all.append(svg("line", { class: "rule", x1: LEFT, x2: WIDTH, y1: y(value), y2: y(value) }),
      svg("text", { class: "tick", x: LEFT - 8, y: y(value) + 4, "text-anchor": "end" }, value.toLocaleString()));
  }
  steps.forEach((step, at) => {
    const column = svg("g", { class: "column" },
      svg("title", {}, `${label(step)}: ${parts.map((part) => `${part.of(step)} ${part.name}`).join(", ")}`),
      svg("rect", { class: "ground", x: LEFT + at * wide, y: TOP, width: wide, height: high }));
    let below = 0;
    for (const part of parts) {
      const value = part.of(step);
      if (value > 0) {
        const high = Math.max(1.5, y(below) - y(below + value));
        column.append(svg("rect", { class: part.kind, x: LEFT + at * wide + 1, y: y(below) - high, width: Math.max(1, wide - 2), height: high, rx: 1.5 }));
      }
      below += value;
    }
    all.append(column);
    if (at % Math.ceil(steps.length / 6) === 0) {
      all.append(svg("text", { class: "tick", x: LEFT + at * wide, y: HEIGHT - 6 }, label(step)));
    }
  });
  const said = parts.map((part) => `${steps.reduce((sum, step) => sum + part.of(step), 0)} ${part.name}`).join(", ");
  return el("figure", { class: "chart" },
    svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `${title}: ${said}` }, all),
    el("figcaption", { class: "legend" }, parts.map((part) => el("span", {}, el("i", { class: `key ${part.kind}` }), part.name))),
    el("details", {}, el("summary", {}, "As a table"),
      el("div", { class: "table-box", tabindex: "0", role: "region", "aria-label": title },
        el("table", {}, el("thead", {}, el("tr", {}, ["From", ...parts.map((part) => part.name)].map((name, i) => el("th", { scope: "col", class: i ? "number" : null }, name)))),
          el("tbody", {}, steps.filter((step) => total(step) > 0).map((step) => el("tr", {}, el("td", {}, label(step)), parts.map((part) => el("td", { class: "number" }, part.of(step).toLocaleString())))))))));
}

/** Bars one below the other: `{ name, value, part, note }`; `part` of the value is marked. */
export function bars(rows, empty) {
  if (!rows.length) return el("p", { class: "soft" }, empty);
  const most = Math.max(1, ...rows.map((row) => row.value));
  return el("ol", { class: "bars" }, rows.map((row) => {
    const bar = el("span", { class: `bar ${row.kind ?? ""}`, "aria-hidden": "true" });
    bar.style.width = `${(100 * row.value) / most}%`;
    if (row.part) {
      const part = el("span", { class: "bar-part" });
      part.style.width = `${(100 * row.part) / row.value}%`;
      bar.append(part);
    }
    return el("li", {}, el("span", { class: "bar-name" }, row.name), el("span", { class: "bar-value" }, row.value.toLocaleString(), row.note ? el("span", { class: "soft" }, ` ${row.note}`) : null), el("span", { class: "bar-box" }, bar));
  }));
}
