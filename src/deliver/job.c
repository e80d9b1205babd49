/* Messages in hand: opened when a worker needs them, wiped when the last one is done. */
/* SPDX-License-Identifier: ISC */
#include "job.h"

#include "base/memory.h"
#include "base/secret.h"
#include "deliver/limits.h"
#include "room.h"

#include <assert.h>

struct letter *letter_new(struct deliver *deliver)
{
    struct letter *letter = memory_allocate(sizeof *letter);

    if (!letter)
        return NULL;
    letter->deliver = deliver;
    letter->refs = 1;
    pthread_mutex_init(&letter->lock, NULL);
    pthread_cond_init(&letter->changed, NULL);
    buffer_init_secret(&letter->content, LETTER_BODY_MAX);
    letter->arena = arena_new("letter", LETTER_ARENA_MAX);
    letter->secrets = arena_new_secret("letter's secrets", LETTER_ARENA_MAX + LETTER_BODY_MAX);
    if (letter->arena && letter->secrets)
        return letter;
    letter_unref(letter);
    return NULL;
}

static void wipe(struct letter *letter)
{
    arena_free(letter->secrets);
    letter->secrets = NULL;
    buffer_clear(&letter->content);
    letter->body = letter->sender = (struct span){0};
    letter->has_content_key = letter->has_record_key = letter->has_sender = false;
    secret_wipe(&letter->keys, sizeof letter->keys);
}

void letter_unref(struct letter *letter)
{
    unsigned refs;

    pthread_mutex_lock(&letter->lock);
    refs = --letter->refs;
    pthread_mutex_unlock(&letter->lock);
    if (refs > 0)
        return;
    wipe(letter);
    arena_free(letter->arena);
    pthread_mutex_destroy(&letter->lock);
    pthread_cond_destroy(&letter->changed);
    memory_release(letter);
}

struct job *job_new(struct letter *letter, enum job_kind kind, struct span destination,
                    size_t count)
{
    struct job *job = memory_allocate(sizeof *job);

    if (!job)
        return NULL;
    job->kind = kind;
    job->arena = arena_new_secret("job", JOB_ARENA_MAX);
    job->deliveries = arena_take_array(job->arena, count, sizeof *job->deliveries);
    job->destination_name = arena_copy(job->arena, destination);
    if (!job->deliveries || !job->destination_name.data) {
        arena_free(job->arena);
        memory_release(job);
        return NULL;
    }
    job->count = count;
    job->letter = letter;
    atomic_init(&job->refs, 1);
    pthread_mutex_lock(&letter->lock);
    letter->refs++;
    letter->users++;
    pthread_mutex_unlock(&letter->lock);
    schedule_register(letter->deliver->schedule, job);
    return job;
}

void job_ref(struct job *job)
{
    atomic_fetch_add(&job->refs, 1);
}

void job_unref(struct job *job)
{
    if (atomic_fetch_sub(&job->refs, 1) > 1)
        return;
    schedule_unregister(job->letter->deliver->schedule, job);
    letter_unref(job->letter);
    arena_free(job->arena);
    memory_release(job);
}

void job_drop_secrets(struct job *job)
{
    struct letter *letter = job->letter;
    bool is_last;

    pthread_mutex_lock(&letter->lock);
    assert(letter->users > 0);
    is_last = --letter->users == 0;
    pthread_mutex_unlock(&letter->lock);
    if (!is_last)
        return;
    wipe(letter);
    schedule_return_letter(letter->deliver->schedule, letter);
}

/* ---- opening ---- */

/* One worker at a time opens; the others find the work done. */
static void letter_enter(struct letter *letter)
{
    pthread_mutex_lock(&letter->lock);
    while (letter->is_entered)
        pthread_cond_wait(&letter->changed, &letter->lock);
    letter->is_entered = true;
    pthread_mutex_unlock(&letter->lock);
}

