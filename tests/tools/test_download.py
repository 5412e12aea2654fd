"""Firmware from a server: trusted at its first download, compared at every later one, refused when it is another."""

import hashlib
import http.server
import json
import ssl
import threading

import pytest

from emulation import firmware as synthetic
from umq import __main__ as command_line
from umq import boards
from umq.device import drives
from umq.errors import UserError
from umq.flash import download

PICO = boards.load("RPI_PICO_W")
_FILE = "RPI_PICO_W-20990101-v9.9.9.uf2"
_DATA = synthetic.rp2(PICO.family)


@pytest.fixture
def lock(tmp_path, monkeypatch):
    """A lock file and an empty cache of its own."""
    path = tmp_path / "lock.json"
    found = {"address": "http://127.0.0.1:1/firmware", "version": "v9.9.9", "date": "20990101", "sha256": {}}
    path.write_text(json.dumps(found))
    monkeypatch.setattr(download, "LOCK", path)
    monkeypatch.setattr(download, "CACHE", tmp_path / "cache")
    return path


@pytest.fixture
def server():
    """An HTTP server: `server.files` are what it has, `server.asked` what it was asked for, `server.cut` its bytes."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            running.asked.append(self.path)
            data = running.files.get(self.path.rsplit("/", 1)[1])
            self.send_response(404 if data is None else 200)
            self.send_header("Content-Length", str(len(data or b"")))
            self.end_headers()
            self.wfile.write((data or b"")[: running.cut])

        def log_message(self, *args):
            pass

    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    running.files, running.asked, running.cut = {_FILE: _DATA}, [], None
    running.address = f"http://127.0.0.1:{running.server_port}/mirror/"
    thread = threading.Thread(target=running.serve_forever, args=(0.05,))
    thread.start()
    yield running
    running.shutdown()
    thread.join()
    running.server_close()


def _refusal(mirror):
    with pytest.raises(UserError) as refused:
        download.fetch(PICO, mirror)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def _locked(lock):
    return json.loads(lock.read_text())["sha256"]


def test_the_first_download_is_written_down_and_the_next_is_none_at_all(lock, server):
    shown = []
    path, news = download.fetch(PICO, server.address, lambda done, total: shown.append((done, total)))
    assert path.read_bytes() == _DATA
    assert path.name == _FILE
    assert server.asked == [f"/mirror/{_FILE}"]
    assert _locked(lock) == {_FILE: hashlib.sha256(_DATA).hexdigest()}
    assert news.startswith(f"first download of {_FILE}: its SHA-256 is now in {lock}")
    assert shown[-1] == (len(_DATA), len(_DATA))
    assert download.fetch(PICO, server.address) == (path, None)
    assert len(server.asked) == 1


def test_a_later_download_must_be_the_same(lock, server):
    path, _ = download.fetch(PICO, server.address)
    path.unlink()
    server.files[_FILE] = synthetic.rp2(PICO.family, 50_000)
    assert f"is not the file that {lock} names: its SHA-256 is " in _refusal(server.address)
    assert not path.exists()
    server.files[_FILE] = _DATA
    assert download.fetch(PICO, server.address) == (path, None)


def test_a_file_put_there_by_hand_is_taken_and_compared(lock, server):
    path = download.path(PICO)
    path.parent.mkdir()
    path.write_bytes(_DATA)
    assert download.fetch(PICO)[0] == path
    assert server.asked == []
    path.write_bytes(synthetic.rp2(PICO.family, 50_000))
    assert "is not the file that" in _refusal(None)


def test_offline_it_says_the_address_and_where_to_put_the_file(lock, tmp_path):
    refused = _refusal(None)
    assert f"http://127.0.0.1:1/firmware/{_FILE} cannot be reached" in refused
    assert f"put it at {tmp_path}/cache/{_FILE}" in refused


def test_what_is_cut_missing_or_no_firmware_is_neither_kept_nor_trusted(lock, server, tmp_path):
    server.cut = 5_000
    assert f"broke off after 5,000 of {len(_DATA):,} bytes" in _refusal(server.address)
    server.cut = None
    server.files[_FILE] = b"<html>Hotel Wi-Fi: please log in</html>"
    assert "it is a web page: does your network want you to log in first?" in _refusal(server.address)
    server.files[_FILE] = synthetic.rp2(0xE48BFF59)
    assert "it is for RP2350, Arm" in _refusal(server.address)
    server.files.clear()
    assert "cannot be downloaded: 404" in _refusal(server.address)
    assert "cannot be reached" in _refusal("no address at all")
    assert _locked(lock) == {}
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_certificate_that_is_not_trusted_names_the_way_to_trust_it(lock, server, certificates, monkeypatch):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.cert_pem, certificates.key_pem)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    mirror = server.address.replace("http:", "https:").replace("127.0.0.1", "localhost")
    refused = _refusal(mirror)
    assert "its certificate is not trusted" in refused and "SSL_CERT_FILE=ca.pem" in refused
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.ca_pem))
    assert download.fetch(PICO, mirror)[0].read_bytes() == _DATA


def test_a_cache_that_cannot_be_written_is_one_clear_line(lock, server, tmp_path):
    (tmp_path / "cache").write_text("a file")
    assert "cannot be written" in _refusal(server.address)


def test_a_lock_file_that_is_broken_is_one_clear_line(lock):
    for text in "{", "[]", '{"address": 5}', '{"address": 5, "version": "", "date": "", "sha256": {}}':
        lock.write_text(text)
        assert str(lock) in _refusal(None)


def test_the_projects_own_lock_file_is_in_order():
    found = download._read()
    assert found["address"] == "https://micropython.org/resources/firmware"
    assert download.name(PICO) == f"RPI_PICO_W-{found['date']}-{found['version']}.uf2"
    assert download.name(boards.load("ESP32_GENERIC")).endswith(".bin")
    assert all(len(sha256) == 64 for sha256 in found["sha256"].values())


def test_umq_flash_downloads_by_itself(lock, server, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(drives, "mounted", list)
    monkeypatch.setattr("umq.flash.by_drive._LEAVE_S", 0.1)
    (tmp_path / "drive").mkdir()
    (tmp_path / "drive" / "INFO_UF2.TXT").write_text("Board-ID: RPI-RP2\n")
    args = ["flash", "RPI_PICO_W", "--drive", str(tmp_path / "drive")]
    monkeypatch.setenv("UMQ_FIRMWARE_MIRROR", server.address)
    assert command_line.main([*args, "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert f"{server.address}{_FILE}" in said
    assert "not known yet" in said
    assert server.asked == []
    assert command_line.main(args) == 0
    assert (tmp_path / "drive" / _FILE).read_bytes() == _DATA
    assert f"umq: first download of {_FILE}" in capsys.readouterr().err
    assert command_line.main([*args, "--dry-run"]) == 0
    assert hashlib.sha256(_DATA).hexdigest() in capsys.readouterr().out
    download.path(PICO).unlink()
    assert command_line.main([*args, "--dry-run"]) == 0
    assert hashlib.sha256(_DATA).hexdigest() in capsys.readouterr().out
