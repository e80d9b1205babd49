/* The limits of this room, each with its reason. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include <stddef.h>

enum {
    POLICY_TEXT_MAX = 4 << 20,        /* bytes of the file with what it names, lists apart */
    POLICY_LIST_BYTES_MAX = 64 << 20, /* bytes of one list's file; larger ones are tables' work */
    POLICY_PEM_MAX = 4 << 20,         /* of certificates, roots, trust anchors */
    POLICY_ARENA_MAX = 512 << 20,
    POLICY_ERRORS_MAX = 10,    /* told in one run */
    POLICY_WARNINGS_MAX = 100, /* the same */
    POLICY_RULES_MAX = 10000,
    POLICY_LISTENERS_MAX = 64, /* each is a descriptor handed to receive */
    POLICY_RUNGS_MAX = 16,     /* on one ladder */
    POLICY_DEPTH_MAX = 32,     /* parentheses within parentheses */
    POLICY_STRING_MAX = 1024,
    POLICY_LADDER_TEXT_MAX = 2048, /* a ladder printed, as it is stored with a delivery */
    POLICY_NAME_MAX = 64,          /* of a list or a ladder */
    POLICY_TITLE_MAX = 200,        /* of a rule: as much as a log line shows */
    POLICY_ORGANISATION_MAX = 128, /* its name: no longer than the keeper takes for its keys */
    POLICY_WORDS_MAX = 1000,       /* in a list that a subject is searched for: each is a search */
    POLICY_NAMED_MAX = 8,          /* host names that one rung accepts */
    POLICY_DURATION_DAYS_MAX = 366,
    POLICY_MESSAGE_MAX = 1 << 30, /* bytes; `largest message` goes no higher */
    POLICY_MESSAGE_MIN = 65536,   /* RFC 5321 section 4.5.3.1.7 asks for as much */
    POLICY_MESSAGE_DEFAULT = 50 << 20,
    POLICY_THROUGH_MAX = 1024, /* bytes of the fact `through` */
};
