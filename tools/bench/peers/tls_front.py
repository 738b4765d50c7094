#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Speaks TLS in front of the primary, which knows none (Knot DNS 3.2): decrypts, hands on, encrypts.

    tls_front.py ADDRESS PORT CERTIFICATE KEY       until SIGTERM; what is asked there goes to port 53 of ADDRESS
"""

from __future__ import annotations

import select
import socket
import ssl
import sys
import threading
from contextlib import suppress

AT_ONCE = 1 << 17


def carry(client: ssl.SSLSocket, server: socket.socket) -> None:
    """Both ways in one thread, since a TLS connection belongs to one."""
    while True:
        ready = [client] if client.pending() else select.select([client, server], [], [])[0]
        for source in ready:
            data = source.recv(AT_ONCE)
            if not data:
                return
            (server if source is client else client).sendall(data)


def serve(context: ssl.SSLContext, connection: socket.socket, address: str) -> None:
    with suppress(OSError), connection, socket.create_connection((address, 53)) as server:
        with context.wrap_socket(connection, server_side=True) as client:
            carry(client, server)


def main(address: str, port: int, certificate: str, key: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["dot"])
    context.load_cert_chain(certificate, key)
    with socket.create_server((address, port), backlog=64) as listener:
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=serve, args=(context, connection, address), daemon=True).start()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4])
