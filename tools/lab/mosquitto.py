"""A private Mosquitto broker on loopback, with its files in one directory; it is started and stopped at will."""

import base64
import hashlib
import os
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path

from emulation.ports import free_port
from lab.broker_process import BrokerProcess
from umq.errors import UserError

# Debian and Homebrew keep servers in folders that are not on an ordinary user's PATH.
_SERVER_FOLDERS = ["/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin", "/opt/homebrew/opt/mosquitto/sbin"]
_START_SECONDS = 15
_HASH_ROUNDS = 101


def find():
    """Return the path of the mosquitto program; UserError when there is none."""
    path = os.pathsep.join([os.environ.get("PATH", ""), *_SERVER_FOLDERS])
    program = shutil.which("mosquitto", path=path)
    if program is None:
        raise UserError("mosquitto is missing: install it with `apt-get install mosquitto` or `brew install mosquitto`")
    return program


class Mosquitto(BrokerProcess):
    """A broker on 127.0.0.1. As a context manager it runs from `with` to the end of the block.

    directory    where its configuration, log and database lie; made if missing
    port         None picks a free one
    persistence  keep sessions and retained messages over stop() and start()
    nodelay      TCP_NODELAY on its connections
    tls          a lab.certificates.Certificates: TLS instead of plain TCP
    users        {"name": "password"}: only these may connect; None: no password is needed
    extra        more lines for mosquitto.conf
    """

    name = "mosquitto"

    def __init__(self, directory, *, port=None, persistence=False, nodelay=True, tls=None, users=None, extra=""):
        self._program = find()
        self._directory = Path(directory).resolve()
        self._directory.mkdir(parents=True, exist_ok=True)
        super().__init__(self._directory / "mosquitto.log")
        self._config = self._directory / "mosquitto.conf"
        self.port = port or free_port()
        self.tls = tls
        self._write_config(persistence, nodelay, users, extra)

    def start(self):
        """Start it and return when it accepts connections; UserError with its last words if it does not."""
        if self._process is not None:
            raise RuntimeError("this mosquitto is running already")
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [self._program, "-c", str(self._config)], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        deadline = time.monotonic() + _START_SECONDS
        while not self._accepts():
            try:
                self._process.wait(timeout=0.01)
            except subprocess.TimeoutExpired:
                if time.monotonic() < deadline:
                    continue
            self.kill()
            last_words = " / ".join(self.log().strip().splitlines()[-2:]) or "it printed nothing"
            raise UserError(f"mosquitto did not start on port {self.port}: {last_words}")

    def _accepts(self):
        # On every port: they are opened one after the other.
        for port in re.findall(r"^listener (\d+)", self._config.read_text(), re.MULTILINE):
            try:
                socket.create_connection(("127.0.0.1", int(port)), timeout=1).close()
            except OSError:
                return False
        return self._process.poll() is None

    def _write_config(self, persistence, nodelay, users, extra):
        yes_no = {True: "true", False: "false"}
        lines = [
            # Started by root it would become the user `mosquitto`, which has no rights in this directory. Started by
            # another user it ignores this line.
            "user root",
            "log_dest stderr",
            "log_type all",
            "connection_messages true",
            f"set_tcp_nodelay {yes_no[nodelay]}",
            f"persistence {yes_no[persistence]}",
            f"persistence_location {self._directory}/",
            f"allow_anonymous {yes_no[users is None]}",
        ]
        if users is not None:
            passwords = self._directory / "passwords"
            passwords.touch(mode=0o600)
            passwords.write_text("".join(_password_line(*user) for user in users.items()))
            lines.append(f"password_file {passwords}")
        lines.append(f"listener {self.port} 127.0.0.1")
        if self.tls is not None:
            lines += [f"certfile {self.tls.cert_pem}", f"keyfile {self.tls.key_pem}"]
        self._config.write_text("\n".join([*lines, extra, ""]))


def _password_line(name, password):
    """A line of a mosquitto password file: $7$ is PBKDF2 with SHA-512."""
    salt = os.urandom(12)
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, _HASH_ROUNDS)
    return f"{name}:$7${_HASH_ROUNDS}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}\n"
