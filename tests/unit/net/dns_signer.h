/* A zone of the laboratory's name server that is signed (RFC 4034), with ECDSA on P-256, as it is
 * asked; each of its record sets has one record, so that nothing is to be sorted. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "dns_lab.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <time.h>

enum { LAB_RRSIG = 46, LAB_NSEC = 47, LAB_DNSKEY = 48, LAB_ALGORITHM = 13 };

static EVP_PKEY *zone_key;
static uint8_t zone_dnskey[68]; /* the record's data */

static inline void signer_start(char *anchor, size_t size)
{
    uint8_t point[65];
    char text[128];
    size_t len;

    zone_key = EVP_EC_gen("P-256");
    EVP_PKEY_get_octet_string_param(zone_key, "pub", point, sizeof point, &len);
    memcpy(zone_dnskey, (uint8_t[]){1, 1, 3, LAB_ALGORITHM}, 4);
    memcpy(zone_dnskey + 4, point + 1, 64);
    EVP_EncodeBlock((unsigned char *)text, zone_dnskey + 4, 64);
    snprintf(anchor, size, "signed. IN DNSKEY 257 3 %d %s\n", LAB_ALGORITHM, text);
}

static inline unsigned signer_key_tag(void)
{
    unsigned sum = 0;

    for (size_t i = 0; i < sizeof zone_dnskey; i++)
        sum += i % 2 ? zone_dnskey[i] : (unsigned)zone_dnskey[i] << 8;
    return (sum + (sum >> 16)) & 0xffff;
}

static inline void signer_put32(struct lab_packet *p, uint32_t value)
{
    lab_put16(p, value >> 16);
    lab_put16(p, value & 0xffff);
}

/* The raw r and s of an ECDSA signature over the bytes. */
static inline void signer_sign(const struct lab_packet *bytes, uint8_t out[64])
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    uint8_t der[80];
    const uint8_t *at = der;
    size_t len = sizeof der;
    ECDSA_SIG *signature;

    EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, zone_key);
    EVP_DigestSign(context, der, &len, bytes->bytes, bytes->len);
    signature = d2i_ECDSA_SIG(NULL, &at, (long)len);
    BN_bn2binpad(ECDSA_SIG_get0_r(signature), out, 32);
    BN_bn2binpad(ECDSA_SIG_get0_s(signature), out + 32, 32);
    ECDSA_SIG_free(signature);
    EVP_MD_CTX_free(context);
}

/* Adds the signature of the record that begins at `from` and ends the packet. For a name that
 * begins with "forged" it is wrong by one bit. */
static inline void signer_put_signature(struct lab_packet *p, size_t from, const char *name,
                                        unsigned type)
{
    struct lab_packet fields = {.len = 0}, covered;
    uint32_t now = (uint32_t)time(NULL);
    uint8_t signature[64];
    unsigned labels = 1;

    for (const char *c = name; *c != '\0'; c++)
        labels += *c == '.';
    lab_put16(&fields, type);
    lab_put(&fields, (uint8_t[]){LAB_ALGORITHM, (uint8_t)labels}, 2);
    signer_put32(&fields, 60);
    signer_put32(&fields, now + 3600);
    signer_put32(&fields, now - 3600);
    lab_put16(&fields, signer_key_tag());
    lab_put_name(&fields, "signed");
    covered = fields;
    lab_put(&covered, p->bytes + from, p->len - from);
    signer_sign(&covered, signature);
    signature[5] ^= strncmp(name, "forged", 6) == 0;
    lab_put_name(p, name);
    lab_put16(p, LAB_RRSIG);
    lab_put16(p, 1);
    signer_put32(p, 60);
    lab_put16(p, (unsigned)(fields.len + sizeof signature));
    lab_put(p, fields.bytes, fields.len);
    lab_put(p, signature, sizeof signature);
}

static inline void signer_put_raw(struct lab_packet *p, const char *name, unsigned type,
                                  const struct lab_packet *data)
{
    size_t from = p->len;

    lab_put_name(p, name);
    lab_put16(p, type);
    lab_put16(p, 1);
    signer_put32(p, 60);
    lab_put16(p, (unsigned)data->len);
    lab_put(p, data->bytes, data->len);
    signer_put_signature(p, from, name, type);
}

/* Answers for names of the signed zone; false for all others. */
static inline bool signer_answer(const struct lab_server *s, const char *name, unsigned type,
                                 struct lab_packet *out, unsigned *answers, unsigned *authority)
{
    struct span zone = span_of("signed");
    struct lab_packet data = {.len = 0};
    size_t from;

    if (!zone_key || !span_ends_with_caseless(span_of(name), zone))
        return false;
    if (type == LAB_DNSKEY && strcmp(name, "signed") == 0) {
        lab_put(&data, zone_dnskey, sizeof zone_dnskey);
        signer_put_raw(out, name, LAB_DNSKEY, &data);
        *answers = 2;
        return true;
    }
    for (size_t i = 0; i < s->record_count; i++)
        if (s->records[i].type == type && strcasecmp(s->records[i].name, name) == 0) {
            from = out->len;
            lab_put_record(out, &s->records[i]);
            signer_put_signature(out, from, s->records[i].name, type);
            *answers = 2;
            return true;
        }
    /* Proof that the name has no such record: it has A, RRSIG and NSEC only. */
    from = out->len;
    lab_put_record(out, &(struct lab_record){"signed", LAB_SOA, ""});
    signer_put_signature(out, from, "signed", LAB_SOA);
    lab_put(&data, "\1\0", 2);
    lab_put_name(&data, name);
    lab_put(&data, "\0\6\x40\0\0\0\0\3", 8);
    signer_put_raw(out, name, LAB_NSEC, &data);
    *authority = 4;
    return true;
}
