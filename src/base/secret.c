/* Comparing and forgetting without leaving a trace in time or in memory. */
/* SPDX-License-Identifier: ISC */
#include "base/secret.h"

#include <string.h>

bool secret_equal(const void *a, const void *b, size_t len)
{
    /* Volatile, so that no compiler may stop at the first difference. */
    const volatile unsigned char *left = a, *right = b;
    volatile unsigned char difference = 0;

    for (size_t i = 0; i < len; i++)
        difference = (unsigned char)(difference | (left[i] ^ right[i]));
    return difference == 0;
}

void secret_wipe(void *bytes, size_t len)
{
    if (len > 0)
        explicit_bzero(bytes, len);
}
