// The catalogue: searches it, and says for the chosen customer what is liked and what is not.

import { customer, note } from "/page/customer.js";
import { attempt, byId, element, facts, say, title } from "/page/elements.js";
import { ask, latest } from "/page/server.js";

const searching = latest();

export function start() {
  byId("words").form.addEventListener("submit", (event) => {
    event.preventDefault();
    location.hash = `#/catalogue/${encodeURIComponent(byId("words").value.trim())}`;
  });
}

export function show(words) {
  byId("words").value = words ?? "";
  const user = customer();
  byId("asked").textContent = user ? `Likes and dislikes are those of customer ${user}.` : "";
  return attempt(async () => {
    const { items } = await ask("/v1/page/items", { query: words ?? "", k: 20 }, { signal: searching() });
    byId("items").replaceChildren(...items.map((item) => card(item, user)));
    say(items.length ? "" : "Nothing found.");
  });
}

function card(item, user) {
  const actions = element("p", { className: "actions" });
  const control = (name, properties, text) => {
    const made = element(name, properties, text);
    made.setAttribute("aria-label", `${text}: ${title(item)}`);
    actions.append(made);
    return made;
  };
  if (user) {
    for (const [answer, text] of [["liked", "Likes it"], ["disliked", "Does not"]]) {
      control("button", { type: "button" }, text).addEventListener("click", () => {
        note(item, answer);
        say(`Customer ${user} ${answer === "liked" ? "likes" : "does not like"} ${title(item)}.`);
      });
    }
  }
  control("a", { href: `#/launch/item/${encodeURIComponent(item.item_id)}` }, "Audience");
  return element("li", {}, element("h3", {}, title(item)), facts(item), actions);
}
