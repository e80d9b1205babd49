/* The client with times of one's own, for tests. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "keys/keeper.h"

enum {
    KEEPER_AGAIN_MS = 2000, /* a request is repeated: the keeper that had it may be gone */
    KEEPER_STOCKS_MAX = 64, /* organisations and days that pairs are kept for: 1.2 MB at most */
};
struct keeper *keeper_connect_with(int socket, const struct entropy *entropy, int answer_ms,
                                   int again_ms);
