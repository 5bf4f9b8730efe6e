"""What all pages share: who looks, the filters, the templates and the gateway."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from floorline.gateway.auth import Caller
from floorline.gateway.dashboard.filters import Filters, read_filters
from floorline.gateway.dashboard.formatting import FILTERS
from floorline.gateway.dashboard.forms import CSRF_FIELD, CSRF_HEADER, check_csrf, read_form
from floorline.gateway.dashboard.login_limits import LoginLimits
from floorline.gateway.dashboard.logins import Logins, digest_of
from floorline.gateway.dashboard.navigation import (
    HOME,
    JUDGES,
    NAVIGATION,
    REPLICAS,
    NavigationLink,
)
from floorline.gateway.dashboard.reading_turns import ReadingTurns
from floorline.gateway.dashboard.static_files import static_path
from floorline.gateway.dashboard.viewer import LoginNeeded, Viewer
from floorline.gateway.dashboard.whatif_runs import WhatIfRuns
from floorline.gateway.tenants import split_tenant
from floorline.gateway.visible_status import visible_slas
from floorline.stores.logins import Login, LoginStore

if TYPE_CHECKING:
    from floorline.gateway.dashboard.history import History
    from floorline.gateway.startup import Gateway

LOGIN_COOKIE = "floorline_login"
"""Cookie with the token of a login; the browser sends it below the dashboard only."""
THEME_COOKIE = "floorline_theme"
"""Cookie with the theme that a browser has chosen; floorline.js writes it."""
_THEMES = ("dark", "light")
_KEY_HEADERS = ("authorization", "x-api-key", "api-key")
"""Headers with a key, for programs that fetch data without a login."""
_MOST_OFFERED = 200
"""Most names that a form offers, which take 2 ms. With an SLA per tenant there can be thousands;
links and URLs name any of them."""
_LOGIN = "floorline_login"
"""Name in ASGI's scope of the login whose cookie a request has, and of the digest of its token."""
_VIEWER = "floorline_viewer"
"""Name in ASGI's scope of who sent a request, so that a key's rate counts a request once."""


def sees_everything(viewer: Viewer) -> bool:
    """Whether a viewer sees servers and judges: they tell of all tenants, SLAs and models."""
    caller = viewer.caller
    return viewer.tenant is None and caller.slas is None and caller.models is None


