/* fuzz-deps: base daemon */
/* A request that parses is printed as the bytes that it came from. */
/* SPDX-License-Identifier: ISC */
#include "base/memory.h"
#include "daemon/control_protocol.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span bytes = span_make(data, size);
    struct control_request request;
    scoped_buffer printed;
    struct error why;

    buffer_init(&printed, CONTROL_REQUEST_MAX + 4);
    if (!control_request_parse(bytes, &request, &why)) {
        assert(why.kind == ERROR_REJECTED);
        return 0;
    }
    control_request_print(&request, &printed);
    assert(!printed.failed);
    assert(span_equal(span_from(buffer_span(&printed), 4), bytes));
    return 0;
}
