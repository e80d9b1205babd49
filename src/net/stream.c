/* Placeholder of net/stream.c until it is written. */
