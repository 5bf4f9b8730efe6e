"""The names in requests: which SLA or model is meant, and what to say of a name that is none."""

from __future__ import annotations

import msgspec

from floorline.errors import abbreviated, closest_name, listed
from floorline.gateway.active_config import ActiveConfig
from floorline.gateway.auth import Caller
from floorline.gateway.chat_request import ROUTED, ChatBody
from floorline.gateway.errors import ApiError
from floorline.gateway.tenants import split_tenant, tenant_sla
from floorline.router import Router
from floorline.sla import SLA

MAX_TENANT_SLAS = 1_000
"""Most SLAs that tenants have of their own: each takes about 30 kB of memory and of a snapshot."""
_AUTO, _PREFIX = "auto", ROUTED[:-1]


class ModelNames:
    """Finds what the names in requests mean; errors show only names that the caller may use.

    Parameters
    ----------
    config
        Settings in force, which say which SLAs are kept per tenant.
    router
        Has the models and the SLAs.
    """

    def __init__(self, config: ActiveConfig, router: Router) -> None:
        self._config = config
        self._router = router

    def renamed(self, chat: ChatBody) -> ChatBody:
        """Return a request with the SLA or the model that an alias of the settings stands for.

        Agents have names of models built in, such as claude-sonnet-4-5, and some refuse a slash. A
        model of that very name comes first.
        """
        meant = self.meant(chat.model)
        return chat if meant is chat.model else msgspec.structs.replace(chat, model=meant)

    def meant(self, name: str) -> str:
        """Return what an alias stands for; the name itself if it is none."""
        aliases = self._config.settings.aliases
        if not aliases or name.startswith(ROUTED) or name in self._router.zoo:
            return name
        for pattern, meant in aliases.items():
            if _fits(name, pattern):
                return meant
        return name

    def check_model(self, name: str, caller: Caller) -> None:
        """Raise ApiError (404) if there is no such model, or the caller may not name it."""
        zoo = self._router.zoo
        if name in zoo and caller.may_call(name):
            return
        known = [one for one in zoo.names if caller.may_call(one)]
        fix = f"name one of {listed(known)}, or an SLA as" if known else "name an SLA as"
        raise ApiError(
            404,
            f"there is no model {abbreviated(name)}: {self.suggestion(name, caller)}{fix} "
            f"{ROUTED}NAME",
            code="model_not_found",
            param="model",
        )

    def needs_model(self, chat: ChatBody, caller: Caller) -> ApiError:
        """Return the error of a request for an endpoint that takes only names of models."""
        known = [one for one in self._router.zoo.names if caller.may_call(one)]
        fix = f": name one of {listed(known)}" if known else ""
        return ApiError(
            400,
            f"model is {abbreviated(chat.model)}, but {chat.path} takes only the name of a "
            f"model, because their answers cannot replace each other{fix}",
            code="invalid_value",
            param="model",
        )

    def sla_for(self, name: str, caller: Caller, *, create: bool = True) -> SLA:
        """Find the SLA that a caller asks for, or their tenant's own one.

        ``name`` is "" for the default: the first SLA of the key's list, else of the settings. An
        SLA of the tenant that does not exist yet is created, or without ``create`` is the shared
        one.
        """
        slas = self._router.slas
        if not name:
            name = caller.slas[0] if caller.slas else next(iter(slas))
        if name not in slas or split_tenant(name)[1] or not caller.may_use(name):
            known = self._usable_slas(caller)
            raise ApiError(
                404,
                f"there is no SLA {abbreviated(name)}: {self.suggestion(name, caller)}use one of "
                + listed([*(ROUTED + n for n in known), f"{ROUTED}auto"]),
                code="model_not_found",
                param="model",
            )
        if not caller.tenant or name not in self._config.settings.per_tenant_slas:
            return slas[name]
        own = tenant_sla(slas[name], caller.tenant)
        if own.name not in slas:
            if not create:
                return slas[name]
            if sum(split_tenant(other)[1] != "" for other in slas) >= MAX_TENANT_SLAS:
                raise ApiError(
                    403,
                    f"the gateway keeps {MAX_TENANT_SLAS:,} SLAs of single tenants already: "
                    "its operator must remove tenants, or per_tenant in floorline.yaml",
                    code="too_many_tenants",
                )
            self._router.set_sla(own)
            return own
        return slas[own.name]

    def _usable_slas(self, caller: Caller) -> list[str]:
        """SLAs that a caller may name, without those of single tenants."""
        return [n for n in self._router.slas if not split_tenant(n)[1] and caller.may_use(n)]

    def suggestion(self, asked: str, caller: Caller, *, sla: bool = False) -> str:
        """Question for the model or the SLA that a caller probably meant; "" for none.

        Only names that the caller may use count, so it does not show which others there are.

        Parameters
        ----------
        asked
            Name of the request.
        caller
            Who sent it.
        sla
            Whether only an SLA can be meant.
        """
        # "Floorline:gold", "floorlin/gold" and "gold" are all meant for an SLA.
        _, _, name = asked.rpartition("/")
        if name.lower().startswith(_PREFIX):
            name = name[len(_PREFIX) :].strip("-_:. ")
        models = [] if sla else [n for n in self._router.zoo.names if caller.may_call(n)]
        slas = [*self._usable_slas(caller), _AUTO]
        model = "" if name in slas else closest_name(asked.removeprefix(ROUTED), models)
        meant = name if name in slas else closest_name(name, slas)
        if model or meant:
            return f"did you mean {listed([model or ROUTED + meant])}? "
        return ""


def _fits(name: str, pattern: str) -> bool:
    """Whether a name is a pattern's, in which ``*`` stands for any text.

    Clients choose names, so that the time must grow no faster than their length: the first place of
    each part is as good as a later one, and a regular expression would try all of them.

    Examples
    --------
    >>> _fits("claude-sonnet-4-5", "claude-*-5"), _fits("claude-5", "claude-*-5")
    (True, False)
    """
    first, *others = pattern.split("*")
    if not others:
        return name == first
    *middle, last = others
    place, end = len(first), len(name) - len(last)
    if place > end or not (name.startswith(first) and name.endswith(last)):
        return False
    for part in middle:
        found = name.find(part, place, end)
        if found < 0:
            return False
        place = found + len(part)
    return True
