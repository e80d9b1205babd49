# SPDX-License-Identifier: ISC
"""An SMTP client that says exactly what it is told, octet for octet."""

import socket
import ssl


class Client:
    def __init__(self, port, address="127.0.0.1", source=None, timeout=30, tls_at_once=None):
        self.socket = socket.create_connection((address, port), timeout, (source, 0) if source else None)
        self.buffer = b""
        if tls_at_once is not None:
            self.wrap(tls_at_once)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        try:
            self.socket.close()
        except OSError:
            pass

    def wrap(self, certificate=None):
        """TLS now, whatever the certificate; `certificate`: (certificate, key) of ours, or ()."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if certificate:
            context.load_cert_chain(*certificate)
        self.socket = context.wrap_socket(self.socket, server_hostname="mx.clinic.example")
        return self

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode("latin-1"))

    def read_line(self):
        while b"\r\n" not in self.buffer:
            data = self.socket.recv(65536)
            if not data:
                raise EOFError(f"closed by the server, unread: {self.buffer!r}")
            self.buffer += data
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line.decode("latin-1")

    def reply(self):
        """One reply, lines joined by \\n."""
        lines = [self.read_line()]
        while lines[-1][3:4] == "-":
            lines.append(self.read_line())
        return "\n".join(lines)

    def ask(self, command):
        self.send(command + ("" if command.endswith("\n") else "\r\n"))
        return self.reply()

    def hello(self, name="client.example", certificate=None, tls=False):
        """Greeting and EHLO; STARTTLS and EHLO again where asked. The last EHLO's reply."""
        self.reply()
        answer = self.ask(f"EHLO {name}")
        if tls or certificate:
            assert self.ask("STARTTLS").startswith("220")
            self.wrap(certificate)
            answer = self.ask(f"EHLO {name}")
        return answer

    def is_closed(self, seconds=10):
        """Does the server close, without another reply? What it still said is in .buffer."""
        self.socket.settimeout(seconds)
        try:
            while True:
                data = self.socket.recv(65536)
                if not data:
                    return True
                self.buffer += data
        except (ConnectionError, ssl.SSLError):
            return True
        except TimeoutError:
            return False

    def envelope(self, sender, *recipients, parameters=""):
        assert self.ask(f"MAIL FROM:<{sender}>{parameters}").startswith("250")
        for recipient in recipients:
            answer = self.ask(f"RCPT TO:<{recipient}>")
            assert answer.startswith("250"), answer

    def data(self, text):
        """DATA with these octets (dot-stuffed here); the reply to the final dot."""
        assert self.ask("DATA").startswith("354")
        octets = text if isinstance(text, bytes) else text.encode("latin-1")
        stuffed = octets.replace(b"\r\n.", b"\r\n..")
        if stuffed.startswith(b"."):
            stuffed = b"." + stuffed
        self.send(stuffed + (b"" if stuffed.endswith(b"\r\n") or not stuffed else b"\r\n") + b".\r\n")
        return self.reply()

    def chunks(self, text, size=None):
        """The same by BDAT, in chunks of this size (all in one where none is given); the last reply."""
        pieces = [text[at:at + size] for at in range(0, len(text), size)] if size and text else [text]
        for number, piece in enumerate(pieces, 1):
            self.send(f"BDAT {len(piece)}{' LAST' if number == len(pieces) else ''}\r\n".encode() + piece)
            answer = self.reply()
            if not answer.startswith("250"):
                break
        return answer
