"""HTML that is complete in itself: what it is made of, and how it looks. Nothing is loaded from anywhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

# Even a page with a mistake in it cannot load or run anything: browsers obey this line.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff; max-width: 68rem; margin: 0 auto;
  padding: 1rem; overflow-wrap: break-word; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: .5rem 0; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 .6rem; padding-bottom: .2rem; border-bottom: 2px solid #0072b2; }
h3 { font-size: 1rem; margin: 1.2rem 0 .3rem; }
nav a { color: #0055a4; margin-right: .9rem; white-space: nowrap; }
p { max-width: 46rem; margin: .5rem 0; }
.note { color: #555; font-size: .88rem; }
.missing { border-left: 4px solid #d55e00; padding: .3rem .8rem; background: #fff6ee; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; margin: .5rem 0; font-size: .92rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: top; padding: .25rem .7rem .25rem .3rem; border-bottom: 1px solid #ddd; }
thead th { border-bottom: 2px solid #888; }
tbody th { font-weight: normal; white-space: nowrap; }
td { overflow-wrap: anywhere; }
td.number, th.number { text-align: right; white-space: nowrap; }
tr.differs > * { background: #fff3c4; font-weight: 600; }
tr.group > * { background: #f1f1f1; font-weight: 600; }
.side { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(26rem, 100%), 1fr)); gap: 0 1.5rem; }
.side > * { min-width: 0; }
.side table { font-size: .85rem; }
.side th, .side td { padding-right: .45rem; }
figure { margin: .6rem 0; max-width: 38rem; }
figure.wide { max-width: 100%; overflow-x: auto; }
figure.wide img { min-width: 40rem; }
img { width: 100%; height: auto; display: block; }
figcaption { font-size: .88rem; color: #444; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; background: #f5f5f5; padding: .6rem .8rem; font-size: .88rem; }
@media print {
  body { max-width: none; padding: 0; font-size: 11pt; }
  nav { display: none; }
  h2, h3 { break-after: avoid; }
  figure, tr, pre { break-inside: avoid; }
  figure.wide img { min-width: 0; }
  .scroll { overflow: visible; }
  table { font-size: 8.5pt; }
  td.number, th.number, tbody th { white-space: normal; }
  tr.differs > *, tr.group > *, .missing { -webkit-print-color-adjust: exact; print-color-adjust: exact; }
}
"""


class Markup(str):
    """HTML as it is. Every other string is text, and is escaped where it becomes a part of HTML."""


def tag(name: str, *children: str, **attributes: str) -> Markup:
    """An element; children that are no Markup are escaped. `class_` stands for class. None is an empty element."""
    written = "".join(f' {key.rstrip("_")}="{escape(value)}"' for key, value in attributes.items() if value)
    inside = "".join(child if isinstance(child, Markup) else escape(child) for child in children)
    return Markup(f"<{name}{written}>{inside}</{name}>")


def joined(parts: Iterable[str]) -> Markup:
    """Several parts after each other; text is escaped."""
    return Markup("\n".join(part if isinstance(part, Markup) else escape(part) for part in parts))


def paragraph(*text: str) -> Markup:
    return tag("p", *text)


def note(*text: str) -> Markup:
    """What explains a number, in smaller letters."""
    return tag("p", *text, class_="note")


def missing(reason: str) -> Markup:
    """Instead of a part that cannot be there."""
    return tag("p", f"Not here: {reason}", class_="missing")


def table(heads: Sequence[str], rows: Iterable[tuple[str, Sequence[str]]], numbers: bool = False) -> Markup:
    """Rows of (class, cells) under heads; the first cell names its row. `numbers`: the others are aligned right."""
    kind = "number" if numbers else ""
    top = [tag("th", head, scope="col", class_=kind if k else "") for k, head in enumerate(heads)]
    body = [
        tag("tr", tag("th", cells[0], scope="row"), *(tag("td", cell, class_=kind) for cell in cells[1:]), class_=name)
        for name, cells in rows
    ]
    inside = tag("table", tag("thead", tag("tr", *top)), tag("tbody", *body))
    return tag("div", inside, class_="scroll", tabindex="0")


def picture(uri: str, caption: str, wide: bool = False) -> Markup:
    """A figure with its caption. uri: `data:` and the whole image."""
    image = Markup(f'<img src="{escape(uri)}" alt="{escape(caption)}">')
    return tag("figure", image, tag("figcaption", caption), class_="wide" if wide else "")


def side_by_side(parts: Iterable[Markup]) -> Markup:
    """Parts beside each other where there is room."""
    return tag("div", *(tag("div", part) for part in parts), class_="side")


def document(title: str, sections: dict[str, Markup], foot: str) -> str:
    """The whole page: a heading, links to the sections, the sections by heading."""
    anchors = {heading: heading.lower().replace(" ", "-") for heading in sections}
    links = tag("nav", *(tag("a", heading, href=f"#{anchor}") for heading, anchor in anchors.items()))
    body = [tag("section", tag("h2", heading), sections[heading], id=anchors[heading]) for heading in sections]
    head = joined(
        [
            Markup('<meta charset="utf-8">'),
            Markup('<meta name="viewport" content="width=device-width, initial-scale=1">'),
            Markup(f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'),
            tag("title", title),
            tag("style", Markup(STYLE)),
        ]
    )
    page = [tag("h1", title), links, *body, tag("footer", note(foot))]
    return "<!doctype html>\n" + tag("html", tag("head", head), tag("body", joined(page)), lang="en") + "\n"
