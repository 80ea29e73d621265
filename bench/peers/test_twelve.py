"""The twelve checks of bench/verify.py, in pytest-testinfra's words."""

import pytest

FETCH = "python3 -c \"import urllib.request as r; r.urlopen('{}')\""
BANNER = "python3 -c \"import socket; print(socket.create_connection(('127.0.0.1', 22)).recv(7))\""


@pytest.mark.parametrize("unit", ["bacalhau", "sensor-generator", "ssh"])
def test_unit_is_up(host, unit):
    service = host.service(unit)
    assert service.is_running
    assert service.is_enabled


@pytest.mark.parametrize(
    "url", ["http://localhost:8081/health", "http://localhost:1234/api/v1/agent/alive"]
)
def test_answers(host, url):
    assert host.run(FETCH.format(url)).rc == 0


def test_ssh_banner(host):
    assert "SSH-2.0" in host.run(BANNER).stdout


def test_passwd(host):
    file = host.file("/etc/passwd")
    assert (file.mode, file.user, file.group) == (0o644, "root", "root")


def test_release(host):
    assert host.file("/etc/os-release").contains("debian")


def test_group(host):
    assert host.file("/etc/group").mode == 0o644


def test_log(host):
    assert host.file("/opt/deployment.log").contains(".")


def test_kernel(host):
    assert "Linux" in host.run("uname -s").stdout


def test_root(host):
    assert host.run("id -u").stdout.strip() == "0"
