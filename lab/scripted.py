# SPDX-License-Identifier: ISC
"""A scripted SMTP or LMTP server: answers as told, records every octet, and can misbehave in each state."""

import socket
import ssl
import threading
import time


class Message:
    def __init__(self, sender, recipients, data, tls, mail_line):
        self.sender, self.recipients, self.data, self.tls, self.mail_line = sender, recipients, data, tls, mail_line


class ScriptedServer:
    """Override the on_… methods, or give `answers`: {"MAIL": "451 4.7.1 later", …} by verb; a value may be
    a list (one for each time, the last one stays) or a function of (server, session, line). Bytes go out as
    they are; "CLOSE" closes, "SILENCE" says nothing."""

    def __init__(self, address, port, certificate=None, key=None, answers=None, lmtp=False,
                 extensions=("PIPELINING", "8BITMIME", "SIZE 60000000", "ENHANCEDSTATUSCODES", "CHUNKING"),
                 context=None):
        self.address, self.port, self.lmtp = address, port, lmtp
        self.extensions = list(extensions)
        self.answers = dict(answers or {})
        self.messages, self.sessions = [], []
        self.lock = threading.Lock()
        self._counts = {}
        self.context = context
        if certificate and not context:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(certificate, key)
        self._listener = None
        self._stopping = False

    def start(self):
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind((self.address, self.port))
        self.port = self._listener.getsockname()[1]
        self._listener.listen(128)
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def _accept(self):
        while not self._stopping:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            session = Session(self, connection)
            with self.lock:
                self.sessions.append(session)
            threading.Thread(target=session.run, daemon=True).start()

    def stop(self):
        self._stopping = True
        if self._listener:
            try:
                self._listener.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            self._listener.close()
        for session in self.sessions:
            session.close()

    def answer(self, verb, session, line, usual):
        """The scripted answer to a verb, or the usual one."""
        scripted = self.answers.get(verb)
        if isinstance(scripted, list):
            with self.lock:
                count = self._counts.get(verb, 0)
                self._counts[verb] = count + 1
            scripted = scripted[min(count, len(scripted) - 1)]
        if callable(scripted):
            scripted = scripted(self, session, line)
        return usual if scripted is None else scripted

    def wait_for(self, count, seconds=30):
        """Until that many messages have come; the messages."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            with self.lock:
                if len(self.messages) >= count:
                    return list(self.messages)
            time.sleep(0.02)
        raise AssertionError(f"{len(self.messages)} of {count} messages came to {self.address} in {seconds} s")


class Session:
    """One connection, straight down. `clear` holds what the client said before TLS, `sealed` after."""

    def __init__(self, server, connection):
        self.server, self.connection = server, connection
        self.tls = None
        self.clear, self.sealed = bytearray(), bytearray()
        self.buffer = b""
        self.sender, self.recipients, self.mail_line, self.chunks = None, [], "", b""
        self.lines = []

    def close(self):
        try:
            self.connection.close()
        except OSError:
            pass

    def send(self, text):
        data = text if isinstance(text, bytes) else "".join(f"{line}\r\n" for line in text.split("\n")).encode()
        self.connection.sendall(data)

    def receive(self):
        data = self.connection.recv(65536)
        (self.sealed if self.tls else self.clear).extend(data)
        if not data:
            raise EOFError
        self.buffer += data

    def read_line(self):
        while b"\r\n" not in self.buffer:
            self.receive()
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line.decode("latin-1")

    def read_exactly(self, size):
        while len(self.buffer) < size:
            self.receive()
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    def read_data(self):
        while True:
            if self.buffer.startswith(b".\r\n"):
                text, self.buffer = b"", self.buffer[3:]
                break
            if b"\r\n.\r\n" in self.buffer:
                text, self.buffer = self.buffer.split(b"\r\n.\r\n", 1)
                text += b"\r\n"
                break
            self.receive()
        return b"\r\n".join(line[1:] if line.startswith(b".") else line for line in text.split(b"\r\n"))

    def run(self):
        try:
            greeting = self.reply("GREETING", "", f"220 {self.server.address} scripted")
            if greeting is None or self.server._stopping:
                return
            while True:
                line = self.read_line()
                self.lines.append(line)
                verb = line.split(" ", 1)[0].upper()
                if self.command(verb, line) is False:
                    return
        except (EOFError, OSError, ValueError):
            pass
        finally:
            self.close()

    def reply(self, verb, line, usual):
        """Sends the answer; False when it says CLOSE (or is a lie about the connection)."""
        return self.deliver_answer(self.server.answer(verb, self, line, usual))

    def deliver_answer(self, answer):
        if answer == "CLOSE":
            return None
        if answer == "SILENCE":
            time.sleep(600)
            return None
        self.send(answer)
        first = answer if isinstance(answer, str) else answer.decode("latin-1")
        return first

    def command(self, verb, line):
        if verb in ("EHLO", "LHLO"):
            extensions = list(self.server.extensions)
            if self.server.context and not self.tls:
                extensions.append("STARTTLS")
            usual = "\n".join([f"250-{self.server.address}"] * bool(extensions)
                              + [f"250-{name}" for name in extensions[:-1]]
                              + [f"250 {name}" for name in extensions[-1:]]) or "250 hello"
            return self.reply(verb, line, usual) is not None
        if verb == "STARTTLS":
            answer = self.reply(verb, line, "220 go")
            if answer is None:
                return False
            if answer.startswith("220"):
                self.connection = self.server.context.wrap_socket(self.connection, server_side=True)
                self.tls = self.connection.version()
                self.buffer = b""
            return True
        if verb == "MAIL":
            answer = self.reply(verb, line, "250 2.1.0 ok")
            if answer is not None and answer.startswith("2"):
                self.sender, self.recipients, self.chunks = line.split("<", 1)[1].split(">", 1)[0], [], b""
                self.mail_line = line
            return answer is not None
        if verb == "RCPT":
            usual = "250 2.1.5 ok" if self.sender is not None else "503 5.5.1 MAIL first"
            answer = self.reply(verb, line, usual)
            if answer is not None and answer.startswith("2"):
                self.recipients.append(line.split("<", 1)[1].rsplit(">", 1)[0])
            return answer is not None
        if verb == "DATA":
            if not self.recipients:
                return self.reply("DATA-REFUSED", line, "554 5.5.1 no valid recipients") is not None
            answer = self.reply(verb, line, "354 go")
            if answer is None:
                return False
            if answer.startswith("354"):
                return self.finish(self.read_data())
            return True
        if verb == "BDAT":
            parts = line.split()
            chunk = self.read_exactly(int(parts[1]))
            if not self.recipients:
                return self.reply("BDAT-REFUSED", line, "554 5.5.1 no valid recipients") is not None
            self.chunks += chunk
            if len(parts) > 2 and parts[2].upper() == "LAST":
                return self.finish(self.chunks)
            return self.reply(verb, line, "250 2.0.0 chunk") is not None
        if verb == "RSET":
            self.sender, self.recipients, self.chunks = None, [], b""
            return self.reply(verb, line, "250 2.0.0 ok") is not None
        if verb == "QUIT":
            self.reply(verb, line, "221 2.0.0 bye")
            return False
        return self.reply(verb, line, "250 2.0.0 ok" if verb == "NOOP" else "502 5.5.1 what?") is not None

    def finish(self, data):
        message = Message(self.sender, list(self.recipients), data, self.tls, self.mail_line)
        recipients, self.sender, self.recipients, self.chunks = self.recipients, None, [], b""
        if not self.server.lmtp:
            # Kept before the answer goes out: a test that sees the delivery sees the message.
            answer = self.server.answer("END", self, "", "250 2.0.0 taken")
            if isinstance(answer, str) and answer.startswith("2"):
                with self.server.lock:
                    self.server.messages.append(message)
            return self.deliver_answer(answer) is not None
        answers = [self.server.answer("END", self, recipient, "250 2.1.5 taken") for recipient in recipients]
        taken = [who for who, answer in zip(recipients, answers) if answer.startswith("2")]
        if taken:
            message.recipients = taken
            with self.server.lock:
                self.server.messages.append(message)
        for answer in answers:
            if answer == "CLOSE":
                return False
            self.send(answer)
        return True


def main():
    """python3 -m lab.scripted ADDRESS PORT [lmtp] [CERTIFICATE KEY]: a well-behaved one, as a process of its own."""
    import sys

    words = [word for word in sys.argv[3:] if word != "lmtp"]
    ScriptedServer(sys.argv[1], int(sys.argv[2]), *words, lmtp="lmtp" in sys.argv[3:]).start()
    threading.Event().wait()


if __name__ == "__main__":
    main()
