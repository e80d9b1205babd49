/* The keeper: the one process that holds the master key. It makes, unwraps and signs, and answers
 * in fixed structs over a socketpair for each sibling; it opens no sockets and allocates nothing
 * per request. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "base/clock.h"
#include "base/entropy.h"
#include "base/error.h"
#include "base/span.h"
#include "keys/sealing.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Who is at the other end of a socketpair: each may ask only what its role needs. */
enum keeper_peer {
    KEEPER_PEER_RECEIVE,
    KEEPER_PEER_DELIVER,
    KEEPER_PEER_CONTROL,
    KEEPER_PEER_COUNT
};

/* The keeper's own file: organisation keys under the master key, class keys under these, the
 * checkpoint key, the last checkpoint; authenticated as a whole; replaced whole and flushed. Its
 * format has a version. */
struct keeper_file;
/* `master` is 32 raw bytes, or a passphrase (scrypt makes a key of it). Creates the file where
 * there is none (may_create). Locks `path`.lock beside it while it is open. One thread uses it.
 *
 * ERROR_INTERNAL when it does not open under this master key, or was changed; ERROR_TEMPORARY when
 * another process has it open, or memory is out; ERROR_IMPOSSIBLE for a master key of a wrong
 * length or an empty passphrase. The directory must be writable: the file is replaced whole. */
enum keeper_master_kind { KEEPER_MASTER_RAW, KEEPER_MASTER_PASSPHRASE };
struct keeper_master {
    enum keeper_master_kind kind;
    struct span secret;
};
MUST_USE bool keeper_file_open(const char *path, const struct keeper_master *master,
                               bool may_create, const struct entropy *entropy,
                               struct keeper_file **out, struct error *why);
void keeper_file_free(struct keeper_file *file); /* wipes */
SCOPED_FREE(keeper_file)
/* Wraps everything under a new master key and replaces the file; what the old one held is
 * overwritten where the file system allows. On failure the old master key stays in force. */
MUST_USE bool keeper_file_rotate(struct keeper_file *file, const struct keeper_master *new_master,
                                 const struct entropy *entropy, struct error *why);
/* The public half of the checkpoint key, raw Ed25519. */
enum { CHECKPOINT_KEY_BYTES = 32, CHECKPOINT_SIGNATURE_BYTES = 64 };
void keeper_file_checkpoint_key(const struct keeper_file *file, uint8_t key[CHECKPOINT_KEY_BYTES]);
/* Destroys the class keys whose day has passed: that is the deletion of what they sealed. */
MUST_USE bool keeper_file_expire(struct keeper_file *file, int32_t today, size_t *destroyed,
                                 struct error *why);

/* A TLS private key is a function here, so that this room needs no TLS. */
struct keeper_signer {
    bool (*sign)(void *key, struct span input, uint8_t *signature, size_t *signature_len);
    void *key;
};
struct keeper_terms {
    struct keeper_file *file;
    const struct keeper_signer *signers; /* by index; 0 is the gateway's certificate */
    size_t signer_count;
    int peers[KEEPER_PEER_COUNT]; /* SOCK_SEQPACKET; -1: no such sibling */
    const struct clock *clock;
    const struct entropy *entropy;
    int stop; /* becomes readable when it is time to end; -1: never */
};
/* Serves until `stop`, or until all peers have closed and there is no `stop`. Expires class keys at
 * the start (not where the last checkpoint is over KEEPER_SILENCE_DAYS old: the clock may be wrong)
 * and at each midnight. A peer's socket may outlive it: another keeper_run() goes on with the same
 * ones, and clients ask again what was lost. Writes log lines. */
void keeper_run(const struct keeper_terms *terms);

/* ---- for siblings: thread-safe, one request at a time on the wire ---- */

struct keeper;
/* Takes the socket over (and closes it when memory is out: NULL). */
struct keeper *keeper_connect(int socket, const struct entropy *entropy);
void keeper_free(struct keeper *keeper);
SCOPED_FREE(keeper)
/* Every failure to reach the keeper in KEEPER_ANSWER_MS is ERROR_TEMPORARY 4.3.0, and so are its
 * limit of a minute and a file that it cannot write; a refusal (tag, state, role, day, expired
 * class or unknown organisation) is ERROR_INTERNAL with the reason. */

