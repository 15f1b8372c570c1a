from __future__ import annotations

import base64

import pytest

pytestmark = pytest.mark.anyio


async def walk(api, path, limit, **options):
    """All items, page by page, and how many pages there were."""
    items, pages, cursor = [], 0, None
    while pages == 0 or cursor:
        params = {"limit": limit} | ({"cursor": cursor} if cursor else {})
        page = await api.get(path, params=params, **options)
        assert len(page["items"]) <= limit
        items, pages, cursor = items + page["items"], pages + 1, page["next_cursor"]
    return items, pages


async def test_pages_show_everything_once_also_what_was_made_in_the_same_instant(api):
    agency = await api.new_agency()
    made = {(await api.new_client(agency, name=f"Client {number}"))["id"] for number in range(7)}
    items, pages = await walk(api, f"{agency.path}/clients", 3)
    assert pages == 3
    assert len(items) == 7
    assert {item["id"] for item in items} == made


async def test_a_full_last_page_has_no_next_cursor(api):
    agency = await api.new_agency()
    await api.new_client(agency)
    items, pages = await walk(api, f"{agency.path}/clients", 1)
    assert (len(items), pages) == (1, 1)
    assert (await api.get(f"{agency.path}/numbers")) == {"items": [], "next_cursor": None}


async def test_what_is_added_meanwhile_does_not_disturb_the_pages(api, clock):
    agency = await api.new_agency()
    for number in range(4):
        clock.move(seconds=1)
        await api.new_client(agency, name=f"Client {number}")
    first = await api.get(f"{agency.path}/clients", params={"limit": 2})
    await api.delete(f"{agency.path}/clients/{first['items'][1]['id']}")
    clock.move(seconds=1)
    await api.new_client(agency, name="Client 4")
    rest = await api.get(f"{agency.path}/clients", params={"cursor": first["next_cursor"]})
    assert [item["name"] for item in rest["items"]] == ["Client 2", "Client 3", "Client 4"]


async def test_a_parameter_that_is_repeated_is_refused(api):
    """Of two values one would be ignored without a word."""
    problem = await api.refusal("GET", "/v1/agencies", params=[("limit", "5"), ("limit", "6")])
    assert (problem.status, problem.fields, problem.detail) == (422, ("limit",), "limit: must be given once")


@pytest.mark.parametrize("limit", ["0", "201", "-1", "many", "1.5", "", " 5", "٥"])
async def test_a_limit_outside_1_to_200_is_refused(api, limit):
    problem = await api.refusal("GET", "/v1/agencies", params={"limit": limit})
    assert (problem.status, problem.fields) == (422, ("limit",))


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "nonsense",
        "AAAA",
        "é",
        *(base64.urlsafe_b64encode(text).decode() for text in (b"1", b".x", b"-1.x", b"1.x'")),
    ],
)
async def test_a_made_up_cursor_is_refused(api, cursor):
    problem = await api.refusal("GET", "/v1/agencies", params={"cursor": cursor})
    assert (problem.status, problem.fields) == (422, ("cursor",))


async def test_a_cursor_from_another_agency_shows_nothing_of_it(api):
    mine, theirs = await api.new_agency("Mine"), await api.new_agency("Theirs")
    for agency in (mine, theirs):
        for number in range(3):
            await api.new_client(agency, name=f"{agency.id} {number}")
    cursor = (await api.get(f"{theirs.path}/clients", params={"limit": 1}))["next_cursor"]
    shown = await api.get(f"{mine.path}/clients", params={"cursor": cursor}, token=mine.token)
    assert {item["agency_id"] for item in shown["items"]} <= {mine.id}
