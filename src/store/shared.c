/* Placeholder of store/shared.c until it is written. */
