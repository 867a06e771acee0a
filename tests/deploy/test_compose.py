"""The compose file: valid, nothing with a default password, every health check answered by something that exists."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from vigia.api.app import create_app
from vigia.api.config import ApiConfig

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docker-compose.yml").read_text()
SERVICES = yaml.safe_load(TEXT)["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"].startswith("vigia:")}
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()
REQUIRED = sorted(set(re.findall(r"\$\{(\w+):\?", TEXT)))


def compose() -> list[str]:
    """The compose program that is installed."""
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    docker = shutil.which("docker")
    if docker and subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode == 0:
        return [docker, "compose"]
    pytest.skip("NOT VALIDATED BY COMPOSE: neither docker-compose nor docker compose is installed (Debian: docker-compose)")


def configured(tmp_path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    # An empty file in place of a .env beside the compose file, and no variable of this machine's.
    (tmp_path / "empty").touch()
    return subprocess.run(
        [*compose(), "--env-file", str(tmp_path / "empty"), "--file", str(ROOT / "docker-compose.yml"), "config"],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_compose_accepts_the_file(tmp_path: Path) -> None:
    done = configured(tmp_path, **dict.fromkeys(REQUIRED, "secret"))
    assert done.returncode == 0, done.stderr
    assert set(yaml.safe_load(done.stdout)["services"]) == set(SERVICES)


def test_compose_refuses_to_start_without_a_password(tmp_path: Path) -> None:
    done = configured(tmp_path)
    assert done.returncode != 0
    assert "is not set. Run deploy/make-env.sh" in done.stderr


def test_every_password_is_required() -> None:
    used = set(re.findall(r"\$\{(\w*(?:PASSWORD|SECRET|KEY|TOKEN)\w*)", TEXT))
    assert used
    assert used == set(REQUIRED)
    assert all(f"${{{name}:?{name} is not set. Run deploy/make-env.sh, it writes .env}}" in TEXT for name in used)


def test_the_example_environment_names_what_the_file_uses() -> None:
    example = dict(re.findall(r"^(\w+)=(.*)$", (ROOT / "deploy" / "env.example").read_text(), re.MULTILINE))
    used = {name: default for name, _, default in re.findall(r"\$\{(\w+)(:-([^}]*))?", TEXT)}
    defaults = dict(re.findall(r"\$\{(\w+):-([^}]*)\}", TEXT))
    assert set(example) == set(used)
    assert {name: value for name, value in example.items() if value} == defaults


def test_the_api_health_check_is_a_route() -> None:
    assert "/ready" in create_app(ApiConfig(dsn="")).openapi()["paths"]
    assert "/ready" in SERVICES["api"]["healthcheck"]["test"][-1]
    assert SERVICES["api"]["healthcheck"]["test"][-1] in DOCKERFILE


def test_services_wait_for_what_they_need() -> None:
    for name, service in OURS.items():
        needs = service["depends_on"]
        if name == "migrate":
            assert needs == {"database": {"condition": "service_healthy"}}
        else:
            assert needs["migrate"] == {"condition": "service_completed_successfully"}
        for other, condition in needs.items():
            if condition["condition"] == "service_healthy":
                assert "test" in SERVICES[other]["healthcheck"]


def test_each_process_has_its_own_login() -> None:
    logins = {name: re.match(r"postgresql://(\w+):\$\{(\w+)\}@", service["environment"]["VIGIA_DSN"]) for name, service in OURS.items()}
    for name, login in logins.items():
        assert login, name
        assert login.groups() == (name, f"{name.upper()}_PASSWORD")


def test_containers_are_confined() -> None:
    for name, service in SERVICES.items():
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["mem_limit"], name
        assert service["logging"]["options"]["max-size"], name
        assert re.search(r":\S+", service["image"]), name
        assert not service["image"].endswith(":latest"), name
    for name, service in {**OURS, "broker": SERVICES["broker"]}.items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name


def test_only_the_broker_and_the_api_are_reached_from_outside() -> None:
    assert {name for name, service in SERVICES.items() if service.get("ports")} == {"broker", "api"}
    assert yaml.safe_load(TEXT)["networks"]["data"]["internal"]
    assert SERVICES["database"]["networks"] == ["data"]


def test_mounted_files_exist_or_are_made_by_the_scripts() -> None:
    mounted = {volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", []) if volume.startswith("./")}
    made = {"./deploy/pki/broker", "./deploy/pki/broker/ca.crt", "./deploy/pki/ingest"}
    assert {path for path in mounted if not (ROOT / path).exists()} <= made


def test_image_is_built_with_the_makefiles_uv() -> None:
    version = re.search(r"^UV_VERSION := (\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert version
    assert f"ARG UV_VERSION={version[1]}\n" in DOCKERFILE


def test_image_runs_as_a_user_without_rights_and_without_installers() -> None:
    final = DOCKERFILE.split("\nFROM ")[-1]
    assert "\nUSER vigia\n" in final
    assert "pip uninstall" in final
    assert "apt-get" not in final


def test_only_what_the_image_needs_is_sent_to_its_build() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    allowed = {line[1:] for line in lines if line.startswith("!")}
    copied = set(
        re.findall(
            r"(?<=[ ])([\w.]+)(?= )",
            " ".join(line.removeprefix("COPY") for line in DOCKERFILE.splitlines() if re.match(r"COPY (?!--from)", line)),
        )
    )
    assert lines[0] == "*"
    assert copied - {"vigia"} <= allowed
