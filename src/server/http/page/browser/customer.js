// A customer's list: finds customers, shows new products with their reasons, and takes answers, which change the list at once.

import { attempt, byId, element, facts, line, percent, say, title } from "/page/elements.js";
import { ask, keep, latest } from "/page/server.js";

const LENGTH = 10;

// Who is chosen, and by customer what was said of which item.
let chosen = null;
const answers = new Map();
const searching = latest();
const listing = latest();

export const customer = () => chosen;

// What the chosen customer said: a map from items to { text, answer }.
function said() {
  if (!answers.has(chosen)) answers.set(chosen, new Map());
  return answers.get(chosen);
}

// Notes an answer: 'liked', 'disliked' or 'taken'.
export function note(item, answer) {
  said().set(item.item_id, { text: title(item), answer });
}

export function start() {
  byId("who").form.addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(find);
  });
  byId("with-known").addEventListener("change", () => attempt(list));
}

export function show(user) {
  byId("chosen").hidden = !user;
  if (!user) {
    chosen = null;
    return attempt(find);
  }
  chosen = user;
  byId("customers").replaceChildren();
  byId("list-title").textContent = `Customer ${user}`;
  byId("list-title").focus();
  return attempt(() => Promise.all([history(), list()]));
}

async function find() {
  const query = byId("who").value.trim();
  const { users } = await ask("/v1/page/users", { query, k: 12 }, { signal: searching() });
  if (users.length === 0) say(`No customer begins with ${query}.`);
  else say("");
  byId("customers").replaceChildren(...users.map((user) => element("li", {}, element("a",
    { href: `#/customer/${encodeURIComponent(user.user_id)}` },
    user.user_id, element("small", {}, ` ${user.interactions}`)))));
}

async function history() {
  const { items } = await ask("/v1/page/history", { user_id: chosen, k: 50 });
  const lines = items.map((item) => element("li", {},
    element("span", { className: "what" }, title(item)), element("span", { className: "amount" }, item.day ?? "")));
  byId("history").replaceChildren(...(lines.length ? lines : [element("li", {}, "Nothing yet: the list is that of the average customer.")]));
}

function request() {
  const of = (answer) => [...said()].filter(([, entry]) => entry.answer === answer).map(([item]) => item);
  return { user_id: chosen, liked: of("liked"), disliked: of("disliked"), taken: of("taken") };
}

async function list() {
  const only_new = !byId("with-known").checked;
  const { model, rows, purchases } =
    await ask("/v1/page/recommend", { customer: request(), only_new, k: LENGTH }, { signal: listing() });
  const because = Map.groupBy(purchases, (purchase) => purchase.rank);
  byId("said").replaceChildren(...[...said()].map(([item, entry]) => answer(item, entry)));
  const cards = rows.map((row) => card(row, because.get(row.rank) ?? [], model));
  byId("list").replaceChildren(...(cards.length ? cards : [element("li", {}, "There is nothing new for this customer.")]));
}

const NAMES = { liked: "likes", disliked: "does not like", taken: "took" };

// What was said, as a button that takes it back.
function answer(item, { text, answer }) {
  const back = element("button", { type: "button", title: "Take it back" }, `${NAMES[answer]}: ${text} ✕`);
  back.addEventListener("click", () => attempt(async () => {
    said().delete(item);
    await list();
    byId("list-title").focus();
  }));
  return element("li", {}, back);
}

function card(item, because, model) {
  const reasons = because.slice(0, 3).flatMap((purchase, place) => [place ? ", " : "", element("q", {}, title(purchase))]);
  const take = element("button", { type: "button", className: "main" }, "Take it");
  const refuse = element("button", { type: "button" }, "Not for me");
  const why = element("button", { type: "button", ariaExpanded: "false" }, "Why");
  const details = element("div", { className: "why", hidden: true });
  take.addEventListener("click", () => attempt(() => decide(item, model, true)));
  refuse.addEventListener("click", () => attempt(() => decide(item, model, false)));
  why.addEventListener("click", () => attempt(async () => {
    if (details.childElementCount === 0) await explain(item, details);
    details.hidden = !details.hidden;
    why.ariaExpanded = String(!details.hidden);
  }));
  const audience = element("a", { href: `#/launch/item/${encodeURIComponent(item.item_id)}` }, "Audience");
  for (const control of [take, refuse, why, audience]) control.setAttribute("aria-label", `${control.textContent}: ${title(item)}`);
  return element("li", {},
    element("div", { className: "head" }, element("h3", {}, title(item)), element("strong", {}, percent(item.probability))),
    facts(item, item.is_new ? null : "on sale"),
    reasons.length ? element("p", { className: "because" }, "Because of ", ...reasons) : null,
    element("p", { className: "actions" }, take, refuse, why, audience), details);
}

// Keeps the answer and lists anew; the focus stays at the same place of the list.
async function decide(item, model, taken) {
  const place = item.rank - 1;
  const kept = await keep(chosen, item, model, taken);
  note(item, taken ? "taken" : "disliked");
  await list();
  const where = kept ? "kept as feedback" : "not kept: the server has no folder for feedback";
  say(`${taken ? "Taken" : "Refused"}: ${title(item)} (${where}). The list has changed.`);
  const buttons = byId("list").querySelectorAll(".main");
  buttons[Math.min(place, buttons.length - 1)]?.focus();
}

const KINDS = [["component", "Parts of the model"], ["purchase", "Purchases"], ["word", "Words of the title"]];

async function explain(item, details) {
  const { rows } = await ask("/v1/page/explain", { customer: request(), item_id: item.item_id, k: 6 });
  const groups = Map.groupBy(rows, (row) => row.kind);
  for (const [kind, name] of KINDS) {
    const reasons = groups.get(kind) ?? [];
    if (reasons.length === 0) continue;
    // The odds to begin with are no reason for or against this product.
    const isReason = (reason) => reason.feature !== "baseline" || kind !== "component";
    const most = Math.max(...reasons.filter(isReason).map((reason) => Math.abs(reason.attribution)), Number.MIN_VALUE);
    details.append(element("h4", {}, name), element("ul", { className: "lines" }, ...reasons.map((reason) => {
      const what = kind === "component" ? reason.feature.replaceAll("_", " ") : reason.description ?? reason.feature;
      const factor = Math.exp(reason.attribution);
      const made = line(what, `× ${factor < 0.1 ? factor.toPrecision(2) : factor.toFixed(2)}`, isReason(reason) ? reason.attribution / most : 0);
      if (reason.description) made.title = reason.description;
      return made;
    })));
  }
  details.append(element("p", { className: "facts" }, "How much each multiplies the odds. The parts of the model multiply to the score."));
}
