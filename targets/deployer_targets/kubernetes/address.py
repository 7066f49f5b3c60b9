"""Which cluster and namespace a URI names: `kubernetes:/CONTEXT/NAMESPACE`, each of them optional. Pure.

Names of contexts hold slashes and colons (EKS: `arn:aws:eks:REGION:ACCOUNT:cluster/NAME`, OpenShift: `ns/host:6443/user`), so the longest context
that the kubeconfig has wins; percent-encoded, a context is one part of the path.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import unquote

from deployer.errors import ConfigInvalid

_NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_FORM = "kubernetes[:/CONTEXT[/NAMESPACE]]; kubernetes://NAMESPACE takes the current context"


@dataclass(frozen=True, slots=True)
class ClusterAddress:
    """A context ("": the current one, or the service account in a pod) and a namespace ("": the context's own)."""

    context: str = ""
    namespace: str = ""


def address_of(path: str, contexts: Collection[str]) -> ClusterAddress:
    """What the path of a URI names, among the contexts of a kubeconfig.

    Raises:
        ConfigInvalid: there is no such context; or what follows it is no namespace.
    """
    if not path:
        return ClusterAddress()
    if path.startswith("/"):
        return ClusterAddress("", _namespace(path[1:], path))
    first, _, rest = path.partition("/")
    fitting = [each for each in contexts if path == each or path.startswith(f"{each}/")]
    if fitting:
        context = max(fitting, key=len)
        return ClusterAddress(context, _namespace(path[len(context) + 1 :], path))
    if unquote(first) in contexts:
        return ClusterAddress(unquote(first), _namespace(rest, path))
    near = difflib.get_close_matches(unquote(first), contexts, n=1)
    known = f"; did you mean {near[0]}?" if near else f": there is {', '.join(sorted(contexts)) or 'none'}"
    raise ConfigInvalid(f"the kubeconfig has no context {unquote(path)}{known}", advice=_FORM)


def _namespace(text: str, path: str) -> str:
    text = text.removesuffix("/")
    if text and not _NAMESPACE.fullmatch(text):
        raise ConfigInvalid(f"{text!r} is no namespace (of kubernetes:/{path})", advice=_FORM)
    return text
