"""What the image would run: the tree of its files, read-only, without root and without a shell.

``make test-image`` builds the tree (``deploy/image/assemble``) and runs these tests as root,
because they mount and change the root folder. No container engine is needed, and none is tested.
"""

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest
from tests.support.live_gateway import MODELS, ZOO, InThread, http_server

from floorline.demo.fake_provider import FakeProvider

ROOT = Path(__file__).parents[2]
TREE = Path(os.environ.get("FLOORLINE_IMAGE_TREE", ROOT / ".venv" / "image-tree"))
MAX_BYTES = 200_000_000
USER = 65532
SECONDS = 120.0
"""Deadline of everything that is waited for; a busy machine is slow."""

pytestmark = pytest.mark.image

_RUN = """
set -eu
mount --bind "$TREE" "$TREE"
mount --bind /dev/null "$TREE/dev/null"
mount --bind /dev/urandom "$TREE/dev/urandom"
mount --rbind /proc "$TREE/proc"
mount --bind "$ETC" "$TREE/etc/floorline"
mount --bind "$STATE" "$TREE/var/lib/floorline"
mount -o remount,bind,ro "$TREE/etc/floorline"
mount -o remount,bind,ro "$TREE"
chroot=$(command -v chroot)
exec env -i PYTHONPATH=/app PYTHONDONTWRITEBYTECODE=1 FLOORLINE_PORT="$PORT" \
  "$chroot" --userspec=65532:65532 "$TREE" /usr/bin/python3 "$@"
"""


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Container:
    """Runs programs in the tree as a container would: a configuration, a volume, nothing else."""

    def __init__(self, folder, settings):
        self.etc, self.state = folder / "etc", folder / "state"
        self.port = free_port()
        self.etc.mkdir(mode=0o755)
        self.state.mkdir()
        os.chown(self.state, USER, USER)
        (self.etc / "floorline.yaml").write_text(json.dumps(settings))
        folder.chmod(0o755)

    def start(self, *words, **options):
        given = {"TREE": TREE, "ETC": self.etc, "STATE": self.state, "PORT": self.port}
        return subprocess.Popen(
            ["unshare", "--mount", "bash", "-c", _RUN, "run", *words],
            env={**os.environ, **{name: str(value) for name, value in given.items()}},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **options,
        )

    def run(self, *words):
        process = self.start(*words)
        output, _ = process.communicate(timeout=SECONDS)
        return process.returncode, output

    @contextlib.contextmanager
    def running(self, *words):
        """Run a program until the block ends; it must end with status 0 after SIGTERM."""
        process = self.start(*words)
        try:
            yield process
            process.terminate()
            output, _ = process.communicate(timeout=SECONDS)
            assert process.returncode == 0, output
        finally:
            process.kill()
            process.wait()

    def get(self, path, key=None, body=None):
        headers = {"content-type": "application/json"}
        if key is not None:
            headers["authorization"] = f"Bearer {key}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", data=data, headers=headers
        )
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            return answer.status, json.loads(answer.read())

    def wait_until_ready(self, process):
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            assert process.poll() is None, process.stdout.read()
            with contextlib.suppress(OSError):
                return self.get("/readyz")
            time.sleep(0.1)
        raise TimeoutError(f"not ready after {SECONDS:.0f} s")


@pytest.fixture(scope="module", autouse=True)
def _tree():
    if os.geteuid() != 0 or not (TREE / "app").is_dir() or shutil.which("unshare") is None:
        pytest.fail("run 'make test-image' as root, which builds the tree")


@pytest.fixture(scope="module")
def provider():
    provider = InThread(http_server(FakeProvider(ZOO).app()))
    yield provider.value
    provider.stop()


@pytest.fixture
def container(tmp_path, provider):
    return Container(
        tmp_path,
        {
            "models": [
                {"name": name, "endpoint": f"{provider}/v1", "output_price": price}
                for name, price in zip(MODELS, (0.1, 1.0, 10.0), strict=True)
            ],
            "slas": [{"name": "gold", "floor": 0.8}],
            "store": {"url": "sqlite:////var/lib/floorline/floorline.db"},
        },
    )


def test_the_tree_is_small_and_has_no_shell():
    total = sum(p.lstat().st_size for p in TREE.rglob("*") if p.is_file() and not p.is_symlink())
    print(f"{total / 1e6:.1f} MB")
    assert total < MAX_BYTES
    names = {path.name for path in [*TREE.glob("usr/bin/*"), *TREE.glob("usr/sbin/*")]}
    assert names & {"sh", "bash", "dash", "apt-get", "dpkg", "pip"} == set()


def test_the_root_folder_cannot_be_written_and_the_user_is_not_root(container):
    code = (
        "import os; print(os.getuid(), os.getgid())\n"
        "for path in ('/app/x', '/etc/floorline/x', '/tmp/x', '/x'):\n"
        "    try: open(path, 'w')\n"
        "    except OSError as error: print(path, error.strerror)\n"
        "open('/var/lib/floorline/x', 'w')"
    )
    status, output = container.run("-c", code)
    assert status == 0, output
    lines = output.splitlines()
    assert lines[0] == f"{USER} {USER}"
    assert [line.rpartition(" ")[0].partition(" ")[0] for line in lines[1:]] == [
        "/app/x",
        "/etc/floorline/x",
        "/tmp/x",
        "/x",
    ]


def serve(container):
    config = "/etc/floorline/floorline.yaml"
    return ("-m", "floorline", "serve", "--config", config, "--host", "0.0.0.0", "--port"), config


def chat(container, key):
    return container.get(
        "/v1/chat/completions",
        key,
        {"model": "floorline/gold", "messages": [{"role": "user", "content": ZOO.prompts[0]}]},
    )


def make_key(container, config):
    words = ("keys", "create", "app", "--scope", "chat", "--config", config)
    status, output = container.run("-m", "floorline", *words)
    assert status == 0, output
    (key,) = re.findall(r"fl-\S+", output)
    return key


def test_a_server_answers_as_the_image_would_run_it(container):
    words, config = serve(container)
    key = make_key(container, config)
    with container.running(*words, str(container.port)) as process:
        status, ready = container.wait_until_ready(process)
        assert (status, ready["status"]) == (200, "ready")
        assert container.get("/healthz")[0] == 200
        assert container.run("/app/healthcheck.py")[0] == 0
        status, answer = chat(container, key)
        assert status == 200
        assert answer["choices"][0]["message"]["content"]
    # The health check fails when no server is there.
    assert container.run("/app/healthcheck.py")[0] != 0


def test_a_server_and_a_learner_share_a_log_as_two_containers_would(container):
    path = container.etc / "floorline.yaml"
    settings = json.loads(path.read_text())
    path.write_text(json.dumps({**settings, "replicas": {"enabled": True}}))
    words, config = serve(container)
    key = make_key(container, config)
    with (
        container.running("-m", "floorline", "learn", "--config", config),
        container.running(*words, str(container.port)) as process,
    ):
        container.wait_until_ready(process)
        assert chat(container, key)[0] == 200
