"""What deploy/README.md tells the reader to write is accepted."""

import re
from pathlib import Path

from vigia.edge.config import load_config

ROOT = Path(__file__).parents[2]
README = (ROOT / "deploy" / "README.md").read_text()


def test_the_gateways_configuration_is_accepted(tmp_path: Path) -> None:
    examples = re.findall(r"^```toml\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    assert len(examples) == 1
    (tmp_path / "train_FD001.txt.gz").symlink_to(ROOT / "vigia" / "demo" / "data" / "train_FD001.txt.gz")
    file = tmp_path / "edge.toml"
    file.write_text(examples[0])
    config = load_config(file)
    assert config.broker.tls
    assert config.broker.cert == tmp_path / "edge.crt"


def test_scripts_that_are_named_exist_and_can_be_run() -> None:
    named = set(re.findall(r"deploy/([\w-]+\.sh)", README))
    assert named == {path.name for path in (ROOT / "deploy").glob("*.sh")} - {"pki.sh"}
    assert all((ROOT / "deploy" / name).stat().st_mode & 0o111 for name in named)
