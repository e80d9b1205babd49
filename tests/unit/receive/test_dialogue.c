/* Whole dialogues, as clients of every kind hold them. */
/* SPDX-License-Identifier: ISC */
#include "receive_house.h"

#define HELLO "< 220 mx.clinic.example ESMTP\n> EHLO a.example\n< 250 \n"
#define ENVELOPE                                                                                   \
    "> MAIL FROM:<a@partner.example>\n< 250 2.1.0\n> RCPT TO:<nurse@clinic.example>\n< 250 "       \
    "2.1.5\n"
#define OURS                                                                                       \
    "> MAIL FROM:<nurse@clinic.example>\n< 250 2.1.0\n"                                            \
    "> RCPT TO:<a@partner.example>\n< 250 2.1.5\n"
#define START_TLS "> STARTTLS\n< 220 2.0.0\ntls\n> EHLO a.example\n< 250 \n"
#define BYE "> QUIT\n< 221 2.0.0\neof\n"

static const struct dialogue {
    const char *name;
    enum door door;
    unsigned host;
    const char *script;
    unsigned messages, refused, left; /* stored messages, leaves of both kinds */
} dialogues[] = {
    {"a message is taken", DOOR_MX, 9,
     HELLO ENVELOPE "> DATA\n< 354 \n> Subject: x\n> \n> hi\n> .\n< 250 2.0.0 Ok: \n" BYE, 1, 0, 0},
    {"HELO does too", DOOR_MX, 9,
     "< 220 \n> HELO a\n< 250 mx.clinic.example\n" ENVELOPE
     "> DATA\n< 354 \n> Subject: x\n> \n> hi\n> .\n< 250 2.0.0\n" BYE,
     1, 0, 0},
    {"two messages go over one connection", DOOR_MX, 9,
     HELLO ENVELOPE "> DATA\n< 354 \n> S: x\n> .\n< 250 2.0.0\n" ENVELOPE
                    "> DATA\n< 354 \n> S: y\n> .\n< 250 2.0.0\n" BYE,
     2, 0, 0},
    {"the small commands are answered", DOOR_MX, 9,
     "< 220 \n> NOOP\n< 250 2.0.0\n> NOOP words are fine\n< 250 2.0.0\n> RSET\n< 250 2.0.0\n"
     "> VRFY nurse\n< 252 2.5.0\n> EXPN all\n< 502 5.5.1\n> HELP\n< 214 2.0.0\n"
     "> AUTH PLAIN AG51cnNlAHMzY3JldC1QYXNz\n< 502 5.5.1\n> FOO\n< 500 5.5.2\n> \n< 500 "
     "5.5.2\n" BYE,
     0, 0, 0},
    {"nothing follows the commands that stand alone", DOOR_MX, 9,
     HELLO "> RSET x\n< 501 5.5.4\n> STARTTLS x\n< 501 5.5.4\n> QUIT x\n< 501 5.5.4\n" ENVELOPE
           "> DATA x\n< 501 5.5.4\n" BYE,
     0, 0, 0},
    {"commands come in their order", DOOR_MX, 9,
     "< 220 \n> MAIL FROM:<a@partner.example>\n< 503 5.5.1\n> RCPT TO:<nurse@clinic.example>\n"
     "< 503 5.5.1\n> DATA\n< 503 5.5.1\n> EHLO a\n< 250 \n> RCPT TO:<nurse@clinic.example>\n"
     "< 503 5.5.1\n> BDAT 3 LAST\n>> abc\n< 503 5.5.1\n> NOOP\n< 250 \n" ENVELOPE
     "> MAIL FROM:<a@partner.example>\n< 503 5.5.1\n" BYE,
     0, 0, 0},
    {"EHLO and RSET forget the message", DOOR_MX, 9,
     HELLO ENVELOPE "> RSET\n< 250 \n> DATA\n< 503 5.5.1\n" ENVELOPE
                    "> EHLO b\n< 250 \n> DATA\n< 503 5.5.1\n" BYE,
     0, 0, 0},

    /* Line ends and smuggling: S01, S02. */
    {"CR . CRLF is no end of data", DOOR_MX, 9,
     HELLO ENVELOPE
     "> DATA\n< 354 \n>> a\\r.\\r\\nNOOP\\r\\n\n>> \\r\\n.\\r\\n\n< 550 5.6.0\neof\n",
     0, 1, 0},
    {"CR CRLF . CR CRLF is no end of data", DOOR_MX, 9,
     HELLO ENVELOPE
     "> DATA\n< 354 \n>> a\\r\\r\\n.\\r\\r\\nNOOP\\r\\n\n>> \\r\\n.\\r\\n\n< 550 5.6.0\neof\n",
     0, 1, 0},
    {"LF CR . CRLF is no end of data", DOOR_MX, 9,
     HELLO ENVELOPE
     "> DATA\n< 354 \n>> a\\n\\r.\\r\\nNOOP\\r\\n\n>> \\r\\n.\\r\\n\n< 550 5.6.0\neof\n",
     0, 1, 0},
    {"CRLF . CR is no end of data", DOOR_MX, 9,
     HELLO ENVELOPE
     "> DATA\n< 354 \n>> a\\r\\n.\\rNOOP\\r\\n\n>> \\r\\n.\\r\\n\n< 550 5.6.0\neof\n",
     0, 1, 0},
    {"LF . LF is no end of data, and no command behind it is run", DOOR_MX, 9,
     HELLO ENVELOPE "> DATA\n< 354 \n>> a\\n.\\nMAIL FROM:<boss@clinic.example>\\r\\n\n>> "
                    "\\r\\n.\\r\\nQUIT\\r\\n\n< 550 5.6.0\neof\n",
     0, 1, 0},
    {"a command with a bare LF is refused whole", DOOR_MX, 9,
     HELLO ">> MAIL FROM:<a@partner.example>\\nRCPT TO:<nurse@clinic.example>\\r\\n\n< 500 5.5.2\n"
           "eof\n",
     0, 1, 0},
    {"a command with a bare CR too", DOOR_MX, 9, HELLO ">> NOOP\\rNOOP\\r\\n\n< 500 5.5.2\neof\n",
     0, 1, 0},
    {"a control in a command is no command", DOOR_MX, 9,
     HELLO ">> NOOP \\x01\\r\\n\n< 500 5.5.2\n" BYE, 0, 0, 0},
    {"a NUL in the text is refused, and what follows it", DOOR_MX, 9,
     HELLO ENVELOPE "> DATA\n< 354 \n>> Subject: n\\r\\n\\r\\nab\\x00cd\\r\\nNEXT\\r\\n.\\r\\n\n< "
                    "550 5.6.0\neof\n",
     0, 1, 0},

    /* Empty messages: S05. */
    {"an empty message is a message", DOOR_MX, 9,
     HELLO ENVELOPE "> DATA\n< 354 \n> .\n< 250 2.0.0\n" BYE, 1, 0, 0},
    {"a header without an empty line is a message", DOOR_MX, 9,
     HELLO ENVELOPE "> DATA\n< 354 \n> Subject: only a header\n> .\n< 250 2.0.0\n" BYE, 1, 0, 0},

    /* Pipelining: S07, S08, S36. */
    {"a pipelined DATA without recipients is refused in order", DOOR_MX, 9,
     HELLO "> MAIL FROM:<a@partner.example> SIZE=1390\n> RCPT TO:<nosuch@noroute.example>\n> DATA\n"
           "< 250 2.1.0\n< 550 5.1.1\n< 554 5.5.1\n> NOOP\n< 250 \n" BYE,
     0, 1, 0},
    {"text behind a refused DATA is not run as commands", DOOR_MX, 9,
     HELLO "> MAIL FROM:<a@partner.example>\n> RCPT TO:<nosuch@noroute.example>\n> DATA\n"
           "> Subject: x\n> MAIL FROM:<b@partner.example>\n> RCPT TO:<nurse@clinic.example>\n"
           "> DATA\n> forged\n> .\n> QUIT\n< 250 2.1.0\n< 550 5.1.1\n< 554 5.5.1\neof\n",
     0, 1, 0},
    {"nor when it comes a moment later", DOOR_MX, 9,
     HELLO "> MAIL FROM:<a@partner.example>\n> RCPT TO:<nosuch@noroute.example>\n> DATA\n"
           "< 250 2.1.0\n< 550 5.1.1\n< 554 5.5.1\n> Subject: x\n> MAIL FROM:<b@partner.example>\n"
           "< 521 5.5.2\neof\n",
     0, 1, 0},
    {"a whole dialogue without waiting is answered whole", DOOR_MX, 9,
     "> EHLO a.example\n> MAIL FROM:<a@partner.example>\n> RCPT TO:<nurse@clinic.example>\n> DATA\n"
     "> Subject: x\n> \n> hi\n> .\n> QUIT\n< 220 \n< 250 \n< 250 \n< 250 \n< 354 \n< 250 2.0.0\n"
     "< 221 \neof\n",
     1, 0, 0},
    {"also by a client that closes its side at once", DOOR_MX, 9,
     "> EHLO a.example\n> MAIL FROM:<a@partner.example>\n> RCPT TO:<nurse@clinic.example>\n> DATA\n"
     "> Subject: x\n> \n> hi\n> .\n> QUIT\nshut\n< 220 \n< 250 \n< 250 \n< 250 \n< 354 \n"
     "< 250 2.0.0\n< 221 \neof\n",
     1, 0, 0},
    {"and without a QUIT", DOOR_MX, 9,
     "> EHLO a.example\n> MAIL FROM:<a@partner.example>\n> RCPT TO:<nurse@clinic.example>\n> DATA\n"
     "> Subject: x\n> \n> hi\n> .\nshut\n< 220 \n< 250 \n< 250 \n< 250 \n< 354 \n< 250 "
     "2.0.0\neof\n",
     1, 0, 0},
    {"half a command keeps no reply back", DOOR_MX, 9,
     "< 220 \n> NOOP\n>> NO\n< 250 \n>> OP\\r\\n\n< 250 \n" BYE, 0, 0, 0},

    /* CHUNKING: S11, S14 and the rest of RFC 3030. */
    {"a lone dot inside a chunk is text", DOOR_MX, 9,
     HELLO ENVELOPE
     ">> BDAT 28 LAST\\r\\nSubject: x\\r\\n\\r\\n.a\\r\\n.\\r\\n..\\r\\nb\\r\\n\n< 250 2.0.0\n" BYE,
     1, 0, 0},
    {"an end of data may be a chunk", DOOR_MX, 9,
     HELLO ENVELOPE ">> BDAT 3\\r\\n.\\r\\nBDAT 0 LAST\\r\\n\n< 250 2.0.0\n< 250 2.0.0\n" BYE, 1, 0,
     0},
    {"chunk borders may fall anywhere", DOOR_MX, 9,
     HELLO ENVELOPE ">> BDAT 3\\r\\nabcBDAT 2 LAST\\r\\nde\n< 250 2.0.0 3\n< 250 2.0.0 Ok\n" BYE, 1,
     0, 0},
    {"a chunk with a bare LF is refused at the end", DOOR_MX, 9,
     HELLO ENVELOPE ">> BDAT 4\\r\\na\\nb\\nBDAT 0 LAST\\r\\n\n< 250 \n< 550 5.6.0\n" BYE, 0, 1, 0},
    {"a chunk without a size ends it all", DOOR_MX, 9,
     HELLO ENVELOPE "> BDAT abc\n> NOOP\n< 501 5.5.4\neof\n", 0, 1, 0},
    {"a chunk that never comes leaves nothing", DOOR_MX, 9,
     HELLO ENVELOPE ">> BDAT 4\\r\\nS:x\\rBDAT 1048570\\r\\n\n", 0, 0, 1},
    {"no chunks without recipients", DOOR_MX, 9,
     HELLO
     "> MAIL FROM:<a@partner.example>\n< 250 \n>> BDAT 4 LAST\\r\\nNOOPNOOP\\r\\n\n< 554 5.5.1\n"
     "< 250 2.0.0\n" BYE,
     0, 0, 0},
    {"chunks and DATA do not mix", DOOR_MX, 9,
     HELLO ENVELOPE "> BDAT 3\n>> abc\n< 250 \n> RCPT TO:<b@clinic.example>\n< 503 5.5.1\n"
                    "> DATA\n< 503 5.5.1\n> RSET\n< 250 \n" BYE,
     0, 0, 0},
    {"wrong commands, and a chunk that crosses the limit", DOOR_MX, 9,
     HELLO
     "> X\n> X\n> X\n> X\n> X\n> X\n> X\n< 500 \n< 500 \n< 500 \n< 500 \n< 500 \n< 500 \n< 500 \n"
     ">> BDAT 5\\r\\nhello\n< 503 5.5.1\n< 421 4.7.0\neof\n",
     0, 1, 0},

    /* STARTTLS and who may speak without it. */
    {"TLS is offered and begins anew", DOOR_MX, 9,
     HELLO ENVELOPE "> STARTTLS\n< 220 2.0.0\ntls\n> DATA\n< 503 5.5.1\n"
                    "> MAIL FROM:<a@partner.example>\n< 503 5.5.1\n> EHLO a.example\n< 250 \n"
                    "> STARTTLS\n< 503 5.5.1\n" ENVELOPE
                    "> DATA\n< 354 \n> S: x\n> .\n< 250 2.0.0\n" BYE,
     1, 0, 0},
    {"what was pipelined behind STARTTLS is never a command", DOOR_MX, 9,
     HELLO "> STARTTLS\n> EHLO evil.example\n> MAIL FROM:<a@partner.example>\n< 554 5.5.1\neof\n",
     0, 1, 0},
    {"not even half a line of it", DOOR_MX, 9, HELLO "> STARTTLS\n>> NO\n< 554 5.5.1\neof\n", 0, 1,
     0},
    {"no TLS where there is no certificate", DOOR_MX_PLAIN, 9,
     HELLO "> STARTTLS\n< 503 5.5.1\n" ENVELOPE "> DATA\n< 354 \n> S: x\n> .\n< 250 2.0.0\n" BYE, 1,
     0, 0},
    {"submission demands TLS", DOOR_SUBMISSION, 9,
     HELLO "> MAIL FROM:<nurse@clinic.example>\n< 530 5.7.0 Must issue a STARTTLS\n"
           "> RCPT TO:<a@partner.example>\n< 503 \n" START_TLS OURS
           "> DATA\n< 354 \n> S: x\n> .\n< 250 2.0.0\n" BYE,
     1, 1, 0},
    {"submission over TLS from the start", DOOR_SUBMISSIONS, 9,
     "tls\n" HELLO OURS "> DATA\n< 354 \n> S: x\n> .\n< 250 2.0.0\n" BYE, 1, 0, 0},
    {"plain speech on a TLS port ends at once", DOOR_SUBMISSIONS, 9, "> EHLO x\ngone\n", 0, 1, 0},
    {"TLS on a plain port ends at once", DOOR_SUBMISSION, 9,
     "< 220 \n>> \\x16\\x03\\x01\\x02\\x00\\x01\\x00\n< 500 5.5.2\neof\n", 0, 1, 0},
    {"strangers do not submit", DOOR_STRANGE, 9,
     HELLO START_TLS "> MAIL FROM:<nurse@clinic.example>\n< 530 5.7.0 Authentication\n" BYE, 0, 1,
     0},
    {"strangers do not relay", DOOR_RELAY, 9,
     HELLO START_TLS "> MAIL FROM:<nurse@clinic.example>\n< 530 5.7.0 Authentication\n" BYE, 0, 1,
     0},
    {"a known certificate relays", DOOR_RELAY, 9,
     HELLO "> STARTTLS\n< 220 \ntls certificate\n> EHLO a\n< 250 \n" OURS
           "> DATA\n< 354 \n> S: x\n> .\n< 250 2.0.0\n" BYE,
     1, 0, 0},

    /* Never an open relay. */
    {"outsiders write to us only", DOOR_MX, 9,
     HELLO "> MAIL FROM:<a@partner.example>\n< 250 \n> RCPT TO:<b@partner.example>\n< 550 5.7.1\n"
           "> RCPT TO:<b@[192.0.2.1]>\n< 550 5.7.1\n> RCPT TO:<b@noroute.example>\n< 550 5.1.1\n"
           "> RCPT TO:<@clinic.example:b@partner.example>\n< 550 5.7.1\n"
           "> RCPT TO:<\"b@partner.example\"@clinic.example>\n< 250 2.1.5\n"
           "> RCPT TO:<b%partner.example@clinic.example>\n< 250 2.1.5\n" BYE,
     0, 1, 0},
    {"outsiders do not write in our name", DOOR_MX, 9,
     HELLO "> MAIL FROM:<boss@clinic.example>\n< 550 5.7.1\n> MAIL FROM:<boss@CLINIC.example>\n"
           "< 550 5.7.1\n> MAIL FROM:<boss@ward.example>\n< 550 5.7.1\n" BYE,
     0, 3, 0},
    {"our servers write in our name only", DOOR_MX_TRUSTING, 2,
     HELLO
     "> MAIL FROM:<a@partner.example>\n< 550 5.7.1\n> MAIL FROM:<>\n< 250 \n> RSET\n< 250 \n" OURS
     "> DATA\n< 354 \n> S: x\n> .\n< 250 2.0.0\n" BYE,
     1, 1, 0},
    {"their neighbours are outsiders", DOOR_MX_TRUSTING, 3,
     HELLO
     "> MAIL FROM:<nurse@clinic.example>\n< 550 5.7.1\n> MAIL FROM:<a@partner.example>\n< 250 \n"
     "> RCPT TO:<b@partner.example>\n< 550 5.7.1\n" BYE,
     0, 2, 0},

    /* Parameters and addresses: S19, S22, S24, S25, S26, S27, S29, S34, S62, S73. */
    {"parameters of real clients are understood", DOOR_SUBMISSIONS, 9,
     "tls\n" HELLO
     "> MAIL FROM:<nurse@clinic.example> SIZE=13343 AUTH=<>\n< 250 2.1.0\n> RSET\n< 250 \n"
     "> MAIL FROM:<nurse@clinic.example> AUTH=e+3Dmc2@clinic.example\n< 250 2.1.0\n> RSET\n< 250 \n"
     "> MAIL FROM:<nurse@clinic.example> body=8bitMIME auth=<>\n< 250 2.1.0\n> RSET\n< 250 \n"
     "> MAIL FROM:<nurse@clinic.example> FOO=bar\n< 555 5.5.4\n"
     "> MAIL FROM:<nurse@clinic.example> AUTH=a+0D+0ARCPT+20TO:x\n< 501 5.5.4\n" BYE,
     0, 2, 0},
    {"DSN is not offered", DOOR_MX, 9,
     HELLO
     "> MAIL FROM:<a@partner.example> RET=FULL\n< 555 5.5.4\n> MAIL FROM:<a@partner.example>\n"
     "< 250 \n> RCPT TO:<nurse@clinic.example> NOTIFY=SUCCESS\n< 555 5.5.4\n" BYE,
     0, 2, 0},
    {"sizes are believed at once", DOOR_MX, 9,
     HELLO "> MAIL FROM:<a@partner.example> SIZE=2000000\n< 552 5.3.4\n"
           "> MAIL FROM:<a@partner.example> SIZE=0\n< 250 \n> RSET\n< 250 \n"
           "> MAIL FROM:<a@partner.example> SIZE=-1\n< 501 5.5.4\n" BYE,
     0, 2, 0},
    {"one space after the colon is tolerated", DOOR_MX, 9,
     HELLO "> MAIL FROM: <a@partner.example>\n< 250 \n> RCPT TO: <nurse@clinic.example>\n< 250 \n"
           "> DATA\n< 354 \n> S: x\n> .\n< 250 2.0.0\n" BYE,
     1, 0, 0},
    {"a sender that is none is refused", DOOR_MX, 9,
     HELLO "> MAIL FROM:< >\n< 501 5.5.4\n> MAIL FROM:\n< 501 5.5.4\n> MAIL\n< 501 5.5.4\n"
           "> MAIL FROM:<a@>\n< 553 5.1.7\n> MAIL FROM:<postmaster>\n< 553 5.1.7\n" BYE,
     0, 5, 0},
    {"a recipient that is none is refused", DOOR_MX, 9,
     HELLO
     "> MAIL FROM:<a@partner.example>\n< 250 \n> RCPT TO:<>\n< 5\n> RCPT TO:<nurse>\n< 553 5.1.3\n"
     "> RCPT nurse@clinic.example\n< 501 5.5.4\n" BYE,
     0, 1, 0},
    {"a quoted local part that looks like more is one address", DOOR_SUBMISSIONS, 9,
     "tls\n" HELLO "> MAIL FROM:<nurse@clinic.example>\n< 250 \n> RCPT TO:<\"foo@evil.example> "
     "ORCPT=rfc822;x@evil.example\"@partner.example>\n< 250 2.1.5\n" BYE,
     0, 0, 0},
    {"the null sender is one", DOOR_MX, 9,
     HELLO "> MAIL FROM:<>\n< 250 \n> RCPT TO:<nurse@clinic.example>\n< 250 \n> DATA\n< 354 \n"
           "> S: x\n> .\n< 250 2.0.0\n" BYE,
     1, 0, 0},
    {"postmaster is always there", DOOR_MX, 9,
     HELLO "> MAIL FROM:<a@partner.example>\n< 250 \n> RCPT TO:<Postmaster>\n< 250 2.1.5\n"
           "> RCPT TO:<postMaStER@clinic.example>\n< 250 2.1.5\n"
           "> RCPT TO:<POSTMASTER@CLINIC.EXAMPLE>\n< 250 2.1.5\n"
           "> RCPT TO:<postmaster@noroute.example>\n< 250 2.1.5\n> DATA\n< 354 \n> S: x\n> .\n"
           "< 250 2.0.0\n" BYE,
     1, 0, 0},

    /* Names of clients: S74. */
    {"imperfect names are tolerated", DOOR_MX, 9,
     "< 220 \n> EHLO cabinet-nord-.example\n< 250 \n> EHLO my_pc.local\n< 250 \n> EHLO LAPTOP\n< "
     "250 \n"
     "> EHLO localhost\n< 250 \n> EHLO a..b\n< 250 \n> EHLO [192.0.2.1]\n< 250 \n> EHLO\n< 501 "
     "5.5.4\n"
     "> EHLO ex ample\n< 501 5.5.4\n" BYE,
     0, 0, 0},

    /* The policy's word. */
    {"a message that a rule refuses is refused", DOOR_SUBMISSIONS, 9,
     "tls\n" HELLO
     "> MAIL FROM:<nurse@clinic.example>\n< 250 \n> RCPT TO:<x@refused.example>\n< 250 \n"
     "> DATA\n< 354 \n> S: x\n> .\n< 550 5.7.1 The message is refused by the rule \"no such "
     "patient\"\n" BYE,
     0, 1, 0},
    {"a rule's name is told in ASCII", DOOR_SUBMISSIONS, 9,
     "tls\n" HELLO OURS "> DATA\n< 354 \n> Subject: a [Refuse] b\n> .\n"
     "< 550 5.7.1 The message is refused by the rule \"w??rds\"\n" BYE,
     0, 1, 0},
    {"going in circles ends", DOOR_MX, 9,
     HELLO ENVELOPE
     "> DATA\n< 354 \n"
     "> Received: from a by mx.clinic.example; now\n> Received: from a by mx.clinic.example; now\n"
     "> Received: from a by mx.clinic.example; now\n> Received: from a by mx.clinic.example; now\n"
     "> Received: from a by mx.clinic.example; now\n> Received: from a by mx.clinic.example; now\n"
     "> Received: from a by mx.clinic.example; now\n> Received: from a by mx.clinic.example; now\n"
     "> Received: from a by mx.clinic.example; now\n> \n> .\n< 554 5.4.6\n" BYE,
     0, 1, 0},

    /* Clients that leave. */
    {"a client that leaves inside a message leaves nothing", DOOR_MX, 9,
     HELLO ENVELOPE "> DATA\n< 354 \n> Subject: x\nshut\n", 0, 0, 1},
    {"TLS that closes inside a chunk ends everything", DOOR_MX, 9,
     HELLO START_TLS ENVELOPE "> BDAT 1000\n>> 0123456789\n", 0, 0, 1},
    {"a client that leaves between commands leaves no trace", DOOR_MX, 9,
     HELLO ENVELOPE "shut\neof\n", 0, 0, 0},
};

static void dialogue_is_held(void **state)
{
    const struct dialogue *d = *state;
    uint64_t messages = house_messages();
    size_t refused = house_leaves(EVENT_MESSAGE_REFUSED), left = house_leaves(EVENT_CLIENT_LEFT);

    play_at(d->door, d->host, d->script);
    assert_int_equal(house_messages() - messages, d->messages);
    assert_int_equal(house_leaves(EVENT_MESSAGE_REFUSED) - refused, d->refused);
    assert_int_equal(house_leaves(EVENT_CLIENT_LEFT) - left, d->left);
    play_at(DOOR_MX, 9, "< 220 \n> NOOP\n< 250 \n"); /* whatever was, the next one is served */
    house_settle();
    assert_int_equal(house.receive->bytes_in_flight, 0);
    assert_int_equal(house.receive->transactions, 0);
}

int main(void)
{
    static const struct cut cuts[] = {{"errors_max", 8}, {NULL, 0}};
    int failures;

    house_open(cuts, false);
    failures = run_table("dialogues", dialogues, dialogue_is_held);
    house_close();
    return failures;
}
