// What runs at this moment, what it uses, and ending one of it.

import { announce, busy, button, dialog, el, field } from "./dom.js";
import { get, post } from "./api.js";
import { player } from "./player.js";
import { command, counting, duration, visible } from "./show.js";
import { mayAnswer } from "./session.js";

const EVERY = 2000;

export function show(main) {
  const list = el("div", { class: "stack" });
  const problem = el("p", { class: "problem", role: "alert", hidden: true });
  main.append(el("div", { class: "page-head" }, el("h1", {}, "Running")), problem, list);
  let timer = null;
  let left = false;
  let drawn = "";
  async function look() {
    try {
      const { entries } = await get("/api/running");
      problem.hidden = true;
      // What did not change stays as it is, and keeps the focus.
      const shape = JSON.stringify(entries.map(({ cpu_ms: _, memory: __, ...rest }) => rest));
      if (shape !== drawn) {
        drawn = shape;
        list.replaceChildren(...(entries.length ? entries.map(entry) : [el("p", { class: "empty card" }, "Nothing runs.")]));
      }
      for (const one of entries) use(list.querySelector(`[data-id="${one.id}"] .use`), one);
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

function use(place, one) {
  if (!place) return;
  const parts = [];
  if (one.cpu_ms !== null && one.cpu_ms !== undefined) parts.push(`${duration(one.cpu_ms)} of processor`);
  if (one.memory !== null && one.memory !== undefined) parts.push(`${(one.memory / 1e6).toFixed(1)} MB`);
  if (one.processes) parts.push(`${one.processes} process${one.processes === 1 ? "" : "es"}`);
  place.textContent = parts.join(" · ");
}

function entry(one) {
  return el("section", { class: "card stack tight", data: { id: one.id }, "aria-label": "A running command" },
    el("div", { class: "request-head" },
      el("span", { class: "chip note" }, ...visible(one.jail)),
      el("span", { class: "chip" }, one.run_as ? `${one.executor} as ${one.run_as}` : one.executor),
      one.cooperative ? el("span", { class: "chip" }, "in the prisoner's own process") : null,
      one.recording ? el("span", { class: "chip wait" }, `recorded: ${one.recording}`) : null,
      el("span", { class: one.state === "running" ? "chip good" : "chip wait" }, one.state),
      el("span", { class: "grow" }),
      el("span", { class: "soft" }, counting(one.started_ms, "ago")),
      el("code", { class: "soft", title: one.id }, one.short)),
    command(one.argv),
    el("div", { class: "answers" },
      el("span", { class: "soft use grow" }),
      one.recording ? button("Watch", "small", () => watch(one)) : null,
      mayAnswer() ? button("Stop…", "bad small", () => stop(one)) : null));
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
