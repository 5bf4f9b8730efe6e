"""Reads a part of ``floorline.yaml`` that a page shows, with what a whole file needs besides."""

import re
import subprocess

import yaml

from floorline.config import load_text

_REFERENCE = re.compile(r"\$\{(\w+)")
_FILE = re.compile(r"[\w./-]+\.(?:parquet|pem)\b|/\S*/secrets/\w+")
"""Names of files that are read or looked for at the start."""
_VALUE = "value-of-a-variable"
"""Of every variable; long enough for a secret."""
_ADDRESS = "http://127.0.0.1:8000/v1"
_MODELS = "\nmodels:\n" + "".join(
    f'  - {{name: {name}, endpoint: "{_ADDRESS}", input_price: 1, output_price: 2}}\n'
    for name in ("small", "large", "new")
)
_SLAS = "\nslas: [{name: gold, floor: 0.9}]\n"


def check_config(text, folder):
    """Check that a text is valid as a configuration, or as a part of one.

    Parameters
    ----------
    text
        YAML.
    folder
        Where files that it names would be.

    Raises
    ------
    ConfigError
        If a field is wrong.
    """
    given = yaml.safe_load(text)
    assert isinstance(given, dict), "not a section of a configuration"
    whole = text.replace("/run/", f"{folder}/")
    for name in _FILE.findall(whole):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("secret")
    if "tls:" in whole:
        make_certificate(folder / "fullchain.pem", folder / "privkey.pem")
    if "models" not in given:
        whole += _MODELS
    if "slas" not in given:
        whole += _SLAS
    load_text(whole, folder=folder, environ=dict.fromkeys(_REFERENCE.findall(whole), _VALUE))


def make_certificate(certificate, key):
    """Write a certificate of this machine and its key."""
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt"),
            *("ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=localhost"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