/* A pair from the stock made ahead, by organisation and day; asks the keeper for the next
 * KEEPER_PAIRS_MAX when the stock is empty. The caller wipes it. The gateway's own organisation has
 * the empty name. */
MUST_USE bool keeper_take_pair(struct keeper *keeper, struct span organisation, int32_t content_day,
                               int32_t record_day, struct key_pair *pair, struct error *why);

struct keeper_delivery {
    struct wrapped_keys wrapped;
    struct binding binding;       /* .recipient is not used: */
    struct span sealed_recipient; /* the keeper opens it itself and checks the tag over it */
    uint8_t tag[BINDING_TAG_BYTES];
    bool is_held; /* the state in the record: both keys of a held one are refused */
};
/* Both keys, where the tag fits the record in hand. */
MUST_USE bool keeper_unwrap(struct keeper *keeper, const struct keeper_delivery *delivery,
                            struct message_keys *keys, struct error *why);
/* The record key alone, where the tag fits: for what sends nothing but may owe its sender a report,
 * so held deliveries, and ladders that begin with `hold` or `return`, are welcome here. */
MUST_USE bool keeper_unwrap_record(struct keeper *keeper, const struct keeper_delivery *delivery,
                                   struct key *record, struct error *why);
/* An authorised act gives a delivery another ladder (and, where new_content_day is later, wraps its
 * content key again under that class; else *wrapped equals the old). `uid` did it. A held delivery
 * is welcome here. */
MUST_USE bool keeper_bind_again(struct keeper *keeper, const struct keeper_delivery *delivery,
                                struct span new_ladder, const uint8_t new_policy_digest[static 32],
                                int32_t new_content_day, uint32_t uid,
                                uint8_t tag[BINDING_TAG_BYTES], struct wrapped_keys *wrapped,
                                struct error *why);
/* One text, for an administrator with this uid. Counted. */
MUST_USE bool keeper_open_text(struct keeper *keeper, struct id message, struct span organisation,
                               const struct wrapped_keys *wrapped, const char *what,
                               struct span sealed, uint32_t uid, struct buffer *out,
                               struct error *why);
/* For TLS handshakes: the contract of tls_signer.sign, with key number `signer`. */
bool keeper_sign_tls(struct keeper *keeper, unsigned signer, struct span input, uint8_t *signature,
                     size_t *signature_len);

enum { TREE_HASH_BYTES = 32 };
struct checkpoint {
    uint64_t epoch, size; /* of the journal tree */
    uint8_t root[TREE_HASH_BYTES];
    int64_t at_ms;
    uint64_t unwraps, texts; /* how often the keeper has opened, since its file was made */
    uint8_t signature[CHECKPOINT_SIGNATURE_BYTES]; /* over the canonical bytes of the rest */
};
/* Signs, and keeps it as the last in the keeper's own file. Refuses a tree smaller than the last
 * one's within one epoch, another root at the same size, and an epoch older than the last: a new
 * epoch's number is larger than the keeper's last one, not only than the store's. .unwraps, .texts
 * and .signature are filled in. */
MUST_USE bool keeper_sign_checkpoint(struct keeper *keeper, struct checkpoint *checkpoint,
                                     struct error *why);
/* The last one signed; size 0 where there was none. And the public key. */
MUST_USE bool keeper_last_checkpoint(struct keeper *keeper, struct checkpoint *checkpoint,
                                     uint8_t key[CHECKPOINT_KEY_BYTES], struct error *why);
/* How many classes the keeper has destroyed since its file was made, and how many of them no event
 * has told. `told` are in the journal by now (0: only asks); more than there were is refused. The
 * keeper remembers it for good with the next checkpoint that it signs. */
MUST_USE bool keeper_count_destroyed(struct keeper *keeper, uint64_t told, uint64_t *count,
                                     uint64_t *untold, struct error *why);
bool checkpoint_verify(const struct checkpoint *checkpoint,
                       const uint8_t key[CHECKPOINT_KEY_BYTES]);
/* Its fields as bytes, the signature last, for what the keeper and the store keep; each puts its
 * own version before them. What is cut shows in the reader. */
struct wire_reader;
void checkpoint_put(const struct checkpoint *checkpoint, struct buffer *out);
void checkpoint_get(struct wire_reader *in, struct checkpoint *checkpoint);
