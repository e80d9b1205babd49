/* Placeholder of store/store.c until it is written. */
