// What runs at this moment, what it uses, and ending one of it.

import { announce, busy, button, dialog, el, field, keep, redraw } from "./dom.js";
import { get, post } from "./api.js";
import { player } from "./player.js";
import { command, count, counting, duration, visible } from "./show.js";
import { mayAnswer } from "./session.js";

const EVERY = 2000;

export function show(main) {
  const list = el("div", { class: "stack" });
  const empty = el("p", { class: "empty card", hidden: true }, "Nothing runs.");
  const problem = el("p", { class: "problem", role: "alert", hidden: true });
  main.append(el("div", { class: "page-head" }, el("h1", {}, "Running")), problem, empty, list);
  let timer = null;
  let left = false;
  async function look() {
    try {
      const { entries } = await get("/api/running");
      problem.hidden = true;
      empty.hidden = entries.length > 0;
      const by = new Map(entries.map((one) => [one.id, one]));
      keep(list, [...by.keys()], (id) => entry(by.get(id)));
      for (const made of list.children) made.refresh(by.get(made.dataset.key));
    } catch (error) {
      problem.textContent = error.message;
      problem.hidden = error.status === 401;
    }
    if (!left) timer = setTimeout(look, EVERY);
  }
  look();
  return () => {
    left = true;
    clearTimeout(timer);
  };
}

function use(one) {
  const parts = [];
  if (one.cpu_ms !== null && one.cpu_ms !== undefined) parts.push(`${duration(one.cpu_ms)} of processor`);
  if (one.memory !== null && one.memory !== undefined) parts.push(`${(one.memory / 1e6).toFixed(1)} MB`);
  if (one.processes) parts.push(count(one.processes, "process", "processes"));
  return parts.join(" · ");
}

/** A running command. Its `refresh` takes the entry as it is by now. */
function entry(one) {
  const head = el("div", { class: "request-head" });
  const used = el("span", { class: "soft use grow" });
  const watching = button("Watch", "small", () => watch(one));
  const made = el("section", { class: "card stack tight", "aria-label": "A running command" }, head, command(one.argv),
    el("div", { class: "answers" }, used, watching, mayAnswer() ? button("Stop…", "bad small", () => stop(one)) : null));
  made.refresh = (now) => {
    const { cpu_ms: _, memory: __, processes: ___, ...rest } = now;
    redraw(head, rest, () => about(now));
    used.textContent = use(now);
    watching.hidden = !now.recording;
  };
  return made;
}

function about(one) {
  return [
    el("span", { class: "chip note" }, ...visible(one.jail)),
    el("span", { class: "chip" }, one.run_as ? `${one.executor} as ${one.run_as}` : one.executor),
    one.cooperative ? el("span", { class: "chip" }, "in the prisoner's own process") : null,
    one.recording ? el("span", { class: "chip wait" }, `recorded: ${one.recording}`) : null,
    el("span", { class: one.state === "running" ? "chip good" : "chip wait" }, one.state),
    el("span", { class: "grow" }),
    el("span", { class: "soft" }, counting(one.started_ms, "ago")),
    el("code", { class: "soft", title: one.id }, one.short),
  ];
}

function stop(one) {
  const reason = el("input", { type: "text", maxlength: "500", autocomplete: "off" });
  dialog("Stop this command", (close) => {
    const act = button("Stop it", "kill", () => busy(act, async () => {
      const report = await post(`/api/running/${one.id}/stop`, { reason: reason.value.trim() || null });
      close();
      announce(report.ended ? "Stopped" : "Told to end; what is left of it is killed after the grace");
    }));
    return [
      command(one.argv),
      el("p", {}, "Its whole tree gets SIGTERM, and after the warden's grace SIGKILL."),
      field("Why (the agent is told where that is possible)", reason),
      el("div", { class: "dialog-end", data: { problems: "" } }, button("Cancel", "", close), act),
    ];
  });
}

/** What it shows, as it does. */
function watch(one) {
  const playing = player(one.id, true);
  const box = dialog("What it shows", (close) => [command(one.argv), playing.made, el("div", { class: "dialog-end" }, button("Close", "first", close))]);
  box.classList.add("wide");
  box.addEventListener("close", () => playing.end());
}
