"""`vigia edge browse` drafts what the gateway can run, and the other commands get a newcomer as far as that."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from asyncua import ua
from opcua_machine import PLANT, Machine
from source_harness import entered, samples, until
from typer.testing import CliRunner

from vigia import cli
from vigia.cli import opcua
from vigia.edge.config import load_config
from vigia.edge.sources.opcua.certificate import fingerprint, load_certificate
from vigia.edge.sources.opcua.source import OpcUaSource
from vigia.edge.sources.opcua.units import UNECE, ucum

pytestmark = pytest.mark.xdist_group("opcua")

runner = CliRunner()


@pytest.fixture(autouse=True)
def _logs_as_before() -> Iterator[None]:
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="module")
def hall(opcua_machine: Machine) -> str:
    """A hall with two machines; the node id to begin at."""
    machine = opcua_machine
    machine.add_object("hall")
    for name in ("Press #1", "Oven"):
        machine.add_object(f"hall/{name}", "hall")
    machine.add_object("hall/Press #1/Hydraulics", "hall/Press #1")
    pressure = machine.add_below("hall/Press #1/Hydraulics", "Pressure", 87.5, ua.VariantType.Double)
    machine.nodes["pressure"] = pressure
    machine.add_property("pressure", "EURange", ua.Range(0.0, 250.0))
    machine.add_property("pressure", "EngineeringUnits", ua.EUInformation(UNECE, 4342098, ua.LocalizedText("bar"), ua.LocalizedText()))
    machine.add_below("hall/Press #1", "Strokes", 7, ua.VariantType.UInt32)
    machine.add_below("hall/Press #1", 'Say "hi"\x7f\n', "text", ua.VariantType.String)
    machine.add_below("hall/Oven", "Zones", [1.0, 2.0], ua.VariantType.Float)
    speed = machine.add_below("hall/Oven", "Speed", 3.5, ua.VariantType.Float)
    machine.nodes["speed"] = speed
    machine.add_property("speed", "EngineeringUnits", ua.EUInformation("http://vendor", 7, ua.LocalizedText("furlong"), ua.LocalizedText()))
    machine.add_below("hall/Oven", "Speed", 4.5, ua.VariantType.Float, namespace=machine.namespace - 1)
    return f"nsu={PLANT};s=hall"


async def test_the_draft_is_a_configuration_whose_points_are_read(opcua_machine: Machine, hall: str, tmp_path: Path) -> None:
    file = tmp_path / "edge.toml"
    arguments = ["edge", "browse", "--url", opcua_machine.url, "--root", hall, "--output", str(file)]
    answer = await asyncio.to_thread(runner.invoke, cli.app, arguments)
    assert answer.output == f"{file}: edit it, then `vigia edge run --check --config {file}`\n"
    (one,) = load_config(file).sources
    assert isinstance(one, OpcUaSource)
    one.resume(None)
    async with entered(one) as stream:
        ticks = await until(stream, lambda got: len(samples(got)) == 5)
    born = {device.device_id: {point.name: point for point in device.points} for device in ticks[0].births}
    assert {device: sorted(names) for device, names in born.items()} == {
        "Press -1": ["Hydraulics/Pressure", 'Say "hi"\x7f\n', "Strokes"],
        "Oven": ["Speed", "Speed (2)"],
    }
    pressure = born["Press -1"]["Hydraulics/Pressure"]
    assert (pressure.unit, pressure.low, pressure.high) == ("bar", 0.0, 250.0)
    assert {sample.value for sample in samples(ticks)} == {87.5, 7, "text", 3.5, 4.5}


def test_the_draft_says_what_it_left_out_and_what_it_does_not_know(opcua_machine: Machine, hall: str) -> None:
    text = runner.invoke(cli.app, ["edge", "browse", "--url", opcua_machine.url, "--root", hall]).output
    assert f'# left out: "Zones", "nsu={PLANT};s=hall/Oven/Zones": the node is an array; name one element with index' in text
    assert '# unit: the server says "furlong"; write its UCUM code' in text
    assert "# DOUBLE, now 87.5" in text
    assert 'security = "none"' in text
    assert "anonymous = true" in text


def test_levels_say_how_much_of_a_path_is_the_device(opcua_machine: Machine, hall: str) -> None:
    def devices(levels: int) -> set[str]:
        text = runner.invoke(cli.app, ["edge", "browse", "--url", opcua_machine.url, "--root", hall, "--levels", str(levels)]).output
        return {line for line in text.splitlines() if line.startswith("device_id")}

    assert devices(0) == {'device_id = "machine"'}
    assert devices(2) == {'device_id = "Press -1-Hydraulics"', 'device_id = "Press -1"', 'device_id = "Oven"'}


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--root", "ns=2;s=x"], "--root: write nsu=<namespace URI>;... instead of ns=: the index may change when the server starts again"),
        (["--root", "nsu=http://nobody;s=x"], "the server has no namespace http://nobody; it has http://opcfoundation.org/UA/"),
        (["--root", f"nsu={PLANT};s=hall/Oven/Speed"], "no variables below "),
        (["--security", "sign"], "security sign needs certificate and key"),
        (["--security", "some"], "--security: Input should be 'none', 'sign' or 'sign_and_encrypt'"),
        (["--user", "me"], "user and its password belong together"),
    ],
)
@pytest.mark.usefixtures("hall")
def test_what_cannot_be_browsed_is_one_sentence(
    opcua_machine: Machine, arguments: list[str], reason: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["vigia", "edge", "browse", "--url", opcua_machine.url, *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert reason in said
    assert said.count("\n") == 1


def test_nothing_is_overwritten(opcua_machine: Machine, hall: str, tmp_path: Path) -> None:
    file = tmp_path / "edge.toml"
    file.write_text("mine")
    answer = runner.invoke(cli.app, ["edge", "browse", "--url", opcua_machine.url, "--root", hall, "--output", str(file)])
    assert f"{file} is there already; remove it, or name another file with --output" in str(answer.exception)
    assert file.read_text() == "mine"


def test_a_newcomer_makes_a_certificate_and_gets_the_servers(opcua_machine: Machine, hall: str, tmp_path: Path) -> None:
    made = runner.invoke(cli.app, ["edge", "opcua", "certificate", "--folder", str(tmp_path), "--application-uri", "urn:hall:gateway"])
    own = load_certificate(tmp_path / "gateway.der")
    assert fingerprint(own) in made.output
    server = tmp_path / "press.der"
    got = runner.invoke(cli.app, ["edge", "opcua", "server-certificate", "--url", opcua_machine.url, "--output", str(server)])
    assert opcua_machine.secure is not None
    assert load_certificate(server) == load_certificate(opcua_machine.secure[0])
    assert fingerprint(load_certificate(server)) in got.output
    secure = [
        "--security",
        "sign_and_encrypt",
        "--certificate",
        "gateway.der",
        "--key",
        "gateway.key.pem",
        "--server-certificate",
        "press.der",
    ]
    before = Path.cwd()
    os.chdir(tmp_path)
    try:
        text = runner.invoke(cli.app, ["edge", "browse", "--url", opcua_machine.url, "--root", hall, *secure]).output
    finally:
        os.chdir(before)
    assert f'certificate = "{tmp_path}/gateway.der"' in text
    (tmp_path / "edge.toml").write_text(text)
    assert load_config(tmp_path / "edge.toml").sources


def test_a_missing_library_is_one_sentence() -> None:
    with pytest.raises(Exception, match=r"OPC UA needs no_such_library, which is not installed; install vigia\[edge\]"), opcua._libraries():
        import no_such_library  # noqa: F401, PLC0415


@pytest.mark.parametrize(
    ("unit", "code"),
    [
        ((UNECE, 4408652, "°C"), "Cel"),
        ((UNECE, 12878, "dB"), "dB"),
        ((UNECE, 5067858, "m"), "m"),
        ((UNECE, 4403510, "mm/s"), "mm/s"),
        ((UNECE, 5394509, "r/min"), "/min"),
        ((UNECE, 0, "bar"), "bar"),
        ((UNECE, -1, "rpm"), "/min"),
        ((None, 4408652, ""), None),
        (("http://vendor", 1, "°C"), "Cel"),
        (("http://vendor", 1, " kW "), "kW"),
        (("http://vendor", 1, "furlong"), None),
        ((UNECE, 2**31 - 1, "?"), None),
    ],
)
def test_units_are_known_by_their_code_or_else_by_their_name(unit: tuple[str | None, int, str], code: str | None) -> None:
    assert ucum(*unit) == code