class Dashboard:
    """The parts that every page uses.

    Parameters
    ----------
    gateway
        A gateway that runs.

    Attributes
    ----------
    logins, login_limits
        Who has logged in; how often it may be tried.
    whatif
        What-if questions and their answers.
    reading
        Whose turn it is to read the log.
    """

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.logins = Logins(LoginStore(gateway.store.engine))
        store = gateway.store.engine.url.render_as_string(hide_password=False)
        self.whatif = WhatIfRuns(store, gateway.router.clock)
        self.login_limits = LoginLimits()
        self.reading = ReadingTurns()

    @property
    def history(self) -> History:
        """Traffic and promises over time."""
        return self.gateway.history

    def navigation(self, viewer: Viewer) -> tuple[NavigationLink, ...]:
        """Return the links to the pages that this gateway has for a viewer."""
        if not sees_everything(viewer):
            return NAVIGATION
        if self.gateway.replicas is None:
            return (*NAVIGATION, JUDGES)
        return (*NAVIGATION, JUDGES, REPLICAS)

    def viewer(self, request: Request) -> Viewer:
        """Return who sent a request.

        They have logged in, or send a key as to the API.

        Raises
        ------
        LoginNeeded
            If they have to log in first; the answer leads there and back.
        ApiError
            If the key that they send is not valid, lacks the scope or sends too much.
        """
        known: Viewer | None = request.scope.get(_VIEWER)
        if known is None:
            known = request.scope[_VIEWER] = self._find_viewer(request)
        return known

    def _find_viewer(self, request: Request) -> Viewer:
        auth = self.gateway.auth
        if auth.open:
            return Viewer(Caller())
        found: tuple[str, Login] | None = request.scope.get(_LOGIN)
        if found is not None:
            digest, login = found
            key = auth.valid_key(login.key)
            if key is not None:
                return Viewer.of(Caller.of(key), key.name, csrf=login.csrf, login=digest)
        elif any(name in request.headers for name in _KEY_HEADERS):
            return Viewer.of(auth.caller(request.headers, "view"))
        raise LoginNeeded

    async def find_login(self, request: Request) -> None:
        """Look up the login whose cookie a request has; ``viewer`` needs it."""
        token = request.cookies.get(LOGIN_COOKIE)
        if token and not self.gateway.auth.open:
            digest = digest_of(token)
            login = await self.logins.use(digest)
            if login is not None:
                request.scope[_LOGIN] = digest, login

    def still_valid(self, viewer: Viewer) -> bool:
        """Whether a viewer may go on looking: the login holds, and the key was not revoked.

        For answers that last, such as streams of events.
        """
        if self.gateway.auth.open:
            return True
        if viewer.login and not self.logins.holds(viewer.login):
            return False
        return self.gateway.auth.valid_key(viewer.caller.key) is not None

    async def form(self, request: Request) -> dict[str, str]:
        """Return the fields of a form of the viewer, whose token is checked.

        Raises
        ------
        LoginNeeded
            If the viewer has to log in first.
        ApiError
            If the form is too large, cannot be read, or is not of this login.
        """
        viewer = self.viewer(request)
        fields = await read_form(request)
        if viewer.login:
            check_csrf(fields.pop(CSRF_FIELD, None), viewer.csrf)
        return fields

    def check_script(self, request: Request) -> Viewer:
        """Check a request that a page's script sends to change something or to spend money.

        Its token is in the header ``X-Floorline-Csrf``; scripts read it from the page's ``body``.

        Raises
        ------
        LoginNeeded
            If the viewer has to log in first.
        ApiError
            If the token is not that of this login.
        """
        viewer = self.viewer(request)
        if viewer.login:
            check_csrf(request.headers.get(CSRF_HEADER), viewer.csrf)
        return viewer

    def sla_names(self, viewer: Viewer) -> list[str]:
        """Return the names of the SLAs that a viewer may see, in the order of the settings."""
        names = self.gateway.router.slas
        if viewer.tenant is None and viewer.caller.slas is None:
            return list(names)
        if viewer.tenant is None:
            return [name for name in names if viewer.caller.may_use(split_tenant(name)[0])]
        return visible_slas(self.gateway.router, viewer.caller)

    def tenant_names(self, viewer: Viewer) -> list[str]:
        """Return the names of the tenants among which a viewer may choose."""
        if viewer.tenant is not None:
            return []
        return sorted({*self.gateway.auth.tenants, *self.history.tenants})

    def filters(self, request: Request, viewer: Viewer | None = None) -> Filters:
        """Read the filters of a request.

        A key that is limited to SLAs always has one of them as a filter, so that it sees nothing of
        the others.

        Raises
        ------
        InvalidInput
            If a filter names what the viewer may not see.
        """
        viewer = self.viewer(request) if viewer is None else viewer
        names = self.sla_names(viewer)
        found = read_filters(request.query_params, names, viewer.tenant)
        if found.sla is None and viewer.caller.slas is not None:
            # None of them may exist any more; then there is nothing to see.
            return found._replace(sla=names[0] if names else viewer.caller.slas[0])
        return found

    def page(
        self,
        request: Request,
        template: str,
        title: str,
        status: int = 200,
        *,
        section: str | None = None,
        **values: Any,
    ) -> Response:
        """Render a page within ``base.html.jinja``.

        Parameters
        ----------
        request
            What is answered.
        template
            Name of the file in ``templates/``.
        title
            Title of the page.
        status
            Status of the answer.
        section
            Title of the link in the navigation that is marked as current; by default ``title``.
        values
            What the template shows. It also gets ``viewer``, ``filters``, ``title``, ``section``,
            ``navigation``, ``cost_unit``, ``sla_names``, ``tenant_names``, ``root``, the path
            below which a proxy serves the gateway, and three functions: ``static(name)`` gives the
            URL of a static file, ``link(path, **changed)`` that of a page with the filters in
            force, ``data_url(name, ending, query)`` that of a table of data.
        """
        viewer = self.viewer(request)
        filters = self.filters(request, viewer)
        shown = {
            "viewer": viewer,
            "filters": filters,
            "navigation": self.navigation(viewer),
            "sla_names": _offered(self.sla_names(viewer), filters.sla),
            "tenant_names": _offered(self.tenant_names(viewer), filters.tenant),
            "cost_unit": self.gateway.router.zoo.cost_unit,
        }
        return self.render(request, template, title, status, section=section, **{**shown, **values})

    def render(
        self,
        request: Request,
        template: str,
        title: str,
        status: int = 200,
        *,
        section: str | None = None,
        **values: Any,
    ) -> Response:
        """Render a template for any client, also one that is not logged in; as for ``page``."""
        root = request.scope.get("app_root_path", "")
        theme = request.cookies.get(THEME_COOKIE)
        shown: dict[str, Any] = {
            "viewer": None,
            "filters": Filters(),
            "navigation": (),
            "cost_unit": "USD",
            "title": title,
            "section": title if section is None else section,
            "root": root,
            "theme": theme if theme in _THEMES else None,
            **values,
        }
        filters: Filters = shown["filters"]

        def link(path: str, **changed: str | None) -> str:
            return f"{root}{path}{filters.query(**changed)}"

        def data_url(name: str, ending: str, query: dict[str, str] | None = None) -> str:
            asked = {**filters._asdict(), **(query or {})}
            written = urlencode({key: value for key, value in asked.items() if value is not None})
            return f"{root}{HOME}/data/{name}.{ending}?{written}"

        page = _templates().get_template(template)
        text = page.render(
            static=lambda name: root + static_path(name), link=link, data_url=data_url, **shown
        )
        return HTMLResponse(text, status)


def _offered(names: list[str], chosen: str | None) -> list[str]:
    """Names that a form offers: the first ones of many, and the chosen one."""
    offered = names[:_MOST_OFFERED]
    return offered if chosen is None or chosen in offered else [chosen, *offered]


@cache
def _templates() -> Environment:
    loader = PackageLoader("floorline.gateway.dashboard")
    environment = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters.update(FILTERS)
    return environment
