// The policy in force, and why a changed one is not.

import { busy, button, el, facts, redraw } from "./dom.js";
import { get, post } from "./api.js";
import { counting, visible, visibleLines } from "./show.js";
import { listen, refresh, state } from "./state.js";
import { session } from "./session.js";
import { suggestions } from "./suggest.js";
import { explain, files, simulate } from "./whatif.js";

export function show(main, at) {
  const body = el("div", { class: "stack" });
  const boxes = el("div", { class: "stack boxes" });
  const told = el("p", { class: "soft", role: "status" });
  const reload = button("Reload", "", () => busy(reload, async () => {
    const done = await post("/api/policy/reload");
    told.textContent = [done.changed ? "The policy is a new one." : "The policy is the same as before.", ...done.problems].join(" ");
    await refresh();
  }));
  main.append(el("div", { class: "page-head", data: { problems: "" } }, el("h1", {}, "Policy"), el("span", { class: "grow" }), told, session.role === "admin" ? reload : ""), body, boxes);
  const draw = () => {
    const policy = state.status?.policy;
    if (!policy) return;
    const fault = policy.error;
    redraw(body, policy, () => [
      fault ? el("section", { class: "card stack" },
        el("h2", {}, "The files do not load; the last good policy is in force"),
        el("p", { class: "soft" }, "Since ", counting(fault.since_ms, "ago"), ...(fault.file ? visible(`, in ${fault.file}${fault.line ? `, line ${fault.line}` : ""}`) : [])),
        el("pre", { class: "command" }, ...visibleLines(fault.message))) : "",
      el("section", { class: "card" }, facts([
        ["source", el("span", {}, ...visible(policy.source))],
        ["in force", counting(policy.since_ms, "ago")],
        ["fingerprint", el("code", {}, policy.fingerprint)],
        ["files", policy.watched ? "watched: a change is taken over at once"
          : session.role === "admin" ? "not watched: press Reload after a change" : "not watched: an admin reloads them after a change"],
      ])),
    ]);
  };
  const deaf = listen(draw);
  draw();
  let on = true;
  const read = async () => {
    const explaining = explain(at.query.get("explain"));
    try {
      const info = await get("/api/policy");
      if (on) boxes.replaceChildren(explaining, suggestions(), files(info.layers), simulate(info.layers));
    } catch (error) {
      // Who is bounded to some jails is not shown the files, and may still ask.
      if (on) boxes.replaceChildren(explaining, el("p", { class: "soft" }, error.message));
    }
  };
  read();
  return () => {
    on = false;
    deaf();
  };
}
