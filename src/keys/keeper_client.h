/* The client with times of one's own, for tests. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "keys/keeper.h"

struct keeper *keeper_connect_with(int socket, const struct entropy *entropy, int answer_ms,
                                   int again_ms);
