"""A certificate for tests of TLS, for `localhost` and 127.0.0.1, signed by itself, valid for a hundred years.

Its key is public by being here: it protects nothing.
"""

from __future__ import annotations

import ssl
import tempfile

__all__ = ["CERTIFICATE", "client_context", "server_context"]

KEY = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQga5CFv59waAz3mzPO
aH/vvS8RQQGt6dya7bJBVfn5SFChRANCAATXla3NZEn/guMO/t12Bv59XGzjbPUE
AHd3BLOmBwisSVtOCxKTL57ZdKVSruwjA/D1UKYkes62R3Q2WiCe6nFL
-----END PRIVATE KEY-----
"""
CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIIBmzCCAUGgAwIBAgIUaey9ftzrdoXhYJx1Qdk6AiZ9rCMwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyOTEyMDkyNVoYDzIxMjYxMTA1
MTIwOTI1WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAATXla3NZEn/guMO/t12Bv59XGzjbPUEAHd3BLOmBwisSVtOCxKTL57Z
dKVSruwjA/D1UKYkes62R3Q2WiCe6nFLo28wbTAdBgNVHQ4EFgQUgBf3ijPnhm2u
fleyzyFO3caDDvkwHwYDVR0jBBgwFoAUgBf3ijPnhm2ufleyzyFO3caDDvkwDwYD
VR0TAQH/BAUwAwEB/zAaBgNVHREEEzARgglsb2NhbGhvc3SHBH8AAAEwCgYIKoZI
zj0EAwIDSAAwRQIgSTsK2C2Yj2zadPx5J9I61ETgQI7IfqiPv76OaJ8Xo+gCIQD1
7fvpxrymkhdRW5aNPnjlCVP3uS6XTbGFYbCVdwaOGQ==
-----END CERTIFICATE-----
"""


def server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:  # it is only ever read from a file
        file.write(KEY + CERTIFICATE)
        file.flush()
        context.load_cert_chain(file.name)
    return context


def client_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=CERTIFICATE)
    return context
