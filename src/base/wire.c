/* Placeholder of base/wire.c until it is written. */
