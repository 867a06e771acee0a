"""What deploy/README.md tells the reader to write is accepted."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

from vigia.authority.issuing import Authority
from vigia.edge.config import load_config
from vigia.edge.identity import Place, new_request, take_certificate, take_place

ROOT = Path(__file__).parents[2]
README = (ROOT / "deploy" / "README.md").read_text()


def test_the_gateways_configuration_is_accepted(tmp_path: Path) -> None:
    examples = re.findall(r"^```toml\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    assert len(examples) == 1
    (tmp_path / "train_FD001.txt.gz").symlink_to(ROOT / "vigia" / "demo" / "data" / "train_FD001.txt.gz")
    file = tmp_path / "edge.toml"
    file.write_text(examples[0])
    authority = Authority.create(tmp_path / "authority", datetime.now(UTC))
    request = new_request(tmp_path / "identity")
    take_place(tmp_path / "identity", Place("https://server", None, "acme", "madrid", "mqtts://broker", None))
    take_certificate(tmp_path / "identity", authority.issue(request, "acme:madrid", datetime.now(UTC), timedelta(days=1)).chain)
    config = load_config(file)
    assert config.broker.tls
    assert config.broker.cert == tmp_path / "identity" / "identity.pem"
    assert [node.name for node in config.nodes] == ["acme/madrid"]


def test_scripts_that_are_named_exist_and_can_be_run() -> None:
    named = set(re.findall(r"deploy/([\w-]+\.sh)", README))
    assert named == {path.name for path in (ROOT / "deploy").glob("*.sh")} - {"pki.sh"}
    assert all((ROOT / "deploy" / name).stat().st_mode & 0o111 for name in named)
