/* The tables of the store, and whether a database holds them. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "base/error.h"

#include <sqlite3.h>

/* Makes the tables where the database is empty; refuses what is not ours or of another version. */
MUST_USE bool schema_create(sqlite3 *database, struct error *why);
/* Refuses an empty database too. */
MUST_USE bool schema_check(sqlite3 *database, struct error *why);
