"""Open WebUI in a process of its own, before a gateway; nothing of it asks the internet."""

import json
import os
import re
import subprocess
import time
from pathlib import Path

import httpx2 as httpx

PROGRAM = Path(__file__).parents[2] / ".venv" / "open-webui" / "bin" / "open-webui"
HEADERS = {"X-OpenWebUI-Message-Id": "{{MESSAGE_ID}}", "X-OpenWebUI-Task": "{{TASK}}"}
"""What docs/bridges.md lets an administrator type into the connection."""
ADA = {"name": "Ada", "email": "ada@example.com", "password": "correct horse battery"}
"""The first account, which is an administrator's."""
_START_SECONDS = 300.0
"""It imports PyTorch and fills a database; ten seconds on an idle machine."""


class OpenWebUI:
    """Its server, with one connection to a gateway.

    Parameters
    ----------
    folder
        Where it keeps its data.
    port
        Port that it listens at.
    gateway
        Address of the gateway.
    key
        API key for the gateway.
    """

    def __init__(self, folder, port, gateway, key):
        self.url = f"http://127.0.0.1:{port}"
        self.said = folder / "open-webui.txt"
        settings = {
            "DATA_DIR": str(folder / "data"),
            "WEBUI_SECRET_KEY": "of the tests",
            "OPENAI_API_BASE_URLS": f"{gateway}/v1",
            "OPENAI_API_KEYS": key,
            "OPENAI_API_CONFIGS": json.dumps({"0": {"enable": True, "headers": HEADERS}}),
            "ENABLE_OLLAMA_API": "false",
            # It would fetch models for its search in documents.
            "RAG_EMBEDDING_ENGINE": "openai",
            "OFFLINE_MODE": "true",
            "HF_HUB_OFFLINE": "1",
            "ENABLE_VERSION_UPDATE_CHECK": "false",
            "ANONYMIZED_TELEMETRY": "false",
            "DO_NOT_TRACK": "true",
            "SCARF_NO_ANALYTICS": "true",
        }
        (folder / "data").mkdir()
        outside = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        with self.said.open("wb") as out:
            self.process = subprocess.Popen(
                [PROGRAM, "serve", "--host", "127.0.0.1", "--port", str(port)],
                cwd=folder,
                env=outside | settings,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )
        self.http = httpx.Client(base_url=self.url, timeout=60.0)
        self.token = ""

    def start(self):
        """Wait until it answers, and create the administrator's account."""
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            assert self.process.poll() is None, self.said.read_text()[-3000:]
            assert time.monotonic() < deadline, self.said.read_text()[-3000:]
            time.sleep(0.2)
        account = self.http.post("/api/v1/auths/signup", json=ADA | {"profile_image_url": ""})
        assert account.status_code == 200, account.text
        assert account.json()["role"] == "admin"
        self.token = account.json()["token"]
        self.http.headers["authorization"] = f"Bearer {self.token}"
        # The news of this version are a dialog that lies above the page once.
        seen = {"ui": {"version": self.version}}
        self.http.post("/api/v1/users/user/settings/update", json=seen).raise_for_status()

    def _answers(self):
        try:
            return self.http.get("/health").status_code == 200
        except httpx.TransportError:
            return False

    @property
    def version(self):
        """Its version, as it says."""
        return self.http.get("/api/version").json()["version"]

    def ratings(self):
        """What the export of an administrator has, without the chats."""
        exported = self.http.get("/api/v1/evaluations/feedbacks/all/export")
        exported.raise_for_status()
        return [{name: row[name] for name in row if name != "snapshot"} for row in exported.json()]

    def stop(self):
        """End it."""
        self.http.close()
        self.process.terminate()
        try:
            self.process.wait(60.0)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Chat:
    """What a user does on its page.

    Parameters
    ----------
    page
        Page of Playwright.
    server
        The server.
    """

    def __init__(self, page, server):
        self.page = page
        page.add_init_script(f"localStorage.token = {json.dumps(server.token)}")
        page.goto(f"{server.url}/?models=floorline/gold")

    def ask(self, text):
        """Send a message, and wait for the answer's buttons."""
        answers = self._buttons("Good Response").count()
        self.page.locator("#chat-input").click()
        self.page.keyboard.type(text)
        self.page.keyboard.press("Enter")
        self._buttons("Good Response").nth(answers).wait_for(state="attached")

    def press(self, name):
        """Press the thumb of the latest answer: ``Good Response`` or ``Bad Response``."""
        with self.page.expect_response(re.compile("/api/v1/evaluations/feedback")):
            # Thumbs of all but the latest answer are shown where the mouse is.
            self._buttons(name).last.click(force=True)

    def rate(self, rating):
        """Give 1 to 10 in the form that the latest thumb opened."""
        self._buttons(f"Rate {rating} out of 10").last.click()
        with self.page.expect_response(re.compile("/api/v1/evaluations/feedback/")):
            self._buttons("Save").last.click()

    def _buttons(self, name):
        return self.page.get_by_role("button", name=name, exact=True)
