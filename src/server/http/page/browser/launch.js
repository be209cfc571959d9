// Who will buy a product: one of the catalogue, or one that exists only in words.

import { attempt, byId, element, line, percent, say, title } from "/page/elements.js";
import { ask, latest } from "/page/server.js";

const asking = latest();

export function start() {
  byId("text").form.addEventListener("submit", (event) => {
    event.preventDefault();
    const text = byId("text").value.trim();
    if (text) location.hash = `#/launch/text/${encodeURIComponent(text)}`;
  });
}

export function show(kind, value) {
  byId("audience").hidden = true;
  if (!value) return undefined;
  if (kind === "text") byId("text").value = value;
  const item = kind === "text" ? { text: value } : { item_id: value };
  return attempt(async () => {
    say("Counting buyers …");
    const options = { signal: asking() };
    const [audience, words] = await Promise.all([
      ask("/v1/page/audience", { ...item, k: 10 }, options),
      ask("/v1/page/words", { ...item, k: 10 }, options),
    ]);
    say("");
    fill(audience, words.rows);
    byId("audience").hidden = false;
    byId("audience-title").focus();
  });
}

function fill({ all: [all], users, items }, words) {
  byId("audience-title").textContent = words.find((row) => row.change === "none")?.text ?? "";
  const share = all.buyers > 0 ? all.buyers_in_best_tenth / all.buyers : 0;
  const figure = (name, value) => element("div", {}, element("dt", {}, name), element("dd", {}, value));
  byId("figures").replaceChildren(
    figure("buyers to expect", all.buyers.toPrecision(3)),
    figure("of customers", String(all.users)),
    figure("of them in the likeliest tenth", percent(share)));
  const most = users[0]?.probability ?? 1;
  byId("buyers").replaceChildren(...users.map((user) => line(
    element("a", { href: `#/customer/${encodeURIComponent(user.user_id)}` }, `Customer ${user.user_id}`),
    percent(user.probability), user.probability / most)));
  const often = Math.max(...items.map((item) => item.share), Number.MIN_VALUE);
  byId("favourites").replaceChildren(...items.map((item) =>
    line(title(item), `${percent(item.share)}, all ${percent(item.share_of_all)}`, item.share / often)));
  const effects = words.filter((row) => row.change !== "none");
  // Leaving a word out does the opposite of what the word does.
  const effect = (row) => (row.change === "remove" ? -row.effect : row.effect);
  const largest = Math.max(...effects.map((row) => Math.abs(row.effect)), Number.MIN_VALUE);
  byId("title-words").replaceChildren(...effects.sort((a, b) => effect(b) - effect(a)).map((row) => line(
    row.change === "add" ? element("em", {}, `+ ${row.word}`) : row.word,
    `${effect(row) < 0 ? "−" : "+"}${Math.abs(effect(row)).toPrecision(2)}`, effect(row) / largest)));
}
