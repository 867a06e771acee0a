"""A wrong configuration is one sentence that names file, key and remedy."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from vigia.authority.issuing import Authority
from vigia.edge.config import load_config
from vigia.edge.identity import Place, new_request, take_certificate, take_place
from vigia.errors import ConfigError

GOOD = """
[broker]
url = "mqtt://user:pass%20word@127.0.0.1"
[buffer]
folder = "buffers"
[[node]]
group_id = "air"
node_id = "bcn"
[node.source]
type = "replay"
logbook = "logbook.jsonl"
data = "recording.txt"
devices = ["L"]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "recording.txt").touch()
    return tmp_path / "edge.toml"


def test_paths_start_at_the_files_folder(file: Path) -> None:
    file.write_text(GOOD)
    config = load_config(file)
    assert config.buffer_path(config.nodes[0]) == file.parent / "buffers" / "air.bcn.sqlite"
    assert (config.broker.host, config.broker.port, config.broker.user, config.broker.password) == ("127.0.0.1", 1883, "user", "pass word")
    assert config.nodes[0].primary_host == "vigia"


def test_the_broker_of_the_command_line_wins(file: Path) -> None:
    file.write_text(GOOD)
    assert load_config(file, "mqtts://broker:1").broker.tls


def test_several_brokers_are_tried_in_their_order(file: Path) -> None:
    file.write_text(GOOD.replace("[buffer]", 'servers = ["mqtts://b", "mqtt://c:1"]\n[buffer]'))
    brokers = load_config(file).broker.each()
    assert [(broker.address, broker.tls) for broker in brokers] == [("127.0.0.1:1883", False), ("b:8883", True), ("c:1", False)]
    assert [broker.address for broker in load_config(file, "mqtt://only:1").broker.each()] == ["only:1"]


def test_the_sample_is_a_valid_configuration(tmp_path: Path) -> None:
    import vigia.edge.sources.replay as room  # noqa: PLC0415

    sample = (Path(room.__file__).parent / "sample.toml").read_text()
    (tmp_path / "train_FD001.txt.gz").touch()
    file = tmp_path / "edge.toml"
    file.write_text(sample)
    load_config(file)
    # With every commented setting switched on, too.
    file.write_text(re.sub(r"^# (?=(\[\[node|device|point|dead_band|max_silence_s|servers|ca|cert|key)\b)", "", sample, flags=re.MULTILINE))
    assert load_config(file).nodes[0].report[0].dead_band == 0.5


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('node_id = "bcn"', "", "node[0].node_id is missing; add it"),
        ("[buffer]", "[buffer]\nmax_byte = 5", "buffer.max_byte is not a setting; remove it or correct its spelling"),
        ("[buffer]", "[buffer]\nmax_bytes = 5", "buffer.max_bytes = '5': Input should be greater than or equal to 65536"),
        ('"bcn"', '"b/cn"', "node[0].node_id = 'b/cn': the id 'b/cn' contains '/'"),
        ('"replay"', '"telepathy"', "node[0].source.type is 'telepathy'; choose one of: replay"),
        ('devices = ["L"]', "", "node[0].source.devices is missing; add it"),
        ('"recording.txt"', '"nothing.txt"', "nothing.txt: no such file; set `data` of the replay source to a C-MAPSS text file"),
        ("mqtt://user:pass%20word@127.0.0.1", "http://secret@x", "broker.url: write mqtt://host:port or mqtts://user:password@host:port"),
        ("mqtt://user:pass%20word@127.0.0.1", "mqtt://x:99999", "broker.url: Port out of range 0-65535"),
        (
            "[buffer]",
            'servers = ["mqtt://b", "http://secret@x"]\n[buffer]',
            "broker.servers[1]: write mqtt://host:port or mqtts://user:password@host:port",
        ),
        ("[broker]", "[broker", "not a TOML file"),
    ],
)
def test_a_fault_is_named_with_its_key_and_remedy(file: Path, old: str, new: str, message: str) -> None:
    file.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(ConfigError) as caught:
        load_config(file)
    assert str(caught.value).startswith(str(file))
    assert message in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_node_named_twice_is_refused(file: Path) -> None:
    node = GOOD[GOOD.index("[[node]]") :]
    file.write_text(GOOD + node.replace("air", "AIR"))
    with pytest.raises(ConfigError, match="node air/bcn appears twice"):
        load_config(file)


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file or directory; name the gateway's configuration with --config"):
        load_config(tmp_path / "edge.toml")


@pytest.fixture
def enrolled(tmp_path: Path) -> Path:
    """A folder with the identity acme:madrid below it; its server named a broker."""
    authority = Authority.create(tmp_path / "authority", datetime.now(UTC))
    request = new_request(tmp_path / "identity")
    take_place(tmp_path / "identity", Place("https://server", None, "acme", "madrid", "mqtts://broker:8883", "a certificate"))
    take_certificate(tmp_path / "identity", authority.issue(request, "acme:madrid", datetime.now(UTC), timedelta(days=1)).chain)
    return tmp_path


def identified(folder: Path, text: str) -> Path:
    file = folder / "edge.toml"
    source = '[node.source]\ntype = "replay"\nlogbook = "l"\ndata = "d"\ndevices = ["L"]\n'
    file.write_text(f'[identity]\nfolder = "identity"\n[buffer]\nfolder = "buffers"\n{text.replace("SOURCE", source)}')
    (folder / "d").touch()
    return file


def test_an_identity_says_who_and_where(enrolled: Path) -> None:
    config = load_config(identified(enrolled, "[[node]]\nSOURCE"))
    assert [node.name for node in config.nodes] == ["acme/madrid"]
    assert config.broker.url == "mqtts://broker:8883"
    assert config.broker.cert == config.broker.key == enrolled / "identity" / "identity.pem"
    assert config.broker.ca == enrolled / "identity" / "broker-ca.pem"
    assert config.identity is not None
    assert config.identity.folder == enrolled / "identity"


def test_the_file_may_name_another_broker(enrolled: Path) -> None:
    file = identified(enrolled, '[broker]\nurl = "mqtts://nearer"\nkeepalive_s = 5\n[[node]]\nSOURCE')
    assert load_config(file).broker.url == "mqtts://nearer"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[[node]]\ngroup_id = "globex"\nSOURCE', "the identity is acme/madrid, the node another"),
        ("[[node]]\nSOURCE[[node]]\nSOURCE", "an identity is one node's"),
        ('[broker]\ncert = "mine"\n[[node]]\nSOURCE', "broker.cert is the identity's"),
    ],
)
def test_what_contradicts_the_identity_is_refused(enrolled: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(words)):
        load_config(identified(enrolled, text))


def test_an_identity_that_is_not_there_is_told_how_to_get(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="vigia edge enroll"):
        load_config(identified(tmp_path, "[[node]]\nSOURCE"))


@pytest.mark.parametrize("text", ["broker = 1\nnode = 1\n", "node = [1]\n", 'broker = ["x"]\n'])
def test_malformed_tables_are_still_one_sentence(enrolled: Path, text: str) -> None:
    file = identified(enrolled, "")
    file.write_text(text + file.read_text())
    with pytest.raises(ConfigError, match=re.escape(str(file))):
        load_config(file)
