/* Placeholder of store/schema.c until it is written. */
