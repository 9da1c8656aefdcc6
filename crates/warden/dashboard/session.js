// Who we are to the warden: by a link that works once, or by a token.

import { busy, button, el, field } from "./dom.js";
import { get, post, remove, useCsrf } from "./api.js";

/** Where the browser keeps the word that goes with the cookie: readable by this page's own origin alone. */
const KEY = "clawrden-session";

/** The session, once there is one: `who` and `role`. */
export const session = { who: "", role: "viewer" };

/** Whether this session may answer requests and stop things. */
export const mayAnswer = () => session.role !== "viewer";

function take(told) {
  session.who = told.who;
  session.role = told.role;
  if (told.csrf) {
    localStorage.setItem(KEY, told.csrf);
    useCsrf(told.csrf);
  }
}

/** Finds the session that there is, or opens the one that the address is a link to. Gives whether there is one. */
export async function find() {
  if (location.pathname === "/login" && location.hash.length > 1) {
    const code = location.hash.slice(1);
    // Before anything else: the code must not stay in the address.
    history.replaceState(null, "", "/");
    take(await post("/api/session", { code }));
    return true;
  }
  if (location.pathname !== "/") history.replaceState(null, "", "/");
  useCsrf(localStorage.getItem(KEY) ?? "");
  try {
    take(await get("/api/session"));
    return true;
  } catch (error) {
    if (error.status === 401) return false;
    throw error;
  }
}

/** Asks for a token; `done` is called when there is a session. */
export function login(main, why, done) {
  const token = el("input", { type: "password", autocomplete: "off", required: true, spellcheck: "false" });
  const act = el("button", { type: "submit", class: "button first" }, "Sign in");
  const form = el("form", { class: "card stack login", on: { submit: (event) => {
    event.preventDefault();
    busy(act, async () => {
      take(await post("/api/session", { token: token.value.trim() }));
      done();
    });
  } } },
  el("h1", {}, "Sign in"),
  why ? el("p", { class: "problem", role: "alert" }, why) : null,
  el("p", {}, "On the warden's machine, ", el("code", {}, "clawrden dashboard"), " prints a link that signs you in. Elsewhere, use a token of ", el("code", {}, "clawrden token create"), "."),
  field("Token", token),
  el("div", { class: "dialog-end", data: { problems: "" } }, act));
  main.replaceChildren(form);
  token.focus();
}

/** Ends the session. */
export async function logout() {
  await remove("/api/session");
  localStorage.removeItem(KEY);
  location.reload();
}

/** For the settings: who this is, and the way out. */
export function about() {
  return el("p", { class: "facts-line", data: { problems: "" } }, `Signed in as ${session.who} (${session.role}). `,
    button("Sign out", "small", (event) => busy(event.target, logout)));
}
