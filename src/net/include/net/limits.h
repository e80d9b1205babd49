/* The limits of this room, each with its reason. */
/* SPDX-License-Identifier: ISC */
#pragma once

enum {
    /* One line on any stream, CRLF not counted. RFC 5321 asks for 512 (commands) and 1,000 (text);
     * RFC 5322 lines in the wild are longer. Text lines of a message do not pass through here. */
    STREAM_LINE_MAX = 8192,
    STREAM_READ_BUFFER = 16384,
    STREAM_WRITE_BUFFER = 16384,
    /* Addresses of one host, hosts of one domain: more are cut, the best preferences kept. */
    RESOLVER_HOSTS_MAX = 32,
    RESOLVER_ADDRESSES_MAX = 16,
    /* All certificates of a peer together: real chains have under 10 KiB. */
    TLS_CHAIN_BYTES_MAX = 102400,
};
