/* The policy in memory: what the parser builds, the checks complete, and decisions read. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "base/network.h"
#include "policy/policy.h"

#include <stdatomic.h>

/* Where something stands in the file. Columns count characters, from 1. */
struct place {
    unsigned line, column;
    size_t offset;
};

/* A set of texts, open-addressed and at most half full. The keys belong to whoever made it. */
struct set {
    const struct span *keys;
    uint32_t *slots; /* index of a key + 1; 0: free */
    size_t mask;
};
/* The key's bytes are those of the parts one after another, so that none need be built. */
struct joined {
    struct span part[3];
};
enum { SET_KEYS_MAX = 1 << 30 };
/* Room for `count` keys; `keys` may be filled later, each before it is added. */
MUST_USE bool set_init(struct set *set, const struct span *keys, size_t count, struct arena *arena);
/* Adds keys[index]; gives the index of an equal key that was there before, else `index`. */
size_t set_add(struct set *set, size_t index);
/* SIZE_MAX: absent. */
size_t set_find(const struct set *set, const struct joined *key);
static inline size_t set_find_span(const struct set *set, struct span key)
{
    return set_find(set, &(struct joined){{key}});
}

/* What a list is asked for, and so what its entries must look like. */
enum list_use { USE_ADDRESSES = 1, USE_WORDS = 2, USE_CERTIFICATES = 4 };

/* A list, or the one string that stands in a list's place (then without a name). */
struct list {
    struct list *next;
    struct span name;
    struct span file; /* empty: the entries are in the policy */
    struct place place;
    struct place file_place;
    struct span *texts;   /* as written */
    struct place *places; /* of the entries in the policy; NULL for a file's */
    unsigned *lines;      /* of a file's entries; NULL for those in the policy */
    size_t count;
    const struct span *keys; /* texts in the one form that is compared */
    size_t first_bad;        /* index of the first that is no address, no domain; or count */
    struct set set;          /* of keys */
    uint8_t digest[POLICY_DIGEST_BYTES]; /* of a file's bytes */
    unsigned uses;                       /* enum list_use, those already checked */
    size_t words_number; /* among the policy's lists that rules search subjects for; from 0 */
};
/* V: a string or the name of a list. */
struct value {
    struct span name; /* empty: a string */
    struct place place;
    struct list *list; /* a name's is found after parsing */
};
bool list_has_address(const struct list *list, const struct address *address);
/* May an address that `pattern` means be one that the list means? */
bool list_may_share(const struct list *a, const struct list *b);
/* Makes keys and set. */
MUST_USE bool list_complete(struct list *list, struct arena *arena);
/* Fills the entries from a file's text. On false, *line tells where, *fault what (NULL: memory). */
MUST_USE bool list_read(struct list *list, struct span text, struct arena *arena, unsigned *line,
                        const char **fault);
bool certificate_name_is_valid(struct span text);
/* A file's path or part of a text that must hold no controls and be UTF-8. */
bool text_is_clean(struct span text);

enum fact_kind {
    FACT_FROM,
    FACT_TO,
    FACT_THROUGH,
    FACT_SUBJECT,
    FACT_SIZE,
    FACT_RECIPIENTS,
    FACT_COUNT
};
enum condition_kind { CONDITION_FACT, CONDITION_NOT, CONDITION_AND, CONDITION_OR };
struct condition {
    enum condition_kind kind;
    struct condition *first; /* not, and, or: the parts, chained by .next */
    struct condition *next;
    enum fact_kind fact;
    struct place place;
    struct value value;     /* from, to, subject */
    struct span text;       /* through */
    struct network network; /* through, where has_network */
    bool has_network;
    uint64_t number; /* size, recipients */
};

enum stage { STAGE_REFUSE, STAGE_HOLD, STAGE_SEND, STAGE_COUNT };
const char *stage_name(enum stage stage);

struct rule {
    struct rule *next; /* in its stage */
    enum stage stage;
    struct span name;
    struct place place;
    struct condition *when; /* NULL: always */
    struct ladder ladder;   /* send; named where it is by a name */
    struct place ladder_place;
    int64_t hold_ms; /* hold */
};

struct named_ladder {
    struct named_ladder *next;
    struct ladder ladder;
    struct place place;
    bool is_used;
};
struct route_row {
    struct route_row *next;
    struct route route;
    struct value to;
    struct span target; /* as written */
    struct place place;
};
struct permit_row {
    struct permit_row *next;
    struct permit permit;
    struct value to;
    bool has_to;
    struct place place;
};

struct organisation {
    struct organisation *next;
    size_t number;
    struct span name;
    struct place place;
    struct span *domains;
    struct place *domain_places;
    size_t domain_count;
    struct list *lists, **list_end;
    struct named_ladder *ladders, **ladder_end;
    struct route_row *routes, **route_end;
    struct permit_row *permits, **permit_end;
    struct rule *rules[STAGE_COUNT], **rule_end[STAGE_COUNT];
    size_t rule_count;
    enum stage latest; /* of the rules so far */
    struct set names;  /* of lists and ladders; the arrays below tell whose each is */
    struct list **list_of_name;
    struct named_ladder **ladder_of_name;
};

/* Numbered, chained, empty; NULL when memory is out. */
struct organisation *organisation_new(struct policy *policy);

/* The statements that may be said once only. */
enum setting {
    SETTING_HOSTNAME,
    SETTING_STATE,
    SETTING_CERTIFICATE,
    SETTING_ROOTS,
    SETTING_TRUST_ANCHOR,
    SETTING_RESOLVER,
    SETTING_LABORATORY,
    SETTING_MASTER_KEY,
    SETTING_ADMINISTRATOR,
    SETTING_LARGEST_MESSAGE,
    SETTING_COUNT
};

struct listener_row {
    struct listener_row *next;
    struct listener listener;
    struct value trusted; /* a certificate's; a network is its list of one */
    struct place place;
};

struct policy {
    atomic_uint references;
    struct arena *arena; /* holds everything, this struct too */
    struct settings settings;
    struct place said[SETTING_COUNT]; /* line 0: not said */
    struct listener_row *listener_rows, **listener_end;
    struct organisation *first, **organisation_end; /* number 0; the others follow */
    struct organisation **organisations;
    size_t organisation_count;
    size_t rule_count;
    size_t words_count;   /* of lists that rules search subjects for */
    struct span *domains; /* of all organisations */
    size_t domain_count;
    struct organisation **domain_owners;
    struct set domain_set;
    struct set organisation_names;
    struct span *organisation_name_list;
    struct span printed; /* the canonical text */
    uint8_t digest[POLICY_DIGEST_BYTES];
};

/* Appends to a chain whose `end` points to the link that is to be filled. */
#define CHAIN_APPEND(end, item)                                                                    \
    do {                                                                                           \
        *(end) = (item);                                                                           \
        (end) = &(item)->next;                                                                     \
    } while (0)

/* Canonical texts. */
void print_policy(const struct policy *policy, struct buffer *out);
void print_condition(const struct condition *condition, struct buffer *out);
void print_ladder(const struct ladder *ladder, struct buffer *out);
void print_string(struct span text, struct buffer *out);
void print_duration(int64_t ms, struct buffer *out);

enum note { NOTE_NONE, NOTE_ABSENT, NOTE_FOUND };
struct subject_notes {
    const struct policy *policy;
    enum note *of_words; /* by words_number */
};

/* The words before a fact's argument: "from", "subject has". */
const char *fact_words(enum fact_kind fact);
bool condition_holds(const struct condition *condition, const struct facts *facts);
