"""What a pickle would do besides making a model, as findings: what is known to be dangerous, what isn't known to be harmless, what wasn't seen."""

from __future__ import annotations

from collections.abc import Iterator

from deployer.checks.containers import PickledFile
from deployer.checks.finding import Finding, note, warning
from deployer.checks.harmless import Harm, judge
from deployer_scoring.opcodes.facts import Global

DANGEROUS, UNKNOWN, UNREAD = "dangerous-pickle", "unknown-pickle", "unread-pickle"
SUSPICIONS = frozenset({DANGEROUS, UNKNOWN, UNREAD})
"""Warnings that a strict check takes for errors."""

_ADVICE = "load it only if you trust where it comes from"
_SHOWN = 3


def check_dangers(pickled: PickledFile, own: frozenset[str]) -> Iterator[Finding]:
    """What loading a pickle would do.

    Args:
        own: top-level modules of the model's own code.
    """
    facts, unknown = pickled.facts, dict[str, list[Global]]()
    for each in sorted(facts.imports, key=str):
        verdict = judge(each, facts, own)
        if verdict.kind is Harm.DANGEROUS:
            what = f"it {_doing(pickled, each)} {each}, which {verdict.does}: whoever loads it runs what it says"
            yield warning(DANGEROUS, pickled.file, what, _ADVICE)
        elif verdict.kind is Harm.UNKNOWN:
            unknown.setdefault(each.module.partition(".")[0], []).append(each)
    for found in unknown.values():
        named = ", ".join(map(str, found[:_SHOWN])) + (f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else "")
        doing = "calls" if any(each in facts.calls for each in found) else "names"
        yield warning(UNKNOWN, pickled.file, f"it {doing} {named}: {'it is' if len(found) == 1 else 'they are'} not known to be harmless", _ADVICE)
    for what in sorted(facts.unfollowed):
        yield warning(DANGEROUS, pickled.file, f"it {what}, which can't be followed: whoever loads it runs what it says", _ADVICE)
    if facts.own_code:
        yield note("code-in-pickle", pickled.file, "it holds functions or classes of its own, which run as they are; what they do is not looked into")
    if not facts.whole:
        yield warning(UNREAD, pickled.file, "it is so long that only its beginning was looked at: what it does after that is not known", _ADVICE)
    if pickled.broken and not pickled.cut:
        found_out = warning if facts.calls or facts.protocol > 1 else note
        yield found_out(UNREAD, pickled.file, f"it could not be looked into: {pickled.broken}", _ADVICE)


def _doing(pickled: PickledFile, name: Global) -> str:
    return "calls" if name in pickled.facts.calls else "imports"
