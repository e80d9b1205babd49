/* Placeholder of base/span.c until it is written. */