static void letter_leave(struct letter *letter)
{
    pthread_mutex_lock(&letter->lock);
    letter->is_entered = false;
    pthread_cond_signal(&letter->changed);
    pthread_mutex_unlock(&letter->lock);
}

static bool refuse(struct delivery *delivery, const struct error *why, const char *context)
{
    verdict_of_error(&delivery->verdict, why, OUTCOME_INTERNAL);
    verdict_within(&delivery->verdict, context);
    delivery->is_refused = true;
    return false;
}

bool job_needs_content(const struct job *job, const struct delivery *delivery)
{
    enum way first;

    if (job->kind == JOB_EXPIRED || delivery->ladder.count == 0)
        return false;
    first = delivery->ladder.rungs[0].way;
    return first != WAY_HOLD && first != WAY_RETURN;
}

/* What others may read already is not written again. */
static void keep_keys(struct letter *letter, const struct message_keys *keys, bool has_content)
{
    if (!letter->has_record_key) {
        letter->keys.record = keys->record;
        letter->has_record_key = true;
    }
    if (has_content) {
        letter->keys.content = keys->content;
        letter->has_content_key = true;
    }
}

/* The keeper checks the tag of the delivery that it opens the keys for. */
static bool open_keys(struct letter *letter, struct delivery *delivery, bool needs_content)
{
    struct keeper *keeper = letter->deliver->terms.keeper;
    struct keeper_delivery asked = {
        .wrapped = letter->wrapped,
        .binding = {.message = letter->id,
                    .delivery = delivery->number,
                    .organisation = letter->organisation,
                    .ladder = delivery->ladder_text},
        .sealed_recipient = delivery->sealed_recipient,
        .is_held = delivery->state == DELIVERY_HELD,
    };
    struct message_keys keys;
    struct error why;
    bool is_open;

    memcpy(asked.binding.policy_digest, delivery->policy_digest, POLICY_DIGEST_SIZE);
    memcpy(asked.tag, delivery->tag, BINDING_TAG_BYTES);
    is_open = needs_content ? keeper_unwrap(keeper, &asked, &keys, &why)
                            : keeper_unwrap_record(keeper, &asked, &keys.record, &why);
    if (!is_open)
        return refuse(delivery, &why, "the keeper");
    keep_keys(letter, &keys, needs_content);
    secret_wipe(&keys, sizeof keys);
    return true;
}

static bool open_text(struct letter *letter, const char *what, struct span sealed,
                      struct arena *arena, struct span *plain, struct error *why)
{
    scoped_buffer text;

    buffer_init_secret(&text, SEAL_TEXT_MAX);
    if (!text_open(&letter->keys.record, letter->id, what, sealed, &text, why))
        return false;
    *plain = arena_copy(arena, buffer_span(&text));
    return plain->data || error_set(why, ERROR_TEMPORARY, "4.3.1", "memory is out");
}

/* The same check as the keeper's, with its key. */
static bool tag_fits(const struct letter *letter, const struct delivery *delivery)
{
    struct binding binding = {.message = letter->id,
                              .delivery = delivery->number,
                              .organisation = letter->organisation,
                              .recipient = delivery->recipient,
                              .ladder = delivery->ladder_text};
    uint8_t tag[BINDING_TAG_BYTES];

    memcpy(binding.policy_digest, delivery->policy_digest, POLICY_DIGEST_SIZE);
    binding_tag(&letter->keys.content, &binding, tag);
    return secret_equal(tag, delivery->tag, sizeof tag);
}

/* The recipient, and the tag that binds him, where the keeper has not just checked it. */
static bool open_recipient(struct job *job, struct delivery *delivery)
{
    struct letter *letter = job->letter;
    struct error why;

    if (!open_text(letter, TEXT_RECIPIENT, delivery->sealed_recipient, job->arena,
                   &delivery->recipient, &why))
        return refuse(delivery, &why, "the recipient");
    if (letter->has_content_key && !tag_fits(letter, delivery)) {
        error_set(&why, ERROR_INTERNAL, "4.3.0", "the binding tag does not fit");
        return refuse(delivery, &why, "the record");
    }
    if (!address_parse(delivery->recipient, job->arena, &delivery->address, &why)) {
        why.kind = ERROR_INTERNAL;
        return refuse(delivery, &why, "the recipient");
    }
    delivery->is_checked = true;
    return true;
}

