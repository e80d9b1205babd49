/* Included by force into every source file of ours: what is banned does not compile. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#pragma GCC poison strcpy strcat strncpy strncat sprintf vsprintf strtok strtok_r atoi atol atof gets
#pragma GCC poison gmtime localtime ctime asctime rand srand
#ifndef BASE_ROOM /* base/memory.c is the one door to the heap */
#pragma GCC poison malloc calloc realloc strdup strndup free
#endif
