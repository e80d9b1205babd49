/* Placeholder of base/error.c until it is written. */
