/* Included by force into every source file of ours: what is banned does not compile. */
/* SPDX-License-Identifier: ISC */
#pragma once

/* The headers that declare what is banned come first: afterwards they could not. */
#include <ctype.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Some are macros, depending on the compiler and its options, and those cannot be poisoned. */
#undef sprintf
#undef vsprintf
#pragma GCC poison strcpy strcat strncpy strncat sprintf vsprintf strtok strtok_r atoi atol atof   \
    gets
#pragma GCC poison gmtime localtime ctime asctime srand
/* The locale plays no part: base/span.h has the ASCII classes. */
#undef isalnum
#undef isalpha
#undef isblank
#undef iscntrl
#undef isdigit
#undef isgraph
#undef islower
#undef isprint
#undef ispunct
#undef isspace
#undef isupper
#undef isxdigit
#undef tolower
#undef toupper
#pragma GCC poison isalnum isalpha isblank iscntrl isdigit isgraph islower isprint ispunct isspace
#pragma GCC poison isupper isxdigit tolower toupper
#ifndef BASE_ROOM /* base/memory.c is the one door to the heap */
#pragma GCC poison malloc calloc realloc strdup strndup free
#endif

/* OpenSSL's headers name parameters `rand`, so that one is warned of where it is called. */
int rand(void) __attribute__((deprecated("use base/entropy.h")));
