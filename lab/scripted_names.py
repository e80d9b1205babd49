# SPDX-License-Identifier: ISC
"""A scripted name server (unsigned): answers as told, and can fail in every way that counts as unknown."""

import socket
import socketserver
import struct
import threading

import dns.flags
import dns.message
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

FAILURES = {"SERVFAIL": dns.rcode.SERVFAIL, "REFUSED": dns.rcode.REFUSED, "NOTIMP": dns.rcode.NOTIMP}


class ScriptedNames:
    """`records`: {("partner.example", "MX"): ["10 mx.partner.example."], …}. A value may also be "TIMEOUT",
    "SERVFAIL", "REFUSED", "NOTIMP". A name without any record is NXDOMAIN, with others NODATA."""

    def __init__(self, address="127.0.0.1", port=0):
        self.records, self.questions, self.lock = {}, [], threading.Lock()
        socketserver.TCPServer.allow_reuse_address = True
        self._udp, self._tcp = self._bind(address, port)
        self.address, self.port = self._udp.server_address
        for server in (self._udp, self._tcp):
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def _bind(self, address, port, attempts=20):
        """The same port by UDP and TCP: one that is free for both."""
        udp = socketserver.ThreadingUDPServer((address, port), self._handler(False))
        try:
            return udp, socketserver.ThreadingTCPServer(udp.server_address, self._handler(True))
        except OSError:
            udp.server_close()
            if port != 0 or attempts == 0:
                raise
            return self._bind(address, port, attempts - 1)

    def set(self, name, kind, *values):
        with self.lock:
            self.records[(name.rstrip(".").lower(), kind)] = values[0] if values and values[0] in (
                "TIMEOUT", *FAILURES) else list(values)

    def remove(self, name, kind):
        with self.lock:
            self.records.pop((name.rstrip(".").lower(), kind), None)

    def asked(self, name, kind):
        with self.lock:
            return self.questions.count((name.rstrip(".").lower(), kind))

    def stop(self):
        for server in (self._udp, self._tcp):
            server.shutdown()
            server.server_close()

    def _answer(self, data):
        query = dns.message.from_wire(data)
        question = query.question[0]
        name = question.name.to_text().rstrip(".").lower()
        kind = dns.rdatatype.to_text(question.rdtype)
        response = dns.message.make_response(query, recursion_available=True)
        response.flags |= dns.flags.AA
        with self.lock:
            self.questions.append((name, kind))
            for _ in range(9):
                value = self.records.get((name, kind))
                alias = self.records.get((name, "CNAME"))
                if value is not None or alias is None or kind == "CNAME":
                    break
                response.answer.append(dns.rrset.from_text(name + ".", 1, "IN", "CNAME", *alias))
                name = alias[0].rstrip(".").lower()
            exists = any(owner == name or owner.endswith("." + name) for owner, _ in self.records)
        if value == "TIMEOUT":
            return None
        if isinstance(value, str):
            response.set_rcode(FAILURES[value])
        elif value:
            response.answer.append(dns.rrset.from_text(name + ".", 1, "IN", kind, *value))
        else:
            if not exists:
                response.set_rcode(dns.rcode.NXDOMAIN)
            response.authority.append(dns.rrset.from_text(
                "example.", 1, "IN", "SOA", "ns.example. hostmaster.example. 1 3600 600 86400 1"))
        return response.to_wire()

    def _handler(self, is_tcp):
        names = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                try:
                    if not is_tcp:
                        answer = names._answer(self.request[0])
                        if answer:
                            self.request[1].sendto(answer, self.client_address)
                        return
                    length = struct.unpack("!H", self.request.recv(2))[0]
                    answer = names._answer(self.request.recv(length))
                    if answer:
                        self.request.sendall(struct.pack("!H", len(answer)) + answer)
                except (OSError, struct.error, socket.error):
                    pass

        return Handler
