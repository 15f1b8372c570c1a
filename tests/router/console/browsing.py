"""A browser as far as HTTP goes: cookies, redirects, and forms filled in as they stand on the page."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import unquote

import httpx

_VOID = frozenset("area base br col embed hr img input link meta source track wbr".split())


@dataclass
class Element:
    """One element with what is in it."""

    name: str
    attributes: dict[str, str]
    children: list[Element] = field(default_factory=list)
    pieces: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All text inside, its white space as browsers show it."""
        return " ".join(" ".join(self.pieces).split())

    def find_all(self, tag: str, /, **attributes: str) -> list[Element]:
        found = []
        for child in self.children:
            if child.name == tag and all(child.attributes.get(key) == value for key, value in attributes.items()):
                found.append(child)
            found += child.find_all(tag, **attributes)
        return found

    def find(self, tag: str, /, **attributes: str) -> Element:
        found = self.find_all(tag, **attributes)
        assert found, f"no <{tag}> with {attributes}"
        return found[0]


class _Builder(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.root = Element("document", {})
        self._open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self._open[-1].children.append(element)
        if tag not in _VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open[-1].children.append(Element(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if tag in _VOID:
            return
        assert self._open[-1].name == tag, f"<{self._open[-1].name}> is closed by </{tag}>"
        self._open.pop()

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.pieces.append(data)


@dataclass
class PageSeen:
    """An answer, read as a page."""

    response: httpx.Response
    tree: Element

    @classmethod
    def read(cls, response: httpx.Response) -> PageSeen:
        builder = _Builder()
        builder.feed(response.text)
        builder.close()
        return cls(response, builder.root)

    @property
    def status(self) -> int:
        return self.response.status_code

    @property
    def text(self) -> str:
        return self.response.text

    @property
    def path(self) -> str:
        return self.response.url.path

    @property
    def words(self) -> str:
        return self.tree.text

    @property
    def heading(self) -> str:
        return self.tree.find("h1").text

    def form(self, action: str) -> Element:
        """The form that is sent to an address that ends like this; empty: to the page's own address."""
        forms = self.tree.find_all("form")
        found = [form for form in forms if (form.attributes.get("action") or "").endswith(action)]
        if not action:
            found = [form for form in forms if unquote(form.attributes.get("action", self.path)) == self.path]
        assert found, f"no form for {action} on {self.path}"
        return found[0]


class Browser:
    """Follows redirects as browsers do; `agency_id` is put into short addresses."""

    def __init__(self, http: httpx.AsyncClient, agency_id: str = "") -> None:
        self.http = http
        self.agency_id = agency_id

    def address(self, page: str) -> str:
        return page if page.startswith("/") else f"/console/{self.agency_id}/{page}"

    async def open(self, page: str, **options: Any) -> PageSeen:
        return PageSeen.read(await self.http.get(self.address(page), follow_redirects=True, **options))

    async def sign_in(self, token: str) -> PageSeen:
        page = await self.open("/console/sign-in")
        return await self.fill_in(page, "/sign-in", token=token)

    async def fill_in(
        self, page: PageSeen, action: str, *, leave_out: tuple[str, ...] = (), **values: str | list[str]
    ) -> PageSeen:
        """Send the form as it stands on the page, with these values; every one of them must be a field of it."""
        form = page.form(action)
        sent: dict[str, Any] = read_fields(form)
        names = {
            one.attributes.get("name")
            for kind in ("input", "textarea", "select", "button")
            for one in form.find_all(kind)
        }
        assert values.keys() <= names, f"{values.keys() - names} are not on the form"
        sent = {name: value for name, value in (sent | values).items() if name not in leave_out}
        return await self.send(form.attributes.get("action") or page.path, sent)

    async def send(self, address: str, values: dict[str, Any], **headers: str) -> PageSeen:
        """As a browser would: with the origin of the page."""
        sent = {"origin": str(self.http.base_url).rstrip("/")} | headers
        response = await self.http.post(self.address(address), data=values, headers=sent, follow_redirects=True)
        return PageSeen.read(response)


def read_fields(form: Element) -> dict[str, Any]:
    """What the form would send if nobody changed anything."""
    values: dict[str, Any] = {}

    def put(name: str, value: str) -> None:
        values.setdefault(name, []).append(value)

    for one in form.find_all("input"):
        name, kind = one.attributes.get("name"), one.attributes.get("type", "text")
        if name and (kind not in ("checkbox", "radio") or "checked" in one.attributes):
            put(name, one.attributes.get("value", ""))
    for one in form.find_all("textarea"):
        put(one.attributes["name"], "".join(one.pieces).removeprefix("\n"))
    for one in form.find_all("select"):
        options = one.find_all("option")
        chosen = [option for option in options if "selected" in option.attributes] or options[:1]
        for option in chosen:
            put(one.attributes["name"], option.attributes.get("value", option.text))
    return {name: value[0] if len(value) == 1 else value for name, value in values.items()}
