# SPDX-License-Identifier: ISC
"""A proxy for TCP connections that records every octet of both directions, as a listener on the wire would."""

import contextlib
import socket
import threading


class RecordingProxy:
    """Listens on one address and port and passes everything on to another. `recorded` is what it saw, in all
    connections; `connections` how many there were."""

    def __init__(self, address, port, to_address, to_port):
        self.address, self.port, self._to = address, port, (to_address, to_port)
        self.recorded, self.connections = bytearray(), 0
        self._lock, self._sockets, self._stopping = threading.Lock(), [], False

    def start(self):
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind((self.address, self.port))
        self.port = self._listener.getsockname()[1]
        self._listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def stop(self):
        self._stopping = True
        with self._lock:
            for end in [self._listener, *self._sockets]:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
                end.close()

    def _accept(self):
        while not self._stopping:
            try:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._to, 30)
            except OSError:
                continue
            server.settimeout(None)
            with self._lock:
                self.connections += 1
                self._sockets += [client, server]
            for source, target in ((client, server), (server, client)):
                threading.Thread(target=self._pass_on, args=(source, target), daemon=True).start()

    def _pass_on(self, source, target):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                with self._lock:
                    self.recorded += data
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
