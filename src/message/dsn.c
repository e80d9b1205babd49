/* Placeholder of message/dsn.c until it is written. */
