# What a client is made of is checked before anything is sent. Loaded for that alone, and then forgotten: a board has
# its memory back.

import sys

_TEXT = (str, bytes, bytearray)
_SSL_PARAMS = "cadata", "cert", "cert_reqs", "key", "server_hostname"


def servers(server):
    """-> a list of (host, port) in the order in which they are tried; port 0: the client's. ValueError, TypeError:
    `server` is no host, and no list of hosts, "host:port" and (host, port)."""
    if isinstance(server, tuple):
        server = [server]
    if not isinstance(server, list):
        return [(_host(server), 0)]
    found = []
    for one in server:
        if isinstance(one, tuple):
            if len(one) != 2:
                raise ValueError("server %r is no (host, port)" % (one,))
            host, port = one
            found.append((_host(host), _port(port)))
        else:
            host, colon, port = one, "", 0
            if isinstance(one, str) and one.count(":") == 1 and "@" not in one and "://" not in one:
                host, colon, port = one.partition(":")
                if not port.isdigit():
                    raise ValueError("server %r: the port must be a number" % one)
            found.append((_host(host), _port(int(port))))
    if not found:
        raise ValueError("server is an empty list")
    return found


def _host(host):
    if not isinstance(host, _TEXT):
        raise TypeError("server must be a host's name or address, or a list of them, not %s" % type(host))
    name = host if isinstance(host, str) else bytes(host).decode()
    if "@" in name:  # what stands before it may be a password
        raise ValueError("server holds @: give the host alone; user and password are arguments of their own")
    scheme, there, rest = name.partition("://")
    if there:
        raise ValueError("server %r: give the host alone: %r" % (name, rest.split("/")[0].split(":")[0]))
    if name != name.strip() or " " in name:
        raise ValueError("server %r: a host has no blanks in it" % name)
    if not name or "/" in name:
        raise ValueError("server %r is no host's name or address" % name)
    parts = name.split(".")
    if all([part.isdigit() for part in parts]) and (len(parts) != 4 or any([int(part) > 255 for part in parts])):
        raise ValueError("server %r is no IPv4 address: four numbers up to 255" % name)
    if name.count(":") == 1:  # more are an IPv6 address
        _, _, port = name.partition(":")
        raise ValueError("server %r: give the port as port=%s, or a list of servers: [%r]" % (name, port, name))
    return name


def _number(value, what, least, most):
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError("%s must be a number from %d to %d, not %r" % (what, least, most, value))
    if not least <= value <= most:
        raise ValueError("%s must be a number from %d to %d, not %d" % (what, least, most, value))
    return value


def _port(port):
    return _number(port, "port", 0, 65535)


def check_params(ssl_params):
    """ValueError for a key that is unknown, or needs another one."""
    for name in ssl_params:
        if name not in _SSL_PARAMS:
            raise ValueError("ssl_params: unknown key %r, not one of %s" % (name, ", ".join(_SSL_PARAMS)))
    if "key" in ssl_params and "cert" not in ssl_params:
        raise ValueError("ssl_params: a key needs its cert")


def forget():
    """Give a board its memory back."""
    if sys.implementation.name == "micropython":
        package, _, name = __name__.rpartition(".")
        del sys.modules[__name__]
        sys.modules[package].__dict__.pop(name, None)


def check(client, chunk, inflight, received):
    """The arguments of a client's constructor; ValueError or TypeError says how to mend them."""
    for value, what in ((client.client_id, "client_id"), (client.user, "user"), (client.pswd, "password")):
        # A memoryview too; the text itself is checked when CONNECT is made. No value is shown: it may be a secret.
        if isinstance(value, (int, float, list, tuple, dict)) or (value is None and what == "client_id"):
            raise TypeError("%s must be str or bytes, not %s" % (what, type(value)))
    _port(client.port)
    if client.keepalive is not False:
        _number(client.keepalive, "keepalive", 0, 65535)
    if client.ssl_params and not client.ssl:
        raise ValueError("ssl_params without ssl: pass ssl=True too")
    if client.ssl:
        if not isinstance(client.ssl_params, dict):
            raise TypeError("ssl_params must be a dict, not %s" % type(client.ssl_params))
        check_params(client.ssl_params)
    for value, what, least in (
        (client.timeout_ms, "timeout_ms", 1),
        (client.max_packet, "max_packet", 64),
        (inflight, "inflight", 1),
        (received, "received", 1),
        (chunk, "chunk", 16),
    ):
        _number(value, what, least, 0x3FFFFFFF)
    if client.max_packet < 4 * inflight:
        raise ValueError("max_packet must be at least 4 * inflight = %d" % (4 * inflight))
