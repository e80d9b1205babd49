# SPDX-License-Identifier: ISC
"""Certificates of every wrong kind, by the openssl command: dates, names, keys and signatures as told."""

import subprocess

CONFIGURATION = """\
[ca]
default_ca = own
[own]
database = {folder}/index
serial = {folder}/serial
new_certs_dir = {folder}
certificate = {signer}
private_key = {signer_key}
default_md = sha256
policy = any
unique_subject = no
copy_extensions = none
[any]
commonName = optional
[extensions]
{extensions}
"""
LEAF = "basicConstraints=critical,CA:FALSE\nextendedKeyUsage={usage}\n{names}"
AUTHORITY = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n"


def _openssl(*arguments):
    result = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True)
    if result.returncode != 0:
        raise RuntimeError(f"openssl {arguments[0]}: {result.stderr.strip()}")


class OddAuthority:
    """Issues what `Authority` never would, under the same root."""

    def __init__(self, authority, folder):
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.root = authority.certificate, authority._key
        self._key = folder / "leaf.key"
        _openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", self._key)
        self._number = 0

    def issue(self, label, names="", common_name="mx", start="20200101000000Z", end="20990101000000Z", key=None,
              digest="sha256", signer=None, usage="serverAuth", extensions=None, chain=()):
        """(certificate path, key path). `names` is the subjectAltName's value as openssl writes it."""
        signer = signer or self.root
        key = key or self._key
        self._number += 1
        base = self.folder / f"{self._number}-{label}"
        base.mkdir()
        (base / "index").touch()
        (base / "serial").write_text(f"{self._number + 0x1000:x}\n")
        if extensions is None:
            extensions = LEAF.format(names=f"subjectAltName={names}\n" if names else "", usage=usage)
        (base / "conf").write_text(CONFIGURATION.format(folder=base, signer=signer[0], signer_key=signer[1],
                                                        extensions=extensions))
        _openssl("req", "-new", "-key", key, "-subj", f"/CN={common_name}", "-out", base / "request")
        _openssl("ca", "-batch", "-notext", "-config", base / "conf", "-extensions", "extensions", "-md", digest,
                 "-startdate", start, "-enddate", end, "-in", base / "request", "-out", base / "certificate.pem")
        with open(base / "certificate.pem", "a") as file:
            for other in chain:
                file.write(open(other).read())
        return base / "certificate.pem", key

    def intermediate(self, **options):
        return self.issue("intermediate", common_name="Laboratory Intermediate", extensions=AUTHORITY, **options)

    def rsa(self, bits):
        key = self.folder / f"rsa{bits}.key"
        _openssl("genrsa", "-out", key, bits)
        return key

    def stranger(self):
        """A root that nobody trusts."""
        certificate, key = self.folder / "stranger.pem", self.folder / "stranger.key"
        _openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key,
                 "-out", certificate, "-days", "3650", "-subj", "/CN=Laboratory Root")
        return certificate, key
