# TLS: the context to use, the socket wrapped in it, and the handshake. Loaded only where TLS is asked for.

import sys
import time

_BOARD = sys.implementation.name == "micropython"


def context(ssl, ssl_params):
    """An SSLContext out of what the caller gave: ssl=SSLContext; or ssl=True with, in ssl_params, cadata (a CA's
    bytes, DER on MicroPython; on CPython the system's roots without it), or cert_reqs=CERT_NONE, said explicitly; key
    and cert (on MicroPython DER bytes, on CPython file names) for a client certificate. ValueError if it cannot serve.
    """
    from .arguments import check_params

    check_params(ssl_params)
    unverified = ssl_params.get("cert_reqs", 2) == 0
    if hasattr(ssl, "wrap_socket"):
        if ssl.verify_mode == 0 and not unverified:  # as MicroPython's ssl.SSLContext begins
            raise ValueError("the SSLContext verifies nothing: set verify_mode, or say so in ssl_params: cert_reqs=0")
        return ssl
    cadata = ssl_params.get("cadata")
    if _BOARD and not cadata and not unverified:
        raise ValueError("ssl=True: MicroPython has no root certificates: pass an SSLContext, or cadata=CA in DER")
    what = "cadata is no CA certificate" + (" in DER" if _BOARD else "")
    try:
        made = _made(cadata, unverified)
        what = "cert or key cannot be loaded"
        if "cert" in ssl_params:
            made.load_cert_chain(ssl_params["cert"], ssl_params.get("key"))
    except (OSError, ValueError, TypeError) as e:
        raise ValueError("ssl_params: %s: %s" % (what, e))
    return made


def _made(cadata, unverified):
    if _BOARD:
        import tls

        made = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
        if cadata:
            made.load_verify_locations(cadata)
    else:
        import ssl as tls

        made = tls.create_default_context(cadata=cadata)  # pyright: ignore[reportAttributeAccessIssue]: CPython only
        made.check_hostname = not unverified
    if unverified:
        made.verify_mode = tls.CERT_NONE  # pyright: ignore[reportAttributeAccessIssue]: not in the stubs
    return made


def wrap(transport, made, ssl_params, host):
    # Put TLS between the transport and its socket. The certificate must be for this host.
    sock = transport.sock
    host = ssl_params.get("server_hostname", host)
    if _BOARD:
        transport.sock = made.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
    else:
        transport.sock = sock.secured(made, server_hostname=host, do_handshake_on_connect=False)
    handshake = _Handshake(transport, sock)
    transport.readinto = handshake.readinto
    transport.write = handshake.write
    transport.shaking = True


class _Handshake:
    # Every read and write takes it forward; the first bytes written are its end.

    def __init__(self, transport, sock):
        self._transport = transport
        self._sock = sock
        self._stream = transport.sock

    def readinto(self, buf):
        try:
            return self._stream.readinto(buf)
        except (OSError, ValueError) as e:
            raise self._explained(e)

    def write(self, buf, offset, size):
        try:
            n = self._stream.write(buf, offset, size)
        except (OSError, ValueError) as e:
            raise self._explained(e)
        if n:
            self._transport.readinto = self._stream.readinto
            self._transport.write = self._stream.write
            self._transport.shaking = False
        return n

    def _explained(self, e):
        # The failed handshake as an OSError that says what to do.
        self._sock.close()  # MicroPython leaves it open when a handshake has failed
        words = "TLS: %s" % (e.args[-1] if e.args else e)
        year = time.gmtime()[0]
        if year < 2024:
            words += "; the clock says %d, so no certificate is valid: set it first (NTP)" % year
        return OSError(e.errno if isinstance(e, OSError) else None, words)
