/* What the keeper signs of the journal, and the check that anybody can make with the public key. */
/* SPDX-License-Identifier: ISC */
#include "keeper_protocol.h"

#include "base/wire.h"

static uint8_t *put_u64(uint8_t *out, uint64_t value)
{
    for (size_t i = 8; i-- > 0; value >>= 8)
        out[i] = (uint8_t)value;
    return out + 8;
}

void checkpoint_canonical(const struct checkpoint *checkpoint,
                          uint8_t out[static CHECKPOINT_CANONICAL_BYTES])
{
    static const char label[24] =
        "letterlock checkpoint v1"; /* the signature says one thing only */

    memcpy(out, label, sizeof label);
    out = put_u64(out + sizeof label, checkpoint->epoch);
    out = put_u64(out, checkpoint->size);
    memcpy(out, checkpoint->root, sizeof checkpoint->root);
    out = put_u64(out + sizeof checkpoint->root, (uint64_t)checkpoint->at_ms);
    out = put_u64(out, checkpoint->unwraps);
    put_u64(out, checkpoint->texts);
}

bool checkpoint_verify(const struct checkpoint *checkpoint, const uint8_t key[CHECKPOINT_KEY_BYTES])
{
    uint8_t text[CHECKPOINT_CANONICAL_BYTES];

    checkpoint_canonical(checkpoint, text);
    return ed25519_verify(key, span_make(text, sizeof text), checkpoint->signature);
}

void checkpoint_put(const struct checkpoint *checkpoint, struct buffer *out)
{
    wire_put_u64(out, checkpoint->epoch);
    wire_put_u64(out, checkpoint->size);
    wire_put_bytes(out, checkpoint->root, sizeof checkpoint->root);
    wire_put_u64(out, (uint64_t)checkpoint->at_ms);
    wire_put_u64(out, checkpoint->unwraps);
    wire_put_u64(out, checkpoint->texts);
    wire_put_bytes(out, checkpoint->signature, sizeof checkpoint->signature);
}

void checkpoint_get(struct wire_reader *in, struct checkpoint *checkpoint)
{
    checkpoint->epoch = wire_get_u64(in);
    checkpoint->size = wire_get_u64(in);
    wire_get_bytes(in, checkpoint->root, sizeof checkpoint->root);
    checkpoint->at_ms = (int64_t)wire_get_u64(in);
    checkpoint->unwraps = wire_get_u64(in);
    checkpoint->texts = wire_get_u64(in);
    wire_get_bytes(in, checkpoint->signature, sizeof checkpoint->signature);
}
