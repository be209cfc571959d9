// Requests: takes a path and a body; gives the answer. Asks for a token where the server wants one.

import { byId } from "/page/elements.js";

let token = sessionStorage.getItem("token");
let signingIn = null;

// Throws an Error with the server's message. A body is a value, or JSON as a text.
export async function ask(path, body, { signal, headers } = {}) {
  for (;;) {
    const request = { signal, headers: { ...headers } };
    if (body !== undefined) {
      request.method = "POST";
      request.headers["Content-Type"] = "application/json";
      request.body = typeof body === "string" ? body : JSON.stringify(body);
    }
    const sent = token;
    if (sent) request.headers.Authorization = `Bearer ${sent}`;
    const response = await reach(path, request);
    if (response.status !== 401) {
      const answer = await response.json();
      if (!response.ok) throw new Error(answer.error.message);
      return answer;
    }
    // Several requests may be refused together: one question is enough.
    if (sent === token) signingIn ??= signIn().finally(() => (signingIn = null));
    await signingIn;
  }
}

async function reach(path, request) {
  try {
    return await fetch(path, request);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The server does not answer. Try again.");
  }
}

function signIn() {
  const dialog = byId("sign-in");
  dialog.showModal();
  return new Promise((done) => {
    dialog.addEventListener("close", () => {
      token = byId("token").value.trim();
      // For this window, until it is closed.
      sessionStorage.setItem("token", token);
      byId("token").value = "";
      done();
    }, { once: true });
  });
}

// Gives a function whose signal ends what was asked for with the signal before it: only the latest answer is shown.
export function latest() {
  let controller = null;
  return () => {
    controller?.abort();
    controller = new AbortController();
    return controller.signal;
  };
}

let about = null;

// What the page shows; asked for once.
export const aboutPage = () => (about ??= ask("/v1/page"));

// Keeps what a customer did with an item that was shown; gives whether the server keeps such things.
export async function keep(user, item, model, taken) {
  const page = await aboutPage();
  if (!page.feedback) return false;
  // Ids are written digit by digit: a number of JavaScript would lose some.
  const id = (text, type) => (type === "integer" ? text : JSON.stringify(text));
  const rest = { shown: true, label: taken, propensity: item.propensity, rank: item.rank, model, context: { page: true } };
  const event = `{"user_id":${id(user, page.user_ids)},"item_id":${id(item.item_id, page.item_ids)},${JSON.stringify(rest).slice(1)}`;
  const key = [...crypto.getRandomValues(new Uint32Array(4))].map((part) => part.toString(16)).join("-");
  await ask("/v1/feedback", `{"events":[${event}]}`, { headers: { "Idempotency-Key": key } });
  return true;
}
