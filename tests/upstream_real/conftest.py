"""`transformers serve` on a tiny random model that is built on the spot, without any network."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from importlib.util import find_spec

import pytest

WORDS = ["the", "quick", "brown", "fox", "jumps", "over", "lazy", "dog", "and", "tells", "nobody"]
TEMPLATE = (
    "{% for message in messages %}{{ message.role }} : {{ message.content }} {% endfor %}"
    "{% if add_generation_prompt %}assistant :{% endif %}"
)
OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "CUDA_VISIBLE_DEVICES": "",
    "OMP_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
}


def build_checkpoint(folder):
    """Write a Llama of a few thousand random weights that knows the characters of ASCII."""
    import torch
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    names = ["<unk>", "<s>", "</s>", *[chr(code) for code in range(32, 127)], *WORDS]
    tokenizer = Tokenizer(models.WordLevel({n: i for i, n in enumerate(names)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("[a-z]+|."), "isolated")
    tokenizer.decoder = decoders.Fuse()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        chat_template=TEMPLATE,
    ).save_pretrained(folder)
    torch.manual_seed(5)
    LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(names),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=2,
            max_position_embeddings=8192,
            bos_token_id=1,
            eos_token_id=2,
        )
    ).save_pretrained(folder)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class RealServer:
    """A running model server: where it answers, what it calls its model and its process."""

    def __init__(self, port, model, pid):
        self.pid = pid
        self.base_url = f"http://127.0.0.1:{port}/v1"
        self.model = model
        self.health = f"http://127.0.0.1:{port}/health"


@pytest.fixture(scope="session")
def real_server(tmp_path_factory):
    """Start `transformers serve`; needs the extra ``upstream-test``."""
    if find_spec("transformers") is None:
        pytest.skip("needs the extra 'upstream-test'")
    folder = tmp_path_factory.mktemp("checkpoint")
    build_checkpoint(folder)
    port = free_port()
    command = [sys.executable, "-c", "from transformers.cli.transformers import main; main()"]
    command += ["serve", str(folder), "--host", "127.0.0.1", "--port", str(port)]
    command += ["--device", "cpu", "--default-seed", "1"]
    log = folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env=os.environ | OFFLINE, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            server = RealServer(port, str(folder), process.pid)
            until = time.monotonic() + 180.0
            while not _answers(server.health):
                if process.poll() is not None or time.monotonic() > until:
                    pytest.fail(f"the server did not start:\n{log.read_text()[-3000:]}")
                time.sleep(0.2)
            yield server
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _answers(url):
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return response.status == 200
    except OSError:
        return False
