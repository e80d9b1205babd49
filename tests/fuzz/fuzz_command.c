/* fuzz-deps: base net message keys policy store audit receive */
/* What is taken as a command or as parameters means the same when it is written out again. */
/* SPDX-License-Identifier: ISC */
#include "command.h"

#include <assert.h>
#include <stdint.h>
#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void assert_line(struct span line)
{
    struct span verb, argument;

    if (!command_split(line, &verb, &argument))
        return;
    for (size_t i = 0; i < verb.len; i++)
        assert(ascii_is_letter(verb.data[i]));
    for (size_t i = 0; i < line.len; i++)
        assert(line.data[i] != '\r' && line.data[i] != '\n' && line.data[i] != '\0');
    assert(verb.data == line.data && verb.len + argument.len <= line.len);
    assert(span_equal(argument, span_trim(argument)));
}

static void assert_mail(struct span text, bool tolerates_auth)
{
    struct mail_parameters read, again;
    struct refusal why = {.code = 0};
    char written[80];

    if (!mail_parameters_parse(text, tolerates_auth, &read, &why)) {
        assert(why.code == 501 || why.code == 552 || why.code == 555);
        return;
    }
    assert(tolerates_auth || !read.has_auth);
    snprintf(written, sizeof written, " SIZE=%llu%s%s", read.size,
             read.is_8bit    ? " BODY=8BITMIME"
             : read.has_body ? " BODY=7BIT"
                             : "",
             read.has_auth ? " AUTH=<>" : "");
    assert(mail_parameters_parse(span_of(written), tolerates_auth, &again, &why));
    assert(again.size == read.size && again.is_8bit == read.is_8bit);
    assert(again.has_body == read.has_body && again.has_auth == read.has_auth);
}

static void assert_chunk(struct span text)
{
    unsigned long long size, size_again;
    bool is_last, is_last_again;
    char written[40];

    if (!bdat_parse(text, &size, &is_last))
        return;
    snprintf(written, sizeof written, "%llu%s", size, is_last ? " LAST" : "");
    assert(bdat_parse(span_of(written), &size_again, &is_last_again));
    assert(size == size_again && is_last == is_last_again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = span_make(data, size);
    struct refusal why = {.code = 0};

    assert_line(text);
    assert_mail(text, false);
    assert_mail(text, true);
    assert_chunk(text);
    assert(rcpt_parameters_parse(text, &why) || why.code == 501 || why.code == 555);
    return 0;
}
