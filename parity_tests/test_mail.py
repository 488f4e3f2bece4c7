"""What is read of mails as people, and programs, really write them."""

from __future__ import annotations

from email.message import EmailMessage

import pytest

from gdl_numpy.data.mail import LONGEST, decoded, text_of, visible


def mail(body: bytes, *headers: str) -> bytes:
    return "\n".join(["Subject: Lunch", *headers, "", ""]).encode() + body


@pytest.mark.parametrize(
    ("charset", "content", "text"),
    [
        ("utf-8", "café".encode(), "café"),
        ("ISO-8859-1", b"caf\xe9", "café"),
        ("koi8-r", "привет".encode("koi8-r"), "привет"),
        ("iso-2022-jp", "昼食".encode("iso-2022-jp"), "昼食"),
        ("us-ascii", b"caf\xe9", "caf\N{REPLACEMENT CHARACTER}"),
        ("default_charset", "café".encode(), "café"),
        ("default_charset", b"caf\xe9", "café"),
        (None, b"caf\xe9 \x93ok\x94", "café “ok”"),
        ("base64", b"plain", "plain"),
        ("zlib", b"plain", "plain"),
        ("undefined", b"plain", "plain"),
        ("utf\x008", b"plain", "plain"),
        ("", b"plain", "plain"),
    ],
)
def test_any_charset_gives_text(charset: str | None, content: bytes, text: str) -> None:
    """Those that a mail names and that there are; and what is likely for all others, and for none."""
    assert decoded(content, charset) == text


@pytest.mark.parametrize(
    ("subject", "text"),
    [
        ("=?iso-8859-1?q?caf=E9?= at noon", "café at noon"),
        ("=?nonsense?q?caf?=", "caf"),
        ("", ""),
    ],
)
def test_subjects(subject: str, text: str) -> None:
    assert text_of(f"Subject: {subject}\n\nbody".encode()).split("\n") == [text, "body"]


@pytest.mark.parametrize("subject", ["=?utf-8?b?not base64 at all?=", "=?utf-8?b?!?=", "=?utf-8?b?YQ?="])
def test_subjects_that_break_their_own_rules(subject: str) -> None:
    assert text_of(f"Subject: {subject}\n\nbody".encode()).endswith("\nbody")


def test_raw_bytes_in_a_subject() -> None:
    assert text_of(b"Subject: caf\xe9\n\nbody") == "café\nbody"


def test_other_headers_are_not_read() -> None:
    assert text_of(mail(b"noon?", "Received: from relay.example", "X-Spam-Flag: YES")) == "Lunch\nnoon?"


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("quoted-printable", b"noo=\nn=3F"),
        ("base64", b"bm9vbj8="),
        ("base64", b"bm9vbj8"),
        ("8bit", b"noon?"),
    ],
)
def test_transfer_encodings(encoding: str, body: bytes) -> None:
    assert text_of(mail(body, f"Content-Transfer-Encoding: {encoding}")) == "Lunch\nnoon?"


def test_html_is_what_a_reader_sees() -> None:
    html = (
        "<html><head><title>hidden</title><style>p {hidden}</style></head><body>Ca<b>f</b>&eacute;<br>"
        "<script>if (1 < 2) hidden()</script><!-- hidden --><p class='hidden'>no&#110;sense</p></body></html>"
    )
    words = visible(html).split()
    assert "hidden" not in " ".join(words)
    assert words[-1] == "nonsense"


@pytest.mark.parametrize(
    "html", ["<", "<p", "<!", "<![", "<![nonsense[ x", "<!doctype", "</", "&#xffffffff;", "<a href='", "&"]
)
def test_html_that_never_ends(html: str) -> None:
    assert visible("seen " + html).startswith("seen ")
    assert text_of(mail(b"seen " + html.encode(), "Content-Type: text/html")).startswith("Lunch\nseen ")


def test_parts_are_read_and_attachments_are_not() -> None:
    message = EmailMessage()
    message["Subject"] = "Menu"
    message.set_content("plain text\n")
    message.add_alternative("<p>rich text</p>", subtype="html")
    message.add_attachment("attached text", filename="menu.txt")
    message.add_attachment(b"\x89PNG", maintype="image", subtype="png", filename="menu.png")
    text = text_of(message.as_bytes())
    assert text.split() == ["Menu", "plain", "text", "rich", "text"]


def test_a_multipart_mail_without_parts() -> None:
    assert text_of(mail(b"no boundary", "Content-Type: multipart/mixed")) == "Lunch"


def test_parts_in_parts_without_end() -> None:
    """More than the parser can follow: the mail is read as it stands."""
    levels = range(3000)
    opening = "".join(
        f"Content-Type: multipart/mixed; boundary=b{level}\n\n--b{level}\n" for level in levels
    ).encode()
    assert "multipart" in text_of(opening + b"\n\ndeep")


@pytest.mark.parametrize("content", [b"", b"\x00" * 100, bytes(range(256)), b"\n\n", b"From x\n: y\n"])
def test_bytes_that_are_no_mail(content: bytes) -> None:
    assert isinstance(text_of(content), str)


def test_nobody_reads_on_after_a_million_bytes() -> None:
    assert len(text_of(mail(b"a" * (LONGEST + 5)))) == len("Lunch\n") + LONGEST
