/* File descriptors with an owner and an end. All are close-on-exec. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "base/arena.h"
#include "base/error.h"
#include "base/span.h"

#include <stdbool.h>
#include <stddef.h>

void descriptor_close(int *fd); /* closes and sets -1; accepts -1 */
#define scoped_descriptor __attribute__((cleanup(descriptor_close))) int

/* All of a small file into the arena; longer than `limit` is an error. */
MUST_USE bool file_read(const char *path, size_t limit, struct arena *arena, struct span *text,
                        struct error *why);
MUST_USE bool descriptor_read_all(int fd, size_t limit, struct arena *arena, struct span *text,
                                  struct error *why);
MUST_USE bool descriptor_write_all(int fd, struct span bytes, struct error *why);
/* Writes beside `path`, flushes, renames over it, flushes the directory. `mode` as for open(). */
MUST_USE bool file_replace(const char *path, struct span bytes, unsigned mode, struct error *why);
