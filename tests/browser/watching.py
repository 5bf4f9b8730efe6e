"""A page that notes what goes wrong in it: console, exceptions, CSP and failed requests."""

_NOTE_CSP = """
document.addEventListener("securitypolicyviolation", (event) => {
  console.error(`CSP: ${event.effectiveDirective} blocked ${event.blockedURI} ${event.sample}`);
});
"""


class Watched:
    """A page and the faults seen in it.

    Attributes
    ----------
    page
        The page of Playwright.
    faults
        What went wrong so far, as texts.
    expected
        Parts of texts of faults that a test expects, such as the 403 that it provokes.
    """

    def __init__(self, context):
        context.add_init_script(_NOTE_CSP)
        self.faults = []
        self.expected = []
        self.page = context.new_page()
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.faults.append(f"exception: {error}"))
        self.page.on("requestfailed", self._failed)

    def _console(self, message):
        if message.type in ("error", "warning"):
            place = message.location.get("url", "")
            self.faults.append(f"console {message.type}: {message.text} ({place})")

    def _failed(self, request):
        # A page that is left ends its requests; that is no fault.
        if request.failure != "net::ERR_ABORTED":
            self.faults.append(f"request: {request.url} {request.failure}")

    def unexpected(self):
        """Faults that no test expects."""
        return [fault for fault in self.faults if not any(part in fault for part in self.expected)]
