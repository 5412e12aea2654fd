# TLS: the context to use and the socket wrapped in it. Loaded only where TLS is asked for.

import sys
import time

_MICROPYTHON = sys.implementation.name == "micropython"


def context(ssl, ssl_params):
    """An SSLContext out of what the caller gave: ssl=SSLContext, or ssl=True with, in ssl_params, cadata (bytes, DER
    on MicroPython; on CPython the system's roots without it), or cert_reqs=CERT_NONE, said explicitly; key and cert
    (on MicroPython DER bytes, on CPython file names) for a client certificate."""
    if hasattr(ssl, "wrap_socket"):
        return ssl
    for name in ssl_params:
        if name not in ("server_hostname", "cadata", "cert_reqs", "key", "cert"):
            raise ValueError("ssl_params: unknown key %r" % name)
    unverified = ssl_params.get("cert_reqs", 2) == 0
    cadata = ssl_params.get("cadata")
    if _MICROPYTHON:
        import tls

        if not cadata and not unverified:
            raise ValueError("ssl=True: MicroPython has no root certificates: pass an SSLContext, or cadata (a CA in DER)")
        made = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
        if unverified:
            made.verify_mode = tls.CERT_NONE
        else:
            made.load_verify_locations(cadata)
    else:
        import ssl as tls

        made = tls.create_default_context(cadata=cadata)
        if unverified:
            made.check_hostname = False
            made.verify_mode = tls.CERT_NONE
    if "cert" in ssl_params:
        made.load_cert_chain(ssl_params["cert"], ssl_params.get("key"))
    return made


def wrap(sock, made, ssl_params, host):
    # The certificate must be for this name. The handshake follows with the first write, so it never blocks.
    return made.wrap_socket(
        sock, server_hostname=ssl_params.get("server_hostname", host), do_handshake_on_connect=False
    )


def explain(e):
    # The failed handshake as an OSError that says what to do.
    words = "TLS: %s" % (e.args[-1] if e.args else e)
    year = time.gmtime()[0]
    if year < 2024:
        words += "; the clock says %d, so no certificate is valid: set it first (NTP)" % year
    return OSError(e.args[0] if isinstance(e, OSError) and e.args else None, words)
