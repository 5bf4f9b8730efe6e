from __future__ import annotations

import subprocess
import sys

import pytest

from floorline.encoders import HashedNgrams, Lsa, make_encoder
from floorline.errors import DataError, InvalidInput


def test_specifications_of_hashed_ngrams():
    assert make_encoder("hashed").fingerprint == HashedNgrams().fingerprint
    assert make_encoder("hashed:projected").fingerprint == HashedNgrams().fingerprint
    assert make_encoder("hashed:sparse").fingerprint == HashedNgrams(output="sparse").fingerprint


def test_lsa_from_path(tmp_path):
    encoder = Lsa(2, buckets=64).fit(["a b", "c d", "e f"])
    encoder.save(tmp_path / "a:b.lsa")
    assert make_encoder(f"lsa:{tmp_path}/a:b.lsa").fingerprint == encoder.fingerprint


@pytest.mark.parametrize("spec", ["", "hash", "hashed:dense", "lsa", "lsa:", None, "HASHED"])
def test_unknown_specifications_are_rejected_with_the_known_ones(spec):
    with pytest.raises(InvalidInput, match="write hashed"):
        make_encoder(spec)


def test_missing_files_name_the_path():
    with pytest.raises(DataError, match=r"no/such\.lsa"):
        make_encoder("lsa:no/such.lsa")
    with pytest.raises(DataError, match="no/such"):
        make_encoder("minilm:no/such")


def test_importing_the_package_imports_no_heavy_library():
    code = (
        "import sys, floorline.encoders;"
        "print({'onnxruntime', 'tokenizers', 'sklearn'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
