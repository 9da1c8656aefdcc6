// The jails, their prisoners, and stopping one of them alone.

import { button, el, facts, keep, redraw } from "./dom.js";
import { command, count, counting, visible } from "./show.js";
import { listen, state } from "./state.js";
import { kill } from "./kill.js";
import { mayAnswer } from "./session.js";

export function show(main) {
  const list = el("div", { class: "grid" });
  main.append(el("div", { class: "page-head" }, el("h1", {}, "Jails")), list);
  const empty = el("p", { class: "empty", hidden: true }, "There is no jail.");
  list.before(empty);
  /** What is told of each jail, by its name: it changes with every request, and the buttons stay. */
  const bodies = new Map();
  const draw = () => {
    const jails = state.status?.jails ?? [];
    empty.hidden = !state.status || jails.length > 0;
    keep(list, jails.map((one) => one.name), (name) => jail(name, bodies));
    for (const one of jails) redraw(bodies.get(one.name), one, () => about(one));
  };
  const deaf = listen(draw);
  draw();
  return deaf;
}

function jail(name, bodies) {
  const body = el("div", { class: "stack" });
  bodies.set(name, body);
  return el("section", { class: "card stack", "aria-label": name },
    el("div", { class: "page-head tight" }, el("h2", {}, ...visible(name)), el("span", { class: "grow" }), mayAnswer() ? button("Stop…", "bad small", (event) => kill(event, name)) : null),
    body);
}

function about(one) {
  return [
    facts([
      ["requests", one.requests.toLocaleString()],
      ["socket", el("code", {}, ...visible(one.socket))],
      ["shims", one.bin ? el("code", {}, ...visible(one.bin)) : null],
      ["policy", el("span", {}, ...visible(one.policy))],
      ["in force", one.policy_since_ms ? counting(one.policy_since_ms, "ago") : null],
      ["problem", one.policy_error ? el("span", { class: "problem" }, ...visible(one.policy_error)) : null],
    ]),
    one.prisoners.length ? el("ul", { class: "plain-list stack" }, one.prisoners.map(prisoner)) : el("p", { class: "soft" }, "No prisoner of a clawrden run. Containers come and go without being counted here."),
  ];
}

function prisoner(one) {
  return el("li", { class: "stack tight" }, command(one.command), el("div", { class: "chips" },
    el("span", { class: "chip" }, `pid ${one.pid}`),
    el("span", { class: one.requests ? "chip" : "chip wait" }, one.requests ? count(one.requests, "request") : "no request yet: is it governed?"),
    one.unattended ? el("span", { class: "chip wait" }, "unattended: every ask is denied") : null,
    el("span", { class: "chip" }, "since ", counting(one.since_ms, "ago")),
    Object.entries(one.labels).map(([k, v]) => el("span", { class: "chip" }, ...visible(`${k}=${v}`)))));
}
