/* Placeholder of base/id.c until it is written. */
