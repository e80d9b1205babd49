/* The limits of this room, each with its reason. */
/* SPDX-License-Identifier: ISC */
#pragma once

enum {
    /* RFC 5321 section 4.5.3.1: domain 255, path 256 with its brackets. */
    ADDRESS_DOMAIN_MAX = 255,
    ADDRESS_PATH_MAX = 254,
    /* The RFC says 64 and asks not to insist: senders of newsletters put the recipient's address
     * into their own ("bounce-17-ann.somebody=clinic.example@…") and go beyond. So the path's limit
     * is the local part's, less an "@" and one byte of domain. */
    ADDRESS_LOCAL_MAX = 252,
    /* A line of a message, CRLF not counted. RFC 5322 says 998; long unfolded References and HTML
     * bodies of 8 KiB and more are real. Passed byte for byte up to here, refused beyond, on every
     * listener alike. */
    MESSAGE_LINE_MAX = 65535,
    /* Bytes of a message's header section, and fields in it (CVE-2020-28020 and kin). */
    MESSAGE_HEADER_MAX = 262144,
    MESSAGE_HEADER_FIELDS_MAX = 2000,
    /* Received fields beyond which a message is going in circles (RFC 5321 section 6.3). */
    MESSAGE_HOPS_MAX = 50,
    /* Of them our own: a message that goes out, through a list and in again comes by us twice, and
     * each further forwarder adds one. Two forwarders that write to each other stop here. */
    MESSAGE_OWN_HOPS_MAX = 8,
    /* What is kept of a Received field to look for our own name: even in one of ours with a
     * client's name of 255 bytes, each escaped, it stands before that. */
    MESSAGE_RECEIVED_MAX = 1024,
    /* A decoded header text that rules look at, of several fields together too; what is longer is
     * cut, never refused. */
    HEADER_TEXT_MAX = 16384,
    /* Bytes of a field's value that are read for it: encoded words take some four for one. */
    HEADER_TEXT_SOURCE_MAX = 65536,
    /* RFC 5322 section 2.1.1, CRLF not counted: where our own lines fold, and where they must end.
     */
    HEADER_FOLD_COLUMN = 78,
    HEADER_LINE_MAX = 998,
    /* A peer's reply in a report, escaped. With its field's name it fits in a line even when there
     * is no blank to fold it at. */
    DSN_REPLY_MAX = 900,
};
