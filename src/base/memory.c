/* Placeholder of base/memory.c until it is written. */