bool letter_has_sound_sender(struct letter *letter, struct error *why)
{
    struct address unused;

    if (letter->sender.len == 0 || address_parse(letter->sender, letter->secrets, &unused, why))
        return true;
    why->kind = ERROR_INTERNAL;
    return false;
}

static void open_record(struct job *job, struct delivery *delivery)
{
    struct letter *letter = job->letter;
    struct error why;

    if (!letter->has_content_key && !open_keys(letter, delivery, job_needs_content(job, delivery)))
        return;
    if (!letter->has_sender) {
        if (!open_text(letter, TEXT_SENDER, letter->sealed_sender, letter->secrets, &letter->sender,
                       &why) ||
            !letter_has_sound_sender(letter, &why)) {
            refuse(delivery, &why, "the sender");
            return;
        }
        letter->has_sender = true;
    }
    open_recipient(job, delivery);
}

void job_open_records(struct job *job)
{
    letter_enter(job->letter);
    for (size_t i = 0; i < job->count; i++)
        if (!job->deliveries[i].is_checked && !job->deliveries[i].is_refused)
            open_record(job, &job->deliveries[i]);
    letter_leave(job->letter);
}

/* Was there any byte over 127? Eight at a time, since it is asked of every byte we send. */
static bool has_8bit(struct span bytes)
{
    uint64_t seen = 0, eight;
    size_t i = 0;

    for (; i + sizeof eight <= bytes.len; i += sizeof eight) {
        memcpy(&eight, bytes.data + i, sizeof eight);
        seen |= eight;
    }
    for (; i < bytes.len; i++)
        seen |= (uint64_t)(unsigned char)bytes.data[i];
    return (seen & UINT64_C(0x8080808080808080)) != 0;
}

static bool read_chunks(struct letter *letter, struct error *why)
{
    struct store *store = letter->deliver->terms.store;
    scoped(content_cipher) cipher = content_cipher_new(&letter->keys.content, letter->id);
    scoped_buffer sealed;
    bool is_last = false;

    buffer_init(&sealed, STORE_BODY_MAX);
    if (!cipher)
        return error_set(why, ERROR_TEMPORARY, "4.3.1", "memory is out");
    for (uint32_t number = 0; !is_last; number++) {
        buffer_truncate(&sealed, 0);
        if (!store_read_body(store, letter->id, number, &sealed, &is_last, why) ||
            !content_open(cipher, number, is_last, buffer_span(&sealed), &letter->content, why))
            return false;
        if (sealed.failed || letter->content.failed)
            return error_set(why, ERROR_TEMPORARY, "4.3.1", "memory is out");
    }
    if (letter->content.len != letter->size)
        return error_set(why, ERROR_INTERNAL, "4.3.0", "the content has not the recorded size");
    return true;
}

bool job_open_body(struct job *job, struct verdict *end)
{
    struct letter *letter = job->letter;
    bool is_open;

    letter_enter(letter);
    if (letter->body_state == BODY_SEALED) {
        assert(letter->has_content_key); /* of a delivery that is not refused */
        if (read_chunks(letter, &letter->why)) {
            letter->body = buffer_span(&letter->content);
            letter->has_8bit = has_8bit(letter->body);
            letter->body_state = BODY_OPEN;
        } else {
            buffer_clear(&letter->content);
            if (letter->why.kind != ERROR_TEMPORARY)
                letter->body_state = BODY_BROKEN;
        }
    }
    is_open = letter->body_state == BODY_OPEN;
    if (!is_open) {
        verdict_of_error(end, &letter->why, OUTCOME_INTERNAL);
        verdict_within(end, "the body");
    }
    letter_leave(letter);
    return is_open;
}
