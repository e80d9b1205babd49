/* The limits of this room, each with its reason. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "policy/limits.h"

enum {
    BUNDLE_FILES_MAX = 1024,      /* files that one policy names */
    BUNDLE_BYTES_MAX = 256 << 20, /* policy, lists, certificates, roots together */
    SECRET_KEY_FILE_MAX = 65536,  /* a private key in PEM */
    SECRET_PASSPHRASE_MAX = 1024,
    SECRETS_BYTES_MAX = 1 << 18,
    LISTENERS_MAX = POLICY_LISTENERS_MAX, /* descriptors handed to receive */
    LISTEN_BACKLOG = 1024,
    STATE_PATH_MAX = 1024,
    RESTART_FIRST_MS = 100,      /* after a role's death; doubled each time … */
    RESTART_LONGEST_MS = 30000,  /* … up to here */
    RESTART_FORGIVEN_MS = 60000, /* a role that lived so long begins anew */
    STOP_GRACE_MS = 10000,       /* for what a role has in hand */
    STOP_KILL_MS = 3000,         /* more, before a role that does not end is killed */
    CONTROL_THREADS = 4,         /* administrators at once */
    CONTROL_REQUEST_MS = 5000,   /* to say what one wants */
    CONTROL_REPLY_MS = 60000,    /* to read the answer */
    CONTROL_ARENA_MAX = 64 << 20,
    CONTROL_LIST_PAGE = 200,  /* deliveries read from the store at once */
    CONTROL_LIST_MAX = 10000, /* deliveries that one `queue list` shows */
    CONTROL_DESTINATIONS_MAX = 1000,
    CONTROL_LATEST_DEFAULT = 20, /* messages that `deliveries` tells of */
    CONTROL_LATEST_MAX = 1000,
    FALLBACK_ID = 61000, /* numeric users where the names do not exist; group too */
};
