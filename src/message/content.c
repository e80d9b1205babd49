/* Placeholder of message/content.c until it is written. */
