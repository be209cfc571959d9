// Elements of the page. What comes from the server becomes text, never HTML.

export const byId = (id) => document.getElementById(id);

// Takes a name, properties and children (nodes, texts, or null for nothing); gives the element.
export function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children.filter((child) => child !== null));
  return made;
}

// A probability from 0 to 1, with two digits that count.
export function percent(probability) {
  const value = probability * 100;
  return `${value >= 9.95 ? value.toFixed(0) : value.toPrecision(2)} %`;
}

// A bar of a length from -1 to 1.
export function bar(length) {
  const made = element("span", { className: length < 0 ? "bar against" : "bar", ariaHidden: "true" });
  made.style.setProperty("--length", Math.min(Math.abs(length), 1));
  return made;
}

// A line of a list: what it is, how much, and a bar of that.
export function line(what, amount, length) {
  return element("li", {}, element("span", { className: "what" }, what), element("span", { className: "amount" }, amount), bar(length));
}

// Price and launch of an item, and whatever else there is to say of it.
export function facts(item, ...more) {
  const price = item.price === null ? null : item.price.toFixed(2);
  const launch = item.launched_at ? `launched ${item.launched_at}` : null;
  return element("p", { className: "facts" }, [price, launch, ...more].filter(Boolean).join(" · "));
}

export const title = (item) => item.text ?? `Product ${item.item_id}`;

// Says something below the header, which screen readers read out.
export function say(text, isError = false) {
  byId("status").className = isError ? "error" : "";
  byId("status").textContent = text;
}

// Runs work that a person asked for; says what went wrong. What was asked for before and is not needed any more says nothing.
export async function attempt(work) {
  document.body.ariaBusy = "true";
  try {
    await work();
  } catch (error) {
    if (error.name !== "AbortError") say(error.message, true);
  } finally {
    document.body.ariaBusy = "false";
  }
}
