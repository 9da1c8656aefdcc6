// Tokens and sessions: who gets in, and taking that back. A token is shown once.

import { busy, button, dialog, el, facts, field } from "./dom.js";
import { get, post, remove } from "./api.js";
import { moment, visible } from "./show.js";

const DAY = 86400000;

export function show(main) {
  const body = el("div", { class: "stack" });
  const problem = el("p", { class: "problem", role: "alert", hidden: true });
  main.append(el("div", { class: "page-head" }, el("h1", {}, "Tokens"), el("span", { class: "grow" }), button("Make a token…", "first", () => make(look))), problem, body);
  let on = true;
  async function look() {
    try {
      const told = await get("/api/tokens");
      if (!on) return;
      problem.hidden = true;
      body.replaceChildren(
        table("Tokens", ["Whose", "Role", "For", "Made", "Last used", "Until", ""], told.tokens.map((token) => token_row(token, look)), "There is no token."),
        table("Sessions of this page", ["Whose", "Role", "For", "Opened", "From", "Until", ""], told.sessions.map((session) => session_row(session, look)), "Nobody is signed in."));
    } catch (error) {
      if (!on) return;
      problem.textContent = error.message;
      problem.hidden = false;
    }
  }
  look();
  return () => { on = false; };
}

function table(title, heads, rows, empty) {
  return el("section", { class: "stack tight" }, el("h2", {}, title), rows.length
    ? el("div", { class: "table-box", tabindex: "0", role: "region", "aria-label": title },
      el("table", {}, el("thead", {}, el("tr", {}, heads.map((name) => (name ? el("th", { scope: "col" }, name) : el("td", {}))))), el("tbody", {}, rows)))
    : el("p", { class: "soft" }, empty));
}

function bounds(scope) {
  const parts = [...(scope.jails ?? []).map((jail) => `jail ${jail}`), ...(scope.rules ?? []).map((rule) => `rule ${rule}`)];
  return parts.length ? visible(parts.join(", ")) : "everything";
}

function token_row(token, look) {
  const cells = [el("span", {}, ...visible(token.name), " ", el("code", { class: "soft" }, token.id)), token.role, bounds(token.scope), moment(token.created_ms),
    token.last_used_ms ? moment(token.last_used_ms) : "never", moment(token.expires_ms)];
  return el("tr", {}, cells.map((cell) => el("td", {}, cell)), el("td", {}, button("Revoke…", "small", () => revoke(`the token of ${token.name}`, token.id, look), { "aria-label": `Revoke the token of ${token.name}` })));
}

function session_row(session, look) {
  const cells = [el("span", {}, ...visible(session.who)), session.role, bounds(session.scope), moment(session.created_ms), el("span", {}, ...visible(session.address)), moment(session.expires_ms)];
  return el("tr", {}, cells.map((cell) => el("td", {}, cell)), el("td", {}, button("End…", "small", () => revoke(`the session of ${session.who}`, session.id, look), { "aria-label": `End the session of ${session.who}` })));
}

function revoke(what, id, look) {
  dialog("Revoke?", (close) => [
    el("p", {}, "From this moment on ", ...visible(what), " opens nothing. It cannot be given back."),
    el("div", { class: "dialog-end", data: { problems: "" } }, button("Keep it", "", close),
      button("Revoke", "bad", (event) => busy(event.target, async () => {
        await remove(`/api/tokens/${id}`);
        close();
        look();
      }))),
  ]);
}

const list = (input) => input.value.split(/[\s,]+/).filter(Boolean);

function make(look) {
  const name = el("input", { type: "text", maxlength: "64", autocomplete: "off", placeholder: "alice" });
  const role = el("select", { on: { change: () => { jails.disabled = role.value === "admin"; rules.disabled = role.value !== "approver"; } } },
    [["viewer", "viewer: sees"], ["approver", "approver: answers and stops, too"], ["admin", "admin: may everything"]].map(([value, text]) => el("option", { value, selected: value === "approver" }, text)));
  const jails = el("input", { type: "text", autocomplete: "off", placeholder: "all" });
  const rules = el("input", { type: "text", autocomplete: "off", placeholder: "all" });
  const days = el("input", { type: "number", min: "1", max: "366", value: "90", required: true });
  const act = el("button", { type: "submit", class: "button first" }, "Make it");
  const box = dialog("Make a token", (close) => el("form", { class: "stack", on: { submit: (event) => {
    event.preventDefault();
    busy(act, async () => {
      const made = await post("/api/tokens", {
        role: role.value, name: name.value.trim() || null, expires_in_ms: Number(days.value) * DAY,
        jails: jails.disabled ? [] : list(jails), rules: rules.disabled ? [] : list(rules),
      });
      box.querySelector(".dialog-body").replaceChildren(...shown(made, close));
      look();
    });
  } } },
  field("Whose it is", name), field("Role", role), field("For these jails alone", jails), field("For what these rules ask alone", rules), field("Days that it holds", days),
  el("div", { class: "dialog-end", data: { problems: "" } }, button("Cancel", "", close), act)));
}

/** The token itself: it is in the page as long as this is open, and nowhere else. */
function shown(made, close) {
  const secret = el("code", { class: "command secret", tabindex: "0" }, made.token);
  const copy = button("Copy", "first", async () => {
    await navigator.clipboard.writeText(made.token);
    copy.textContent = "Copied";
  });
  return [
    el("h2", { id: "dialog-title" }, "The token"),
    el("p", {}, "It is shown this once. The warden keeps nothing that it could be told from."),
    secret,
    facts([["whose", el("span", {}, ...visible(made.info.name))], ["role", made.info.role], ["for", el("span", {}, bounds(made.info.scope))], ["until", moment(made.info.expires_ms)]]),
    el("div", { class: "dialog-end" }, copy, button("I have it", "", close)),
  ];
}
