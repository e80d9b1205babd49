/* The limits of this room, each with its reason. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include <stddef.h>

enum {
    POLICY_TEXT_MAX = 4 << 20,       /* bytes of the file with what it names, lists apart */
    POLICY_LIST_BYTES_MAX = 64 << 20,/* bytes of one list's file; larger ones are tables' work */
    POLICY_ARENA_MAX = 512 << 20,
    POLICY_ERRORS_MAX = 10,          /* told in one run */
    POLICY_RULES_MAX = 10000,
    POLICY_RUNGS_MAX = 16,           /* on one ladder */
    POLICY_DEPTH_MAX = 32,           /* parentheses within parentheses */
    POLICY_STRING_MAX = 1024,
    POLICY_LADDER_TEXT_MAX = 2048,   /* a ladder printed, as it is stored with a delivery */
    POLICY_NAME_MAX = 64,
};
