/* fuzz-deps: base */
/* A name that parses prints as it was, in lower case; bytes print and parse back. */
/* SPDX-License-Identifier: ISC */
#include "base/id.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct id id = {{0}}, back;
    char text[ID_TEXT_SIZE];

    if (id_parse(span_make(data, size), &id)) {
        id_print(id, text);
        assert(span_equal_caseless(span_of(text), span_make(data, size)));
    }
    memcpy(id.bytes, data, size < ID_BYTES ? size : ID_BYTES);
    id_print(id, text);
    assert(id_parse(span_of(text), &back) && id_equal(id, back));
    return 0;
}
