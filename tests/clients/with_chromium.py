"""The page in headless Chromium, on a desk and on a phone: search, choose, explain, refuse and take, with keys alone on the desk.

Nothing but the server is asked for anything, and what a customer did is found in SQL. Where DEBUT_SCREENSHOTS names a folder,
page.png and page_phone.png are written there.
"""

import os
import pathlib
import re
import shutil
import sys
import time

import psycopg
from playwright.sync_api import expect, sync_playwright

SERVER = os.environ["DEBUT_PAGE"]
CUSTOMER = "59"
SCREENSHOTS = os.environ.get("DEBUT_SCREENSHOTS")
# Tabs from one thing to another that a person would still make.
MOST_TABS = 60

# A debug build computes behind each step.
expect.set_options(timeout=60_000)


def open_page(browser, **options):
    """A page that notes which servers it asks, and fails by an error of its scripts."""
    page = browser.new_context(**options).new_page()
    page.set_default_timeout(60_000)
    asked, errors = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(SERVER)
    return page, asked, errors


def tab_to(page, target):
    """Goes to an element by the key alone."""
    for _ in range(MOST_TABS):
        if target.evaluate("element => element === document.activeElement"):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"{target} is not reached by the key Tab")


def press(page, target, key="Enter"):
    tab_to(page, target)
    page.keyboard.press(key)


def screenshot(page, name):
    if SCREENSHOTS:
        page.screenshot(path=pathlib.Path(SCREENSHOTS) / name)


def titles(page):
    return page.locator("#list > li h3").all_inner_texts()


def events(label):
    """What is kept of the customer, in SQL, at most a second after the page has said so."""
    with psycopg.connect(autocommit=True) as connection:
        query = (
            "SELECT p.title FROM 'feedback/events/' AS e JOIN 'data/products.parquet' AS p ON p.product_id = e.item_id "
            f"WHERE e.user_id = {CUSTOMER} AND e.shown AND e.label = {label} AND e.propensity > 0 ORDER BY e.timestamp"
        )
        return [title for (title,) in connection.execute(query)]


def on_a_desk(browser):
    page, asked, errors = open_page(browser, viewport={"width": 1200, "height": 1000})
    # The server has users: a wrong token is asked for again.
    for token in ("made-up", os.environ["DEBUT_TOKEN"]):
        # Empty once the token before it is taken, focused once it is refused.
        expect(page.locator("#token")).to_have_value("")
        expect(page.locator("#token")).to_be_focused()
        page.keyboard.type(token)
        page.keyboard.press("Enter")
    expect(page.locator("#model")).to_have_text(re.compile("^taste@"))

    tab_to(page, page.locator("#who"))
    page.keyboard.type(CUSTOMER)
    page.keyboard.press("Enter")
    customer = page.locator("#customers a").first
    expect(customer).to_contain_text(re.compile(f"^{CUSTOMER} "))
    press(page, customer)
    expect(page.locator("#list-title")).to_be_focused()
    expect(page.locator("#list > li")).to_have_count(10)
    expect(page.locator("#history li").first).to_be_visible()
    first = page.locator("#list > li").first
    expect(first.locator("strong")).to_have_text(re.compile(r"^\d+(\.\d+)? %$"))
    assert first.locator(".because q").count() > 0, "no purchases speak for it"

    # The parts multiply to the odds of the score.
    press(page, first.get_by_role("button", name=re.compile("^Why")))
    expect(first.locator(".why h4")).to_have_text(["Parts of the model", "Purchases", "Words of the title"])
    screenshot(page, "page.png")

    before = titles(page)
    press(page, first.get_by_role("button", name=re.compile("^Not for me")))
    expect(page.locator("#status")).to_contain_text(f"Refused: {before[0]} (kept as feedback)")
    said = time.monotonic()
    assert events(0) == [before[0]] and time.monotonic() - said < 1, events(0)
    assert before[0] not in titles(page) and len(titles(page)) == 10
    expect(page.locator("#list .main").first).to_be_focused()
    taken = titles(page)[0]
    page.keyboard.press("Enter")
    expect(page.locator("#status")).to_contain_text(f"Taken: {taken} (kept as feedback)")
    assert events(1) == [taken], events(1)
    assert taken not in titles(page)

    # What is taken back is in the list again.
    press(page, page.locator("#said button").first)
    expect(page.locator("#said button")).to_have_count(1)
    assert before[0] in titles(page)

    press(page, page.get_by_role("link", name="Catalogue"))
    tab_to(page, page.locator("#words"))
    page.keyboard.type("a gift for somebody who loves tea")
    page.keyboard.press("Enter")
    expect(page.locator("#items > li").first).to_contain_text("Tea")
    liked = page.locator("#items > li").first
    press(page, liked.get_by_role("button", name=re.compile("^Likes it")))
    expect(page.locator("#status")).to_contain_text(f"Customer {CUSTOMER} likes {liked.locator('h3').inner_text()}")
    press(page, liked.get_by_role("link", name=re.compile("^Audience")))
    expect(page.locator("#audience-title")).to_be_focused()
    expect(page.locator("#buyers li")).to_have_count(10)

    page.locator("#text").focus()
    page.keyboard.type("a teapot for two")
    page.keyboard.press("Enter")
    expect(page.locator("#audience-title")).to_have_text("a teapot for two")
    expect(page.locator("#title-words")).to_contain_text("teapot")
    # Back is back.
    page.go_back()
    expect(page.locator("#audience-title")).not_to_have_text("a teapot for two")
    page.goto(f"{SERVER}/#/customer/no-number")
    expect(page.locator("#status.error")).to_contain_text("'no-number' is no id")
    return asked, errors


def on_a_phone(playwright, browser):
    device = {**playwright.devices["Pixel 7"], "device_scale_factor": 1.5}
    page, asked, errors = open_page(browser, **device, color_scheme="dark")
    page.locator("#token").fill(os.environ["DEBUT_TOKEN"])
    page.get_by_role("button", name="Go on").tap()
    expect(page.locator("#customers a").first).to_be_visible()
    page.goto(f"{SERVER}/#/customer/{CUSTOMER}")
    expect(page.locator("#list > li")).to_have_count(10)
    screenshot(page, "page_phone.png")
    page.locator("#list > li").first.get_by_role("button", name=re.compile("^Why")).tap()
    expect(page.locator(".why h4").first).to_be_visible()
    page.goto(f"{SERVER}/#/launch/text/a%20teapot%20for%20two")
    expect(page.locator("#buyers li")).to_have_count(10)
    for view in ("customer/59", "catalogue/tea", "launch/text/tea"):
        page.goto(f"{SERVER}/#/{view}")
        width = page.evaluate_handle("document.documentElement").evaluate("root => root.scrollWidth - root.clientWidth")
        assert width == 0, f"{view} is {width} pixels wider than the phone"
    return asked, errors


def main():
    with sync_playwright() as playwright:
        # Playwright wants a path, not a name. Root has no sandbox; the only pages are ours.
        browser = playwright.chromium.launch(executable_path=shutil.which(sys.argv[1]), args=["--no-sandbox"])
        for asked, errors in (on_a_desk(browser), on_a_phone(playwright, browser)):
            assert not errors, errors
            elsewhere = [url for url in asked if not url.startswith((f"{SERVER}/", "data:"))]
            assert asked and not elsewhere, elsewhere


main()
