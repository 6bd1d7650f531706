"""HTML of others made harmless: what is left has no script, loads nothing, and looks like text, tables and pictures."""

from __future__ import annotations

import re

import nh3

_WORDS = re.compile(r"\w+")
_TAGS = frozenset(
    _WORDS.findall(
        """
        a abbr b blockquote br caption code col colgroup dd del details div dl dt em figcaption figure h1 h2 h3 h4 h5 h6 hr i img
        ins kbd li mark ol p pre q s samp small span strike strong sub summary sup table tbody td tfoot th thead tr tt u ul var
        """
    )
)
_ATTRIBUTES = {
    "*": {"class", "title", "dir", "lang"},
    "a": {"href"},
    "col": {"span"},
    "colgroup": {"span"},
    "details": {"open"},
    "img": {"src", "alt", "width", "height"},
    "ol": {"start"},
    "td": {"colspan", "rowspan", "align"},
    "th": {"colspan", "rowspan", "align", "scope"},
}
_PICTURE = re.compile(r"data:image/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/=\s]*")
_LINK = re.compile(r"(?:https?://|mailto:|#)", re.IGNORECASE)

_ACTIVE = re.compile(
    r"<[\s/]*+(?:script|iframe|object|embed|form|input|button|link|meta|base|svg|math|video|audio|template|frame|applet|img|image)\b"
    r"|[\s/\"']on\w+\s*=|javascript:|vbscript:|data:text|@import|url\s*\(|expression\s*\("
    # the same, written so that only a browser reads it as that
    r"|\\[0-9a-z]|(?:href|src|style|action)\s{0,20}=[^>]{0,300}&(?:#|colon|tab|newline)",
    re.IGNORECASE,
)
#: Elements (parts of tables do not count) that HTML may have to be read at all, and what is left of other HTML.
MAX_NESTING = 20_000
TOO_MUCH = "<p>[HTML with very many elements, left out]</p>"
_STARTS_NESTING = re.compile(r"<(?!/?(?:t[dhr]|tbody|thead|tfoot|br|hr|img|col)\b)[a-z/]", re.IGNORECASE)
_SVG_TAGS = frozenset(
    _WORDS.findall(
        """
        svg g path rect circle ellipse line polyline polygon text tspan textpath defs clippath use style title desc metadata
        lineargradient radialgradient stop pattern mask symbol marker image
        """
    )
)
_SVG_TAG = re.compile(r"<[\s/]*+([\w:.-]+)")
_SVG_ACTIVE = re.compile(
    r"[\s/\"']on\w+\s*=|@import|url\s*\((?!\s*[\"']?#)|<!ENTITY|javascript:|\bhref\s*=\s*(?![\"']?(?:#|data:image/(?:png|jpeg)))",
    re.IGNORECASE,
)


def harmless_if_active(html: str) -> str:
    """HTML as it is if nothing in it acts or loads, else what is left of it without that."""
    return harmless(html) if _ACTIVE.search(html) else html


def is_plain_svg(svg: str) -> bool:
    """Whether an SVG is nothing but a drawing: shapes and text, no scripts, no links, nothing that would be loaded."""
    names = (name.lower() for name in _SVG_TAG.findall(svg))
    return _SVG_ACTIVE.search(svg) is None and all(name in _SVG_TAGS or name.startswith(("rdf:", "cc:", "dc:")) for name in names)


def harmless(html: str) -> str:
    """The HTML without scripts, styles, forms, frames, handlers, and without anything that would be loaded from elsewhere.

    Of HTML that would take long to read, because very many of its elements may lie in each other, only a note is left.
    """
    if _elements_that_nest(html) > MAX_NESTING:
        return TOO_MUCH
    return nh3.clean(
        html,
        tags=set(_TAGS),
        clean_content_tags={"script", "style", "template", "iframe", "object", "svg", "noscript", "textarea", "title"},
        attributes=_ATTRIBUTES,
        attribute_filter=_attribute,
        url_schemes={"http", "https", "mailto", "data"},
        link_rel="noopener noreferrer nofollow",
        strip_comments=True,
    )


def _elements_that_nest(html: str) -> int:
    """At least how many elements may lie in each other; reading takes time in proportion to the square of it."""
    if html.count("<") <= MAX_NESTING:
        return 0
    return sum(1 for _ in _STARTS_NESTING.finditer(html))


def _attribute(tag: str, name: str, value: str) -> str | None:
    if name == "src":
        return value if _PICTURE.fullmatch(value) else None
    if name == "href":
        return value if _LINK.match(value) else None
    return value
