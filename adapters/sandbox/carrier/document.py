"""A reply's bytes → a TwiML document, or the error that Twilio would log.

What a document may say is for `rules.py`; what it does, for `verbs.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NoReturn
from xml.etree import ElementTree as ET

MAX_BYTES = 64 * 1024  # Twilio docs: error 11750
_TWIML_TYPES = frozenset({"text/xml", "application/xml", "text/html"})


class DocumentError(Exception):
    """A reply that Twilio cannot execute; `code` is the one it logs (Twilio docs: Error and Warning Dictionary)."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


@dataclass(frozen=True, slots=True)
class Element:
    """A verb, a noun or the whole Response. `stray` is text where only elements belong."""

    name: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    text: str = ""
    children: tuple[Element, ...] = ()
    stray: str = ""

    def get(self, name: str, default: str = "") -> str:
        return self.attributes.get(name, default)

    def number(self, name: str, default: int) -> int:
        """An attribute as Twilio reads it: anything but a whole number counts as absent."""
        value = self.attributes.get(name, "")
        return int(value) if value.isascii() and value.isdigit() else default

    def flag(self, name: str, *, default: bool = False) -> bool:
        return self.attributes.get(name, str(default).lower()).lower() == "true"

    def all(self, name: str) -> list[Element]:
        return [child for child in self.children if child.name == name]


class _Builder(ET.TreeBuilder):
    def doctype(self, name: str, pubid: str | None, system: str | None) -> NoReturn:  # noqa: ARG002
        raise DocumentError(12100, "a document type declaration is not TwiML")


def parse_document(body: bytes) -> Element:
    """Read XML whose root is Response. Raises DocumentError for everything else."""
    if len(body) > MAX_BYTES:
        raise DocumentError(11750, "the document is larger than 64 kB")
    if not body.strip():
        raise DocumentError(12100, "the document is empty")
    parser = ET.XMLParser(target=_Builder())  # noqa: S314 - its builder refuses the declarations that are dangerous
    try:
        parser.feed(body)
        root = _element(parser.close())
    except ET.ParseError as error:
        raise DocumentError(12100, f"the document is not XML: {error}") from None
    except (ValueError, LookupError, RecursionError) as error:
        raise DocumentError(12100, f"the document cannot be read: {type(error).__name__}") from None
    if root.name != "Response":
        raise DocumentError(12102, f"the root element is {root.name[:40]}, not Response")
    return root


def read_reply(content_type: str, body: bytes) -> tuple[Element, str | None]:
    """What Twilio makes of a good answer: a document, and what is wrong with it although it can be executed.

    Plain text is read to the caller and audio is played, then the call ends (Twilio docs: TwiML, content types).
    """
    kind = content_type.partition(";")[0].strip().lower()
    if len(body) > MAX_BYTES:
        raise DocumentError(11750, "the document is larger than 64 kB")
    if kind in _TWIML_TYPES:
        return parse_document(body), None
    if kind == "text/plain":
        words = Element("Say", text=body.decode(errors="replace"))
        return Element("Response", children=(words,)), "text/plain is read aloud to the caller"
    if kind.startswith("audio/"):
        return Element("Response", children=(Element("Play", text="audio"),)), f"{kind} is played to the caller"
    raise DocumentError(12300, f"the content type is {kind or 'missing'}")


def _element(node: ET.Element) -> Element:
    children = tuple(_element(child) for child in node)
    tails = " ".join(child.tail.strip() for child in node if child.tail and child.tail.strip())
    text = (node.text or "").strip()
    return Element(
        name=node.tag,
        attributes=dict(node.attrib),
        text=text,
        children=children,
        stray=tails or (text if children else ""),
    )
