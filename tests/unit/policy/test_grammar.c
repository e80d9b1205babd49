/* The language: what is understood and how it is printed, what is not and where it is told. */
/* SPDX-License-Identifier: ISC */
#include "policy_house.h"

#define L "by { tls verify, return }"

/* What a statement prints as; NULL: as it is written. */
static const struct good_case {
    const char *name, *text, *printed;
} good[] = {
    {"a comment and blanks say nothing", "  # hostname \"x\"\n\t\r\n", ""},
    {"several statements may share a line", "domains \"a.example\" send \"all\" " L,
     "domains \"a.example\"\nsend \"all\" " L "\n"},
    {"domains come together in lower case",
     "domains \"A.example\", \"b.example\" domains \"c.example\"\nsend \"all\" " L,
     "domains \"a.example\", \"b.example\", \"c.example\"\nsend \"all\" " L "\n"},
    {"a list in the file", "list partners { \"a.example\", \".b.example\" }\n", NULL},
    {"an empty list", "list nobody { }", "list nobody {  }\n"},
    {"a list from a file", "list partners from \"partners.txt\"\n", NULL},
    {"a ladder ends with a return", "ladder safe { tls verify }",
     "ladder safe { tls verify, return }\n"},
    {"a hold has seven days", "ladder safe { tls verify for 4 hours, hold }",
     "ladder safe { tls verify for 4 hours, hold for 7 days }\n"},
    {"a hold may have its own days", "ladder safe { hold for 2 days }\n", NULL},
    {"names in lower case",
     "ladder b { tls secure named \"MX1.bank.example\" or \"mx2.bank.example\" }",
     "ladder b { tls secure named \"mx1.bank.example\" or \"mx2.bank.example\", return }\n"},
    {"a ladder may grow stronger",
     "ladder b { tls encrypt for 1 hour, tls verify, hold for 7 days }\n", NULL},
    {"a ladder that only returns", "ladder paper { return }\n", NULL},
    {"weeks are days", "hold \"all\" for 1 week", "hold \"all\" for 7 days\n"},
    {"sixty seconds are a minute", "hold \"all\" for 60 seconds", "hold \"all\" for 1 minute\n"},
    {"ninety seconds are none", "hold \"all\" for 90 seconds\n", NULL},
    {"every fact",
     "list l { \"a.example\" }\n"
     "refuse \"all\" when from l or to \"a@b.example\" or through \"10.0.0.0/8\" or "
     "subject has \"[secure]\" or size over 25 MB or recipients over 100\n",
     NULL},
    {"a size has the largest unit", "refuse \"all\" when size over 2048 KB",
     "refuse \"all\" when size over 2 MB\n"},
    {"bytes", "refuse \"all\" when size over 1000 bytes\n", NULL},
    {"parentheses that mix",
     "refuse \"x\" when to \"a.example\" and (from \"b.example\" or not from \"c.example\")\n",
     NULL},
    {"needless parentheses go", "refuse \"x\" when ((to \"a.example\"))",
     "refuse \"x\" when to \"a.example\"\n"},
    {"parentheses of a kind stay",
     "refuse \"x\" when to \"a.example\" and (from \"b.example\" and size over 1 MB)\n", NULL},
    {"not before parentheses", "refuse \"x\" when not (to \"a.example\" or to \"b.example\")\n",
     NULL},
    {"not of a not", "refuse \"x\" when not (not to \"a.example\")\n", NULL},
    {"networks of both families",
     "refuse \"x\" when through \"fd00::/8\" or through \"::ffff:10.0.0.1\" or through \"::1\" or "
     "through \"0.0.0.0/0\"\n",
     NULL},
    {"quotes and backslashes in a name", "refuse \"say \\\"no\\\" \\\\\" when size over 1 MB\n",
     NULL},
    {"letters beyond ASCII", "refuse \"für alle Ärzte\" when size over 1 MB\n", NULL},
    {"permit for everybody", "permit cleartext\n", NULL},
    {"permit to a list with an end",
     "list l { \"a.example\" }\npermit cleartext to l until 2028-02-29\n", NULL},
    {"cleartext where a permit covers it",
     "permit cleartext to \".old.example\"\n"
     "send \"old\" when to \"fax.old.example\" by { cleartext for 1 hour, tls encrypt, return }\n",
     NULL},
    {"a route to a port",
     "domains \"a.example\"\nroute \"a.example\" to lmtp \"127.0.0.1 port 24\"\nsend \"all\" " L
     "\n",
     NULL},
    {"a route to a host",
     "domains \"a.example\"\nroute \"a.example\" to lmtp \"mail.a.example port 24\"\nsend "
     "\"all\" " L "\n",
     NULL},
    {"a route to a socket",
     "domains \"a.example\"\nroute \"x@a.example\" to lmtp \"unix:/run/lmtp\"\nsend \"all\" " L
     "\n",
     NULL},
    {"an organisation sees the gateway's lists and ladders",
     "list l { \"p.example\" }\nladder safe { tls verify, return }\n"
     "organisation \"A\" {\ndomains \"a.example\"\nsend \"p\" when to l by safe\nsend \"all\" by "
     "safe\n}\n",
     NULL},
    {"two organisations may use a name each",
     "organisation \"A\" {\nlist l { \"p.example\" }\n}\norganisation \"B\" {\nlist l { "
     "\"q.example\" }\n}\n",
     NULL},
    {"a name is used before it is defined", "send \"all\" by safe\nladder safe { tls verify }",
     "ladder safe { tls verify, return }\nsend \"all\" by safe\n"},
};

