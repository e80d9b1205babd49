# SPDX-License-Identifier: ISC
"""Certificates of the small internet, made by the openssl command when they are needed."""

import subprocess
from pathlib import Path


def _openssl(*arguments, **options):
    result = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, **options)
    if result.returncode != 0:
        raise RuntimeError(f"openssl {arguments[0]}: {result.stderr.strip()}")
    return result.stdout


class Authority:
    """A certificate authority in a folder of its own."""

    def __init__(self, folder, name="Laboratory Root"):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.certificate = self.folder / "root.pem"
        self._key = self.folder / "root.key"
        if not self.certificate.exists():
            _openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                     "-keyout", self._key, "-out", self.certificate, "-days", "3650",
                     "-subj", f"/CN={name}",
                     "-addext", "basicConstraints=critical,CA:TRUE",
                     "-addext", "keyUsage=critical,keyCertSign,cRLSign")

    def issue(self, *names, days=365, rsa_bits=0, self_signed=False, label=None):
        """A key and a certificate for these DNS names: (certificate path, key path)."""
        label = label or names[0] + ("-self" if self_signed else "") + (f"-rsa{rsa_bits}" if rsa_bits else "")
        certificate, key = self.folder / f"{label}.pem", self.folder / f"{label}.key"
        if certificate.exists():
            return certificate, key
        if rsa_bits:
            _openssl("genrsa", "-out", key, rsa_bits)
        else:
            _openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key)
        key.chmod(0o600)
        alternative = ",".join(f"DNS:{name}" for name in names)
        extensions = self.folder / f"{label}.ext"
        extensions.write_text(f"subjectAltName={alternative}\nbasicConstraints=critical,CA:FALSE\n"
                              "extendedKeyUsage=serverAuth,clientAuth\n")
        request = self.folder / f"{label}.csr"
        _openssl("req", "-new", "-key", key, "-out", request, "-subj", f"/CN={names[0]}")
        signer = ["-signkey", key] if self_signed else [
            "-CA", self.certificate, "-CAkey", self._key, "-CAcreateserial"]
        _openssl("x509", "-req", "-in", request, "-out", certificate, "-days", days,
                 "-extfile", extensions, *signer)
        request.unlink()
        extensions.unlink()
        return certificate, key


def fingerprint(certificate):
    """SHA-256 of the certificate, lower-case hex, as policies write it."""
    text = _openssl("x509", "-in", certificate, "-noout", "-fingerprint", "-sha256")
    return text.strip().split("=", 1)[1].replace(":", "").lower()
