"""What people do at the console, with a mouse, a keyboard and a loudspeaker."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import expect

from tests.browser.conftest import Desk
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]


async def test_a_bad_key_is_refused_and_good_ones_switch_all_clients_until_that_is_undone(desk: Desk):
    await desk.sign_in()
    page = desk.page
    vapi = page.get_by_role("region", name="Vapi", exact=True)
    await vapi.get_by_label("Private key").fill("canary-key-that-nobody-knows")
    await vapi.get_by_role("button", name="Test and save").click()
    alert = page.get_by_role("alert")
    await expect(alert).to_contain_text("Vapi")
    await expect(alert).to_be_focused()
    await expect(vapi.get_by_label("Private key")).to_have_value("")
    await vapi.get_by_label("Private key").fill(desk.demo.vapi.key)
    await vapi.get_by_role("button", name="Test and save").click()
    await expect(page.get_by_role("status").first).to_contain_text("saved")
    await expect(vapi).to_contain_text("Active")
    await expect(vapi).to_contain_text(desk.demo.vapi.key[-4:])
    assert desk.demo.vapi.key not in await page.content()
    retell = page.get_by_role("region", name="Retell", exact=True)
    await retell.get_by_text("Add a key").click()
    await retell.get_by_label("API key").fill(desk.demo.retell.key)
    await retell.get_by_label("Save without switching").check()
    await expect(retell.get_by_role("button", name="Test and save without switching")).to_be_visible()
    await retell.get_by_label("Switch all clients to Retell").check()
    await retell.get_by_role("button", name="Test and save, and switch all clients to Retell").click()
    await expect(retell).to_contain_text("Active")
    await page.get_by_role("button", name="Undo").click()
    await expect(vapi).to_contain_text("Active")


async def test_a_question_is_asked_in_a_dialog_before_a_key_goes(desk: Desk):
    await desk.ask("PUT", "/keys/vapi", {"key": desk.demo.vapi.key})
    await desk.sign_in()
    page = desk.page
    vapi = page.get_by_role("region", name="Vapi", exact=True)
    await vapi.get_by_text("Replace or delete the key").click()
    await vapi.get_by_role("button", name="Delete the key").click()
    dialog = page.get_by_role("dialog", name="Delete the Vapi key?")
    await expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(dialog).to_have_count(0)
    assert len((await desk.ask("GET", "/keys"))["items"]) == 1
    await vapi.get_by_role("button", name="Delete the key").click()
    await dialog.get_by_role("button", name="Delete the key").click()
    await expect(page.get_by_role("status").first).to_contain_text("erased")
    assert (await desk.ask("GET", "/keys"))["items"] == []


async def test_a_sync_moves_by_itself_until_it_is_done(desk: Desk):
    for number in range(5):
        await desk.ask("POST", "/clients", {"name": f"Client {number}", "assistant": {"prompt": "Answer kindly."}})
    busy = {"fault": "429", "operation": "assistants", "retry_after": 3, "times": 1}
    wrong = {"fault": "422", "operation": "assistants", "times": 1}
    desk.world.sandbox.state.faults.set("vapi", [busy, wrong])
    await desk.sign_in()
    page = desk.page
    vapi = page.get_by_role("region", name="Vapi", exact=True)
    await vapi.get_by_label("Private key").fill(desk.demo.vapi.key)
    await vapi.get_by_role("button", name="Test and save").click()
    await expect(vapi).to_contain_text("of 5 clients have their assistant at Vapi")
    await page.evaluate("window.isTheSamePage = true")
    await expect(vapi).to_contain_text("4 of 5 clients have their assistant at Vapi")
    await expect(vapi).to_contain_text("1 failed")
    assert await page.evaluate("window.isTheSamePage")
    await vapi.get_by_role("button", name="Retry failed clients").click()
    await expect(vapi).to_contain_text("5 of 5 clients have their assistant at Vapi")
    await expect(vapi).not_to_contain_text("failed")


async def test_a_message_is_played_and_deleted(desk: Desk):
    await desk.leave_message()
    await desk.sign_in()
    page = desk.page
    await page.get_by_role("link", name="Voicemails").first.click()
    audio = page.locator("audio")
    await audio.evaluate("player => { player.muted = true; return player.play(); }")

    async def is_playing() -> bool:
        return bool(await audio.evaluate("player => player.currentTime > 0.1"))

    await wait_until(is_playing)
    assert await audio.evaluate("player => player.duration") > 0
    assert await audio.evaluate("player => player.error") is None
    await page.get_by_role("button", name="Delete…").click()
    await page.get_by_role("dialog").get_by_role("button", name="Delete the message").click()
    await expect(page.get_by_text("No messages")).to_be_visible()


async def test_new_calls_appear_on_the_open_page(desk: Desk):
    await desk.sign_in()
    page = desk.page
    await page.goto(desk.url("calls"))
    await expect(page.get_by_text("No calls yet")).to_be_visible()
    await expect(page.get_by_text("Live")).to_be_visible()
    await desk.leave_message()
    await expect(page.get_by_role("cell", name="+1 415-555-0123")).to_be_visible()
    await expect(page.get_by_role("row").nth(1)).to_contain_text("Voicemail")


async def test_calls_are_found_by_a_number_in_any_spelling_and_the_address_can_be_shared(desk: Desk):
    await desk.leave_message()
    await desk.sign_in()
    page = desk.page
    await page.goto(desk.url("calls"))
    await page.get_by_label("Caller").fill("(415) 555-0123")
    await page.get_by_role("button", name="Search").click()
    await expect(page.get_by_role("row").nth(1)).to_contain_text("+1 415-555-0123")
    await page.goto(page.url.replace("0123", "9999"))
    await expect(page.get_by_text("No such calls")).to_be_visible()


async def test_a_purchase_is_not_asked_about_in_red(desk: Desk):
    await desk.ask("POST", "/clients", {"name": "Corner Bakery"})
    await desk.sign_in()
    page = desk.page
    await page.goto(desk.url("numbers/new?country=US"))
    await page.get_by_role("button", name="Buy…").first.click()
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text("monthly price")
    await expect(dialog.get_by_role("button", name="Buy number")).not_to_have_class("danger")
    await dialog.get_by_role("button", name="Cancel").click()
    await expect(dialog).to_be_hidden()


async def test_signing_out_closes_every_page_also_with_the_back_button(desk: Desk):
    await desk.sign_in()
    page = desk.page
    await page.goto(desk.url("settings"))
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_text("You are signed out")).to_be_visible()
    await page.go_back()
    await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


async def test_times_are_in_the_visitors_own_zone(desk: Desk):
    await desk.ask("POST", "/clients", {"name": "Corner Bakery"})
    await desk.sign_in()
    await desk.page.goto(desk.url("activity"))
    time = desk.page.locator("time").first
    await expect(time).to_have_attribute("title", re.compile("UTC"))
    assert "UTC" not in await time.inner_text()


async def test_a_client_is_made_with_the_keyboard_alone(desk: Desk):
    await desk.sign_in()
    page = desk.page
    await page.goto(desk.url("clients/new"))
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    await page.keyboard.press("Enter")
    while not await page.get_by_label("Name", exact=True).evaluate("field => field === document.activeElement"):
        await page.keyboard.press("Tab")
    await page.keyboard.type("Corner Bakery")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("status").first).to_contain_text("Client created")
    assert [one["name"] for one in (await desk.ask("GET", "/clients"))["items"]] == ["Corner Bakery"]


async def test_texts_are_added_to_the_knowledge(desk: Desk):
    client = await desk.ask("POST", "/clients", {"name": "Corner Bakery"})
    await desk.sign_in()
    page = desk.page
    await page.goto(desk.url(f"clients/{client['id']}/assistant"))
    await page.get_by_label("Instructions").fill("You answer for a bakery.")
    for number, (title, text) in enumerate((("Hours", "From six."), ("Bread", "Rye and wheat."))):
        if number:
            await page.get_by_role("button", name="Add a text").click()
            await expect(page.get_by_label("Title").nth(number)).to_be_focused()
        await page.get_by_label("Title").nth(number).fill(title)
        await page.get_by_label("Text", exact=True).nth(number).fill(text)
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("status").first).to_contain_text("Saved")
    saved = (await desk.ask("GET", f"/clients/{client['id']}"))["assistant"]
    assert [one["title"] for one in saved["knowledge"]] == ["Hours", "Bread"]


async def test_without_script_everything_can_still_be_done(desk: Desk):
    await desk.ask("PUT", "/keys/vapi", {"key": desk.demo.vapi.key})
    browser = desk.page.context.browser
    assert browser is not None
    context = await browser.new_context(java_script_enabled=False)
    page = await context.new_page()
    await page.goto(f"{desk.world.urls[0]}/console")
    await page.get_by_label("Access token").fill(desk.token)
    await page.get_by_role("button", name="Sign in").click()
    await page.get_by_role("link", name="API keys").first.click()
    await page.get_by_text("Replace or delete the key").click()
    await page.get_by_role("button", name="Delete the key").click()
    await expect(page.get_by_role("heading", name="Delete the Vapi key?")).to_be_visible()
    await page.get_by_role("button", name="Delete the key").click()
    await expect(page.get_by_text("All versions of the key are erased")).to_be_visible()
    await context.close()


async def test_a_chart_tells_the_numbers_of_the_day_that_is_touched(desk: Desk):
    await desk.leave_message()
    await desk.sign_in()
    await desk.page.goto(desk.url("figures"))
    chart = desk.page.locator("[data-chart]").first
    await chart.locator(".voicemail rect").last.click()
    await expect(chart.locator("[data-reading]")).to_contain_text("Voicemail 1")