static void policy_prints_as_understood(void **state)
{
    const struct good_case *c = *state;
    scoped(arena) arena = arena_new("test", MIB(4));
    scoped(policy) policy = must_load(c->text, arena);
    scoped_buffer first, second;
    struct policy_complaints complaints;

    buffer_init(&first, MIB(1));
    buffer_init(&second, MIB(1));
    policy_print(policy, &first);
    /* What the row says stands behind the settings. */
    const char *expected = c->printed ? c->printed : c->text;
    static const char needed[] = "hostname \"mx.clinic.example\"\nstate \"/s\"\n"
                                 "certificate \"c\" key \"k\"\n"
                                 "roots \"/etc/ssl/certs/ca-certificates.crt\"\n"
                                 "master key passphrase\nlargest message 50 MB\n"
                                 "listen smtp port 25 on \"::\"\n";
    assert_true(span_starts_with(buffer_span(&first), span_of(needed)));
    assert_span(span_from(buffer_span(&first), strlen(needed)), expected);

    scoped(policy) again = policy_load(SPAN_LITERAL("again"), buffer_span(&first), &shelf_reader,
                                       now_ms, arena, &complaints);
    assert_non_null(again);
    policy_print(again, &second);
    assert_true(span_equal(buffer_span(&first), buffer_span(&second)));
    assert_memory_equal(policy_digest(policy), policy_digest(again), POLICY_DIGEST_BYTES);
}

#define LETTERS_43 "the clinic by the lake and behind the hills"
#define LATER "is a word of the language that this build does not carry out yet"

