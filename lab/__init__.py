# SPDX-License-Identifier: ISC
"""A small internet on loopback: name server, certificates, real and scripted mail servers, and the
gateway in the middle. `make run` shows it, the journey tests use it."""
