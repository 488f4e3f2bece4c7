"""What a mail says: its subject and text, whatever its charset, its HTML and its attachments.

    text_of(Path("00001.7c53336b.txt").read_bytes())

Anybody writes mail, so nothing in it is taken for granted: an unknown or wrong charset, a header that breaks
its own rules, HTML that never ends, and parts in parts without end all still give some text. The parsing is
the standard library's (`email`, `html.parser`); here is what to make of its answers.
"""

from __future__ import annotations

from email import message_from_bytes
from email.errors import HeaderParseError
from email.header import decode_header
from html.parser import HTMLParser
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from email.message import Message

LONGEST = 1_000_000  # bytes of a part, and of a mail that has no parts: nobody reads on there
SILENT = frozenset({"script", "style", "head", "title"})  # elements whose content nobody sees


def text_of(mail: bytes) -> str:
    """Returns a mail's subject and, below it, what its parts of plain text and HTML say.

    Other headers are left out: which hosts a mail came through tells of its collector, not of its words.
    Attachments are left out as well, and so is whatever is no text.

    Args:
        mail: as it was received, headers and body.
    """
    try:
        message = message_from_bytes(mail)
        parts = [_part(part) for part in message.walk() if _is_read(part)]
        return "\n".join([_subject(message), *parts])
    except RecursionError:  # parts in parts, made to exhaust whoever looks into them
        return decoded(mail[:LONGEST], None)


def _is_read(part: Message) -> bool:
    is_text = part.get_content_type() in ("text/plain", "text/html")
    return is_text and not part.is_multipart() and part.get_content_disposition() != "attachment"


def _part(part: Message) -> str:
    content = part.get_payload(decode=True)
    if not isinstance(content, bytes):
        return ""
    text = decoded(content[:LONGEST], part.get_content_charset())
    return visible(text) if part.get_content_type() == "text/html" else text


def _subject(message: Message) -> str:
    """The subject, its encoded words decoded: "=?iso-8859-1?q?caf=E9?=" is café."""
    raw = message.get("subject", "")
    try:
        pieces = decode_header(raw)
    except (HeaderParseError, ValueError):
        return str(raw)
    words = [piece if isinstance(piece, str) else decoded(piece, charset) for piece, charset in pieces]
    return "".join(words).strip()


def decoded(content: bytes, charset: str | None) -> str:
    """Returns bytes as text: in the charset that was declared, if there is such a one; else as is likely.

    Args:
        content: the bytes.
        charset: the name that the mail gives, which may be of no charset; None where it gives none.
    """
    try:
        if charset is not None:
            return content.decode(charset, "replace")
    except (LookupError, ValueError):  # no such charset, or none of text, or one that cannot replace
        pass
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content.decode("cp1252", "replace")  # Latin-1 as it is used


class _Visible(HTMLParser):
    """Collects what a reader sees: text outside of elements that are not shown."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.silent = ""  # the element whose content is being left out

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if not self.silent and tag in SILENT:
            self.silent = tag
        self.seen.append("\n" if tag != "font" else "")

    def handle_endtag(self, tag: str) -> None:
        if tag == self.silent or tag == "html":
            self.silent = ""

    def handle_data(self, data: str) -> None:
        if not self.silent:
            self.seen.append(data)


def visible(html: str) -> str:
    """Returns the text that HTML shows, of a document that need not be whole.

    An element that hides its content and never ends hides the rest of it, as it does in a browser.
    """
    parser = _Visible()
    try:
        parser.feed(html)
        parser.close()
    except AssertionError:  # how the parser takes leave of declarations that no document has
        parser.seen.append(html)
    return "".join(parser.seen)