/* The first error of a file whose line 1 is NEEDED. */
static const struct bad_case {
    const char *name, *text;
    unsigned line, column;
    const char *message;
} bad[] = {
    {"an unknown statement, with a hint", "sned \"all\" " L, 2, 1,
     "found `sned`; did you mean `send`?"},
    {"an unknown statement without one", "banana", 2, 1,
     "expected the first word of a statement, found `banana`"},
    {"keywords are lower case", "Send \"all\" " L, 2, 1, "did you mean `send`?"},
    {"a statement begins with a word", "\"x\"", 2, 1, "found a string"},
    {"a stray brace", "}", 2, 1, "this `}` closes nothing"},
    {"a stray character", "list a ; { }", 2, 8, "no meaning outside a string"},
    {"an open string", "refuse \"all\n", 2, 8, "no closing \" on its line"},
    {"an unknown escape", "refuse \"a\\n\"", 2, 10, "only \\\" and \\\\"},
    {"a control in a string", "refuse \"a\tb\"", 2, 10, "control characters"},
    {"an empty name", "refuse \"\"", 2, 8, "found an empty string"},
    {"a column counts characters", "refuse \"äöü\" whan to \"x.example\"", 2, 14,
     "did you mean `when`?"},
    {"a setting said twice", "hostname \"b.example\"", 2, 1, "already said in line 1"},
    {"a bad domain", "domains \"a b\"", 2, 9, "such as \"x.example\""},
    {"domains are exact", "domains \".a.example\"", 2, 9, "without a dot at its start"},
    {"a domain named twice", "domains \"a.example\", \"A.EXAMPLE\" send \"all\" " L, 2, 22,
     "named already"},
    {"a domain of two organisations",
     "domains \"a.example\" send \"all\" " L
     "\norganisation \"A\" { domains \"a.example\" send \"all\" " L " }",
     3, 28, "this one belongs to the gateway"},
    {"organisations with one name", "organisation \"A\" { }\norganisation \"A\" { }", 3, 1,
     "another organisation has this name"},
    {"organisations do not nest", "organisation \"A\" {\norganisation \"B\" { }\n}", 2, 1,
     "no closing `}`"},
    {"settings of the gateway inside an organisation", "organisation \"A\" {\nstate \"/x\"\n}", 3,
     1, "cannot stand inside an organisation"},
    {"an organisation without its end", "organisation \"A\" {\n", 2, 1, "no closing `}`"},
    {"the last send of an organisation has no when",
     "domains \"a.example\"\nsend \"x\" when to \"x.example\" " L, 3, 1, "has no `when`"},
    {"an organisation without a send", "organisation \"A\" { domains \"a.example\" }", 2, 1,
     "has no `when`"},
    {"a name defined twice", "list a { \"x.example\" }\nladder a { return }", 3, 8,
     "the name `a` was given in line 2 already"},
    {"a name of the gateway's inside an organisation",
     "list a { \"x.example\" }\norganisation \"A\" { list a { \"x.example\" } }", 3, 25,
     "the gateway gave the name `a` in line 2"},
    {"the name of another organisation's list",
     "organisation \"A\" { list a { \"x.example\" } }\n"
     "organisation \"B\" { refuse \"x\" when to a }",
     3, 39, "no list here has the name `a`"},
    {"an unknown ladder, with a hint", "ladder safe { return }\nsend \"x\" by saef", 3, 13,
     "did you mean `safe`?"},
    {"an unknown list", "refuse \"x\" when to partnres\nlist partners { \"x.example\" }", 2, 20,
     "did you mean `partners`?"},
    {"a keyword is no name", "list send { }", 2, 6, "`send` is a keyword"},
    {"a later keyword is no name", "ladder bulk { return }", 2, 8, "`bulk` is a keyword"},
    {"a name in capitals", "list Partners { }", 2, 6, "lower-case"},
    {"a list without its comma", "list a { \"x.example\" \"y.example\" }", 2, 22,
     "expected `,` or `}`"},
    {"a list that ends in a comma", "list a { \"x.example\", }", 2, 23, "an entry of the list"},
    {"an entry that is no domain", "list a { \"x.example\", \"x y\" }\nrefuse \"r\" when to a", 2,
     23, "expected a domain such as"},
    {"a condition's string that is no domain", "refuse \"r\" when from \"x y\"", 2, 22,
     "expected a domain such as"},
    {"a list file that is not there", "list a from \"gone.txt\"", 2, 13, "there is no such file"},
    {"a list file with a bad entry", "list a from \"broken.txt\"\nrefuse \"r\" when to a", 2, 13,
     "in line 2 of this file: expected a domain"},
    {"a list file with a byte order mark", "list a from \"marked.txt\"", 2, 13,
     "in line 1 of this file: a byte order mark"},
    {"a list file that is not UTF-8", "list a from \"latin1.txt\"", 2, 13,
     "in line 2 of this file"},
    {"rules in the wrong order", "send \"a\" " L "\nhold \"b\"", 3, 1,
     "the order in which they are asked"},
    {"rules of one name", "refuse \"a\" when size over 1 MB\nhold \"a\"", 3, 1, "stands in line 2"},
    {"a rule with a name of ours", "hold \"no rule\"", 2, 1, "the gateway itself uses this name"},
    {"an organisation's name that no key can have",
     "organisation \"" LETTERS_43 LETTERS_43 LETTERS_43 "\" { }", 2, 14, "at most 128 bytes"},
    {"a rule without a ladder", "send \"a\"", 2, 9, "expected `by`"},
    {"and beside or", "refuse \"a\" when to \"x.example\" and from \"y.example\" or size over 1 MB",
     2, 53, "parentheses"},
    {"or beside and", "refuse \"a\" when to \"x.example\" or from \"y.example\" and size over 1 MB",
     2, 52, "parentheses"},
    {"not twice", "refuse \"a\" when not not to \"x.example\"", 2, 21, "`not not`"},
    {"an open parenthesis", "refuse \"a\" when (to \"x.example\"", 2, 32, "or `)`"},
    {"an unknown fact", "refuse \"a\" when form \"x.example\"", 2, 17, "did you mean `from`?"},
    {"has is missing", "refuse \"a\" when subject \"x\"", 2, 25, "expected `has`"},
    {"through wants an identity", "refuse \"a\" when through \"a b\"", 2, 25, "expected a network"},
    {"an address that is none", "refuse \"a\" when through \"10.0.0.256\"", 2, 25,
     "expected a network"},
    {"a prefix beyond the address", "refuse \"a\" when through \"10.0.0.0/33\"", 2, 25,
     "expected a network"},
    {"a prefix that is no number", "refuse \"a\" when through \"10.0.0.0/+8\"", 2, 25,
     "expected a network"},
    {"when behind by", "send \"a\" by { return } when to \"x.example\"", 2, 24,
     "`when` stands directly behind a rule's name"},
    {"a keyword out of its place", "named \"x\"", 2, 1, "found `named`"},
    {"a network with bits behind its prefix",
     "listen relay port 26 trusting network \"10.1.0.0/8\"", 2, 39, "behind the prefix"},
    {"a size without a unit", "refuse \"a\" when size over 25", 2, 29, "`KB`, `MB`"},
    {"a unit in lower case", "refuse \"a\" when size over 25 mb", 2, 30, "did you mean `MB`?"},
    {"a duration of nothing", "hold \"a\" for 0 days", 2, 14, "at least 1 second"},
    {"a duration beyond a year", "hold \"a\" for 53 weeks", 2, 14, "at most 366 days"},
    {"a duration beyond all numbers", "hold \"a\" for 99999999999999999999 weeks", 2, 14,
     "at most"},
    {"a unit misspelt", "hold \"a\" for 2 dyas", 2, 16, "did you mean `days`?"},
    {"no such day", "permit cleartext until 2027-02-29", 2, 24, "no such day"},
    {"no date", "permit cleartext until tomorrow", 2, 24, "a date such as"},
    {"a port of nothing", "listen smtp port 0", 2, 18, "from 1 to 65535"},
    {"a port too high", "listen smtp port 65536", 2, 18, "from 1 to 65535"},
    {"a listener on a name", "listen smtp port 26 on \"localhost\"", 2, 24, "an IP address"},
    {"two listeners at one place", "listen relay port 25", 2, 1, "the listener in line 1"},
    {"a certificate's name that is none", "listen relay port 26 trusting certificate \"sha256:12\"",
     2, 43, "64 hex digits"},
    {"a ladder without rungs", "ladder a { }", 2, 12, "expected a way"},
    {"an unknown way", "ladder a { tsl verify }", 2, 12, "did you mean `tls`?"},
    {"an unknown level", "ladder a { tls verfy }", 2, 16, "did you mean `verify`?"},
    {"route is no way to write", "ladder a { route }", 2, 12, "expected a way"},
    {"encrypt proves no name", "ladder a { tls encrypt named \"x.example\" }", 2, 24,
     "proves no name"},
    {"nothing after hold", "ladder a { tls verify, hold, return }", 2, 30, "`hold` ends a ladder"},
    {"nothing after return", "ladder a { return, hold }", 2, 20, "`return` ends a ladder"},
    {"return waits for nothing", "ladder a { tls verify, return for 2 days }", 2, 31,
     "waits for nothing"},
    {"a ladder that grows weaker", "ladder a { tls verify, tls encrypt }", 2, 24,
     "a ladder never grows weaker"},
    {"weaker behind cleartext too",
     "permit cleartext\nladder a { cleartext, tls verify, tls encrypt }", 3, 35,
     "a ladder never grows weaker"},
    {"cleartext as a way out", "permit cleartext\nladder a { tls encrypt, cleartext }", 3, 25,
     "a ladder never grows weaker"},
    {"only impossible ways", "ladder a { tls secure, hold }", 2, 10, "impossible in this build"},
    {"seventeen rungs",
     "ladder a { tls verify, tls verify, tls verify, tls verify, tls verify, tls verify, tls "
     "verify, "
     "tls verify, tls verify, tls verify, tls verify, tls verify, tls verify, tls verify, tls "
     "verify, "
     "tls verify, tls verify }",
     2, 204, "at most 16 rungs"},
    {"a sixteenth rung that is no end",
     "ladder a { tls verify, tls verify, tls verify, tls verify, tls verify, tls verify, tls "
     "verify, "
     "tls verify, tls verify, tls verify, tls verify, tls verify, tls verify, tls verify, tls "
     "verify, "
     "tls verify }",
     2, 10, "its `return` counted"},
    {"cleartext without a permit", "send \"a\" by { cleartext }", 2, 13,
     "needs a `permit cleartext`"},
    {"cleartext in an unused ladder", "ladder a { cleartext }", 2, 8, "needs a `permit cleartext`"},
    {"cleartext beside its permit",
     "permit cleartext to \"old.example\"\nsend \"a\" when to \"new.example\" and size over 1 MB "
     "by { cleartext }",
     3, 54, "needs a `permit cleartext`"},
    {"cleartext of an organisation needs both permits",
     "organisation \"A\" { permit cleartext\nsend \"a\" by { cleartext } }", 3, 13,
     "of the gateway and of the organisation both"},
    {"which the gateway's alone is not",
     "permit cleartext\norganisation \"A\" { send \"a\" by { cleartext } }", 3, 32,
     "of the gateway and of the organisation both"},
    {"a route outwards", "route \"a.example\" to lmtp \"127.0.0.1 port 24\"", 2, 7,
     "leads inwards"},
    {"a route of another's domain",
     "domains \"a.example\" send \"all\" " L
     "\norganisation \"A\" { route \"a.example\" to lmtp \"127.0.0.1 port 24\" }",
     3, 26, "of this organisation"},
    {"a route to nowhere", "route \"a.example\" to lmtp \"here\"", 2, 27, "a host and a port"},
    {"a resolver by name", "resolver \"dns.example\"", 2, 10, "an IP address"},
    {"an administrator without a domain", "administrator \"root\"", 2, 15, "one mail address"},
    {"a largest message too small", "largest message 10 KB", 2, 17, "between 64 KB and 1 GB"},
    {"a listener outside the laboratory", "laboratory \"127.0.0.0/8\" port 2525", 1, 87,
     "every listener is inside it"},
    /* Words of later builds. */
    {"later: escalate", "escalate \"x\"", 2, 1, "`escalate` " LATER},
    {"later: always", "always send \"x\"", 2, 1, "`always` " LATER},
    {"later: portal", "portal \"x\" port 443", 2, 1, "`portal` " LATER},
    {"later: account", "account \"x\"", 2, 1, "`account` " LATER},
    {"later: include", "include \"x\"", 2, 1, "`include` " LATER},
    {"later: store", "store \"x\"", 2, 1, "`store` " LATER},
    {"later: notice", "notice from \"x\"", 2, 1, "`notice` " LATER},
    {"later: observe", "observe until 2027-01-01", 2, 1, "`observe` " LATER},
    {"later: smime", "ladder a { smime }", 2, 12, "`smime` " LATER},
    {"later: pgp", "ladder a { tls verify, pgp }", 2, 24, "`pgp` " LATER},
    {"later: portal on a ladder", "ladder a { portal by words }", 2, 12, "`portal` " LATER},
    {"later: drop", "ladder a { tls verify, drop }", 2, 24, "`drop` " LATER},
    {"later: choice", "send \"a\" by choice in l", 2, 13, "`choice` " LATER},
    {"later: with", "send \"a\" " L " with replies", 2, 36, "`with` " LATER},
    {"later: phi", "refuse \"a\" when phi at least likely", 2, 17, "`phi` " LATER},
    {"later: finds", "refuse \"a\" when finds \"x\"", 2, 17, "`finds` " LATER},
    {"later: unreadable", "refuse \"a\" when unreadable", 2, 17, "`unreadable` " LATER},
    {"later: text", "refuse \"a\" when text has \"x\"", 2, 17, "`text` " LATER},
    {"later: header", "refuse \"a\" when header \"x\" has \"y\"", 2, 17, "`header` " LATER},
    {"later: sealed", "refuse \"a\" when not sealed", 2, 21, "`sealed` " LATER},
    {"later: newcomer", "refuse \"a\" when newcomer", 2, 17, "`newcomer` " LATER},
    {"later: calendar", "refuse \"a\" when calendar", 2, 17, "`calendar` " LATER},
    {"later: automatic", "refuse \"a\" when automatic", 2, 17, "`automatic` " LATER},
    {"later: time", "refuse \"a\" when time between 08:00 and 17:00", 2, 17, "`time` " LATER},
    {"later: as", "refuse \"a\" when as \"ehr\"", 2, 17, "`as` " LATER},
    {"later: routes by smtp", "route \"a.example\" to smtp \"x\"", 2, 22, "`smtp` " LATER},
    {"later: routes by smtps", "route \"a.example\" to smtps \"x\"", 2, 22, "`smtps` " LATER},
    {"later: microsoft-365", "listen relay port 26 trusting microsoft-365 tenant \"x\"", 2, 31,
     "`microsoft-365` " LATER},
    {"later: google", "listen relay port 26 trusting google tenant \"x\"", 2, 31,
     "`google` " LATER},
    {"later: behind proxy", "listen relay port 26 behind proxy \"x\"", 2, 22, "`behind` " LATER},
    {"later: bare newlines", "listen relay port 26 bare newlines normalised", 2, 22,
     "`bare` " LATER},
    {"later: weaker rungs", "permit weaker rungs", 2, 8, "`weaker` " LATER},
    {"later: notices", "permit cleartext notices", 2, 18, "`notices` " LATER},
    {"later: ldap lists", "list a from \"ldap:ou=x\"", 2, 13, "`ldap:` " LATER},
    {"later: table lists", "list a from \"table:x\"", 2, 13, "`table:` " LATER},
    {"later: at most old", "list a from \"partners.txt\" at most 1 day old", 2, 28, "`at` " LATER},
};

