/* The roles of the gateway, and what the supervisor hands to each. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "base/clock.h"
#include "base/error.h"
#include "base/scoped.h"
#include "limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* In the order of their start. */
enum role { ROLE_KEEPER, ROLE_CONTROL, ROLE_DELIVER, ROLE_RECEIVE, ROLE_COUNT };
const char *role_name(enum role role);

/* Where a role finds what it was handed. What a role does not get is /dev/null. */
enum {
    FD_LINK = 3,  /* to the supervisor: SOCK_SEQPACKET, struct link_message */
    FD_ARGUMENTS, /* memfd: struct role_arguments */
    FD_BUNDLE,    /* memfd: the policy and all that it names */
    FD_SHARED,    /* memfd: store_shared */
    FD_HANDOVER,  /* memfd: handover */
    FD_KEEPER,    /* to the keeper */
    FD_PEERS,     /* keeper alone: from its siblings, in the order of enum keeper_peer … */
    FD_SECRETS = FD_PEERS + 3, /* keeper alone: memfd, see secrets.h */
    FD_CONTROL,                /* control alone: the listening unix socket */
    FD_BOARD,                  /* control alone: memfd, struct board, read only */
    FD_LISTENERS,              /* receive alone: as many as there are listeners */
};

enum { ROLE_ARGUMENTS_VERSION = 1 };
struct role_arguments {
    uint32_t version;
    uint32_t role;
    uint32_t owner_uid;   /* beside root, who may use the control socket */
    uint32_t is_first;    /* the gateway starts; else a role that died is started again */
    uint32_t least_level; /* enum log_level */
    uint32_t listener_count;
    uint32_t may_create_keys; /* the store was empty: nothing is sealed yet */
    char state_directory[STATE_PATH_MAX];
};

/* From the supervisor. No byte is ever said back to it: the keeper shuts its half of the link down
 * when it is ready, and that is all. */
enum link_kind {
    LINK_STOP = 1,       /* end within .grace_ms; the end of the link means the same */
    LINK_POLICY,         /* with a descriptor: a new bundle */
    LINK_POLICY_REFUSED, /* a reload failed with .errors, the first in .line (0: not of the file) */
};
struct link_message {
    uint32_t kind;
    uint32_t grace_ms;
    uint32_t errors;
    uint32_t line;
};

/* What the supervisor knows of its children, for `letterlock status`. Written by it alone; a reader
 * may see a row that is half new, and believes nothing of weight. */
struct board {
    int32_t supervisor;
    int64_t started_at_ms;
    struct {
        int32_t pid; /* 0: not running */
        uint32_t restarts;
        int32_t last_signal; /* of the last death; 0: none */
        int64_t started_at_ms;
    } roles[ROLE_COUNT];
};

/* How a role ends when trying again cannot help (a wrong master key, another schema). */
enum { ROLE_EXIT_HOPELESS = 78 };

/* The whole life of a role's process; the name came on the command line. */
int role_main(const char *name);
