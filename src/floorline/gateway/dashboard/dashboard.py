"""What all pages share: who looks, the templates and the gateway."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from floorline.gateway.auth import Caller
from floorline.gateway.dashboard.viewer import Viewer

if TYPE_CHECKING:
    from floorline.gateway.startup import Gateway


class Dashboard:
    """The parts that every page uses.

    Parameters
    ----------
    gateway
        A gateway that runs.
    """

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway

    def viewer(self, request: Request) -> Viewer:
        """Return who sent a request.

        Raises
        ------
        LoginNeeded
            If they have to log in first; the answer leads there and back.
        """
        return Viewer(Caller())

    def page(
        self, request: Request, template: str, title: str, status: int = 200, **values: Any
    ) -> Response:
        """Render a page within ``base.html.jinja``.

        Parameters
        ----------
        request
            What is answered.
        template
            Name of the file in ``templates/``.
        title
            Title of the page, which its link in the navigation has, too.
        status
            Status of the answer.
        values
            What the template shows; it also gets ``viewer``, ``title`` and ``root``, the path
            below which a proxy serves the gateway.
        """
        root = request.scope.get("app_root_path", "")
        viewer = self.viewer(request)
        shown = _templates().get_template(template)
        return HTMLResponse(shown.render(viewer=viewer, title=title, root=root, **values), status)


@cache
def _templates() -> Environment:
    loader = PackageLoader("floorline.gateway.dashboard")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined)