static void error_is_told_in_its_place(void **state)
{
    const struct bad_case *c = *state;
    scoped(arena) arena = arena_new("test", MIB(4));
    struct policy_complaints complaints;
    const struct policy_complaint *first = NULL;
    scoped(policy) policy = load_after_needed(c->text, arena, &complaints);

    assert_null(policy);
    for (size_t i = 0; i < complaints.count && !first; i++)
        if (complaints.list[i].severity == POLICY_ERROR)
            first = &complaints.list[i];
    assert_non_null(first);
    if (first->line != c->line || first->column != c->column || !span_has(first->text, c->message))
        print_error("%u:%u: %.*s\n", first->line, first->column, SPAN_ARGS(first->text));
    assert_int_equal(first->line, c->line);
    assert_int_equal(first->column, c->column);
    assert_true(span_has(first->text, c->message));
}

static const struct bad_case warnings[] = {
    {"a listener that trusts a network", "listen relay port 26 trusting network \"10.0.0.0/8\"", 2,
     1, "a listener that trusts a network: anybody who can send from there can send as anybody"},
    {"a relay that trusts nobody", "listen relay port 26", 2, 1, "nobody can send through"},
    {"a rule after an unconditional one", "hold \"a\"\nhold \"b\" when size over 1 MB", 3, 1,
     "can never fire: the one in line 2"},
    {"a stage after refusing everything", "refuse \"a\"\nhold \"b\" when size over 1 MB", 3, 1,
     "can never fire: the one in line 2"},
    {"an empty list", "list a { }", 2, 6, "this list is empty"},
    {"an empty file", "list a from \"empty.txt\"", 2, 6, "this list is empty"},
    {"a permit past its date", "permit cleartext until 2026-11-24", 2, 1, "past its date"},
    {"tls secure without names",
     "ladder a { tls secure for 4 hours, tls secure named \"x.example\" }", 2, 12,
     "impossible in this build until DANE and MTA-STS come; the ladder climbs past it"},
    {"patience beyond five days", "ladder a { tls verify for 6 days }", 2, 27,
     "a delivery lives 5 days"},
};

static void warning_is_told_and_the_policy_loads(void **state)
{
    const struct bad_case *c = *state;
    scoped(arena) arena = arena_new("test", MIB(4));
    struct policy_complaints complaints;
    scoped(policy) policy = load_after_needed(c->text, arena, &complaints);

    assert_non_null(policy);
    assert_int_equal(complaints.count, 1);
    assert_int_equal(complaints.error_count, 0);
    assert_int_equal(complaints.list[0].severity, POLICY_WARNING);
    assert_int_equal(complaints.list[0].line, c->line);
    assert_int_equal(complaints.list[0].column, c->column);
    assert_true(span_has(complaints.list[0].text, c->message));
}

int main(void)
{
    return run_table("what is understood", good, policy_prints_as_understood) +
           run_table("what is an error", bad, error_is_told_in_its_place) +
           run_table("what is warned of", warnings, warning_is_told_and_the_policy_loads);
}
