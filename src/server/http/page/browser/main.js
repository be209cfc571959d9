// The page: shows the view that the address names, such as #/customer/59, #/catalogue/tea or #/launch/text/a%20teapot.

import * as catalogue from "/page/catalogue.js";
import * as customer from "/page/customer.js";
import { attempt, byId, say } from "/page/elements.js";
import * as launch from "/page/launch.js";
import { aboutPage } from "/page/server.js";

const VIEWS = { customer, catalogue, launch };

function route() {
  const [name, ...rest] = location.hash.slice(2).split("/").map(decodeURIComponent);
  const shown = name in VIEWS ? name : "customer";
  say("");
  for (const view of Object.keys(VIEWS)) {
    byId(view).hidden = view !== shown;
    const link = document.querySelector(`nav a[href="#/${view}"]`);
    if (view === shown) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  VIEWS[shown].show(...rest);
}

attempt(async () => {
  byId("model").textContent = (await aboutPage()).model;
  for (const view of Object.values(VIEWS)) view.start();
  window.addEventListener("hashchange", route);
  route();
});
