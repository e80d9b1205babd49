/* Bytes that must not be guessed by time nor found afterwards. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Takes the same time whatever the bytes are. */
bool secret_equal(const void *a, const void *b, size_t len);
/* Not optimised away. */
void secret_wipe(void *bytes, size_t len);
