/* Placeholder of message/edits.c until it is written. */
