/* Placeholder of message/header.c until it is written. */
