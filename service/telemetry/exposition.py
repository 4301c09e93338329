"""Chooses the text format of a scrape: Prometheus text, or OpenMetrics if `Accept` prefers it. Pure.

The service offers OpenMetrics 1.0.0 and Prometheus text 0.0.4. A range with another version of either matches nothing.
Quality values count (RFC 9110, 12.5.1). With equal quality OpenMetrics wins, if the header names it. If the header
accepts neither, the answer is Prometheus text.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.exposition import generate_latest as prometheus_text
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST as OPENMETRICS_TYPE
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics_text

Encode = Callable[[CollectorRegistry], bytes]

_QUALITY = re.compile(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?", re.ASCII)
_TEXT_VERSIONS = {"", "0.0.4"}
_OPENMETRICS_VERSIONS = {"", "1.0.0"}


class _Range(NamedTuple):
    media: str
    version: str
    quality: float


def choose(accept: str) -> tuple[Encode, str]:
    """The function that renders a registry for this `Accept` header, and the content type of its result."""
    ranges = [_range(text) for text in accept.split(",")]
    openmetrics = _quality(ranges, ("application/openmetrics-text",), _OPENMETRICS_VERSIONS)
    text = _quality(ranges, ("text/plain", "text/*", "*/*"), _TEXT_VERSIONS)
    if openmetrics and openmetrics >= text:
        return openmetrics_text, OPENMETRICS_TYPE
    return prometheus_text, CONTENT_TYPE_PLAIN_0_0_4


def _range(text: str) -> _Range:
    """One range of a header. An invalid quality counts as 0, like a range that is not there."""
    media, *pairs = text.split(";")
    parameters = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        parameters[name.strip().lower()] = value.strip().strip('"')
    quality = parameters.get("q", "1")
    worth = float(quality) if _QUALITY.fullmatch(quality) else 0.0
    return _Range(media.strip().lower(), parameters.get("version", ""), worth)


def _quality(ranges: list[_Range], media: tuple[str, ...], versions: set[str]) -> float:
    """The greatest quality of the most specific ranges that match this type and one of the versions; 0 if none does."""
    for specific in media:
        met = [each.quality for each in ranges if each.media == specific and each.version in versions]
        if met:
            return max(met)
    return 0.0
