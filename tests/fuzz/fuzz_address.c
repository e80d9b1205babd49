/* fuzz-deps: base message */
/* Whatever is taken as an address prints as what is read back as the same. */
/* SPDX-License-Identifier: ISC */
#include "base/memory.h"
#include "message/address.h"
#include "message/limits.h"

#include <assert.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void assert_inverse(const struct address *address, struct arena *arena)
{
    struct span printed = address_print(address, arena);
    struct address again;
    struct error why;

    assert(printed.data && printed.len <= ADDRESS_PATH_MAX);
    for (size_t i = 0; i < printed.len; i++)
        assert(printed.data[i] >= ' ' && printed.data[i] <= '~');
    if (address_is_null(address))
        return;
    assert(address_parse(printed, arena, &again, &why));
    assert(span_equal(address->local, again.local) && span_equal(address->domain, again.domain));
    assert(address_equal(address, &again));
    assert(span_equal(address_print(&again, arena), printed));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = span_make(data, size), rest;
    scoped(arena) arena = arena_new("fuzz", MIB(4));
    struct address address;
    struct error why;

    for (int may_be_null = 0; may_be_null <= 1; may_be_null++) {
        if (!address_parse_path(text, may_be_null, arena, &address, &rest, &why)) {
            assert(why.kind == ERROR_REJECTED);
            continue;
        }
        assert(rest.len == 0 || rest.data[0] == ' ');
        assert(rest.data + rest.len == text.data + text.len);
        assert(may_be_null || !address_is_null(&address));
        assert_inverse(&address, arena);
    }
    if (address_parse(text, arena, &address, &why))
        assert_inverse(&address, arena);
    if (domain_is_valid(text))
        assert(helo_name_is_tolerable(text));
    return 0;
}
