"""pyright as an editor asks it: a language server, of which only opening one file and completing in it is used."""

import json
import os
import subprocess
import sys


class LanguageServer:
    """A context manager: the server for the folder `root`, which holds the file that is open, `text` at `name`."""

    def __init__(self, root, name, text):
        self._uri = (root / name).as_uri()
        self._text = text
        self._number = 0
        self._server = subprocess.Popen(
            [sys.executable, "-m", "pyright.langserver", "--stdio"],
            env={**os.environ, "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        folders = [{"uri": root.as_uri(), "name": root.name}]
        self._root = {"processId": os.getpid(), "rootUri": root.as_uri(), "workspaceFolders": folders}

    def __enter__(self):
        self._ask("initialize", {**self._root, "capabilities": {}})
        self._tell("initialized", {})
        document = {"uri": self._uri, "languageId": "python", "version": 1, "text": self._text}
        self._tell("textDocument/didOpen", {"textDocument": document})
        return self

    def __exit__(self, *_):
        self._ask("shutdown", None)
        self._tell("exit", None)
        self._server.communicate()  # with which its input ends, too

    def completions(self, line, character):
        """The names that are offered at this place, both counted from 0."""
        place = {"textDocument": {"uri": self._uri}, "position": {"line": line, "character": character}}
        found = self._ask("textDocument/completion", place)
        return {item["label"] for item in found["items"]}

    def _tell(self, method, parameters, **more):
        self._send({"method": method, "params": parameters, **more})

    def _ask(self, method, parameters):
        self._number += 1
        self._tell(method, parameters, id=self._number)
        while True:
            said = self._receive()
            if said.get("id") == self._number and "method" not in said:
                return said["result"]
            if "id" in said:  # a question of the server's: there is nothing to say to it
                self._send({"id": said["id"], "result": None})

    def _send(self, message):
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self._server.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        self._server.stdin.flush()

    def _receive(self):
        length = 0
        while header := self._server.stdout.readline().strip():
            name, _, value = header.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        return json.loads(self._server.stdout.read(length))
